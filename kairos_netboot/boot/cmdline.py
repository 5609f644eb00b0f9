"""The kernel command line of each action, as Kairos and dracut read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import InvalidValue
from ..values import Arch, Mac, Stage
from .actions import Action, Ram
from .network import KernelNetwork

# The kernel's COMMAND_LINE_SIZE.
_LONGEST = {Arch.AMD64: 2048, Arch.ARM64: 2048, Arch.RISCV64: 1024}
# What is left for arguments of the site's own: ours and three addresses take some 700.
ROOM_FOR_ARGUMENTS = 1000

# The first serial line; tty1 is the screen.
_SERIAL = {Arch.AMD64: "ttyS0", Arch.ARM64: "ttyAMA0", Arch.RISCV64: "ttyS0"}

# How an interface gets its address, as the second part of an `ip=`.
_WAYS = {"dhcp", "on", "any", "dhcp6", "auto6", "either6", "link6", "single-dhcp", "link-local"}

# Kairos looks for these anywhere in the whole line (sdk/state, immucore): one of them inside a URL
# or an argument turns what was meant into something else, `kairos.ram.wipe` into an erased disk.
_MEANINGFUL = (
    "kairos.reset",
    "COS_ACTIVE",
    "COS_PASSIVE",
    "COS_RECOVERY",
    "COS_SYSTEM",
    "recovery-mode",
    "live:LABEL",
    "live:CDLABEL",
    "interactive-install",
    "install-mode-interactive",
    "kairos.remote_recovery_mode",
    "kairos.boot_live_mode",
    "kairos.ram",
)
# These start the installer.
_INSTALLS = ("install-mode", "nodepair.enable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What the line of one boot is made of. `mac` is the card it boots from, which dracut waits for
    where there are `several_cards`. `may_write`: whether data partitions may be made, and their
    disk erased, in this boot from memory."""

    rootfs_url: str
    document_url: str
    loader: Stage
    arch: Arch
    mac: Mac
    several_cards: bool
    network: KernelNetwork
    kairos: tuple[int, int] | None = None  # the version; None counts as new
    flavor: str = ""
    extra: tuple[str, ...] = ()
    ram: Ram = field(default_factory=Ram)
    may_write: bool = False


def command_line(action: Action, boot: Boot) -> str:
    """One line; raises InvalidValue where Kairos would read it otherwise than meant."""
    own = tuple(_own_words(action, boot))
    before = (
        # iPXE on UEFI hands over an initrd only by its name. With any other loader the kernel
        # would look for a file of that name on the loader's own device, and stop without one.
        *(["initrd=initrd"] if boot.loader is Stage.IPXE else []),
        f"root=live:{boot.rootfs_url}",
        "rd.live.overlay.overlayfs",
        "rd.neednet=1",
        *_network(boot.network, boot.mac, boot.several_cards),
    )
    after = (
        "net.ifnames=1",
        "selinux=0",
        "rd.immucore.sysrootwait=900",
        f"console={_SERIAL.get(boot.arch, 'ttyS0')}",
        "console=tty1",
        *_old_words(action, boot),
        *boot.extra,  # last: the last `console=` becomes /dev/console
        *_document(action, boot),
    )
    _refuse(" ".join((*before, *after)), () if action is Action.INSTALL else _INSTALLS)
    return fitting(" ".join((*before, *own, *after)), boot.arch)


def _own_words(action: Action, boot: Boot) -> Iterator[str]:
    """What says to Kairos what is to be done."""
    if action is Action.RAM:
        yield from _ram(boot)
        return
    # A live system: without `netboot` Kairos does not know it for one, and starts no service.
    yield from ("rd.cos.disable", "netboot")
    yield from _LIVE_WORDS[action]


_LIVE_WORDS = {
    Action.INSTALL: ("install-mode",),
    Action.RESCUE: ("kairos.boot_live_mode",),
    Action.WIPE: ("kairos.boot_live_mode",),
    Action.RECOVERY: ("kairos.remote_recovery_mode",),
    # dracut's own shell, before it goes over to the root it has mounted.
    Action.SHELL: ("kairos.boot_live_mode", "rd.shell", "rd.break"),
}


def _ram(boot: Boot) -> Iterator[str]:
    """Not `rd.cos.disable`: immucore looks for `kairos.ram` first, and what the other one stands
    for, a live system, is not meant. Not `netboot`: agent and kcrypt take that for a live system
    as well. Only Alpine's init wants it, to fetch the root at all."""
    if boot.flavor.startswith("alpine"):
        yield "netboot"
    yield "kairos.ram"
    ram = boot.ram
    if not (boot.may_write and ram.writes_disks):
        return
    disk = "" if ram.partitions in ("", "auto") else f"={ram.partitions}"
    yield f"kairos.ram.create_partitions{disk}"
    yield from (["kairos.ram.wipe"] if ram.wipe else [])
    yield from ([f"kairos.ram.oem={ram.oem}"] if ram.oem is not None else [])
    yield from ([f"kairos.ram.persistent={ram.persistent}"] if ram.persistent is not None else [])


def _old_words(action: Action, boot: Boot) -> tuple[str, ...]:
    """Kairos before v2.5 knows only `nodepair.enable`."""
    is_old = boot.kairos is not None and boot.kairos < (2, 5)
    return ("nodepair.enable",) if action is Action.INSTALL and is_old else ()


def _document(action: Action, boot: Boot) -> tuple[str, ...]:
    """`config_url` is only merged into the agent's configuration; `cos.setup` runs stages, in each
    Kairos there is, and `kairos.config_url` does both from v4.2 on."""
    url = boot.document_url
    match action:
        case Action.RAM:
            return (f"kairos.config_url={url}",)
        case Action.RESCUE | Action.WIPE:
            return (f"cos.setup={url}",)
        case Action.RECOVERY:
            return (f"cos.setup={url}", f"config_url={url}")
        case Action.SHELL:
            return ()
        case _:
            return (f"config_url={url}",)


def _network(network: KernelNetwork, mac: Mac, several_cards: bool) -> Iterator[str]:
    """As dracut.cmdline(7) spells it."""
    names = [_named(text, mac) for text in network.ifname]
    yield from (f"ifname={text}" for text in names)
    yield from (f"vlan={text}" for text in network.vlan)
    yield from (f"bond={text}" for text in network.bond)
    addresses = network.ip or _dhcp_on(network)
    yield from (f"ip={text}" for text in addresses)
    if len(addresses) > 1:
        # Which of them has the root: dracut asks for it beside several `ip=`.
        yield f"bootdev={interface_of(addresses[0])}"
    yield from (f"nameserver={text}" for text in network.nameserver)
    # BOOTIF makes dracut (network-legacy) configure and wait for that very card: right beside a
    # plain `ip=dhcp`, an endless wait where the addresses are on a VLAN or a bond of it.
    if several_cards and not any(interface_of(text) for text in addresses):
        yield f"BOOTIF=01-{mac.hyphens}"


def _named(text: str, mac: Mac) -> str:
    """A name alone is for the card that the machine boots from: a profile is for many machines."""
    return text if ":" in text else f"{text}:{mac}"


def _dhcp_on(network: KernelNetwork) -> tuple[str, ...]:
    """On what is built last: a VLAN on a bond of named cards is asked on, not its parts."""
    for texts in (network.vlan, network.bond, network.ifname):
        if texts:
            return (f"{texts[0].partition(':')[0]}:dhcp",)
    return ("dhcp",)


def interface_of(text: str) -> str:
    """The interface that an `ip=` of dracut is for; empty where it is for any.

    `dhcp` | INTERFACE:dhcp[:MTU[:MAC]] | CLIENT:PEER:GATEWAY:MASK:HOST:INTERFACE:none…
    """
    parts = re.sub(r"\[[^]]*\]", "", text).split(":")  # an IPv6 address has colons of its own
    if len(parts) > 1 and parts[1].partition(",")[0] in _WAYS:
        return parts[0]
    return parts[5] if len(parts) > 5 else ""


def refuse_meaningful(text: str) -> None:
    """Raises InvalidValue for a part of a command line that Kairos would read as an order."""
    _refuse(text, ())


def _refuse(text: str, also: tuple[str, ...]) -> None:
    for word in (*_MEANINGFUL, *also):
        if word in text:
            raise InvalidValue(
                f"the kernel command line holds '{word}', which makes Kairos do something other "
                "than meant: take it out of kernel-args or the server's host name"
            )


def fitting(line: str, arch: Arch) -> str:
    """Raises InvalidValue for a line that a kernel of this architecture would cut."""
    return _short(line, _LONGEST.get(arch, 1024))


def _short(line: str, longest: int) -> str:
    if len(line) >= longest:
        raise InvalidValue(
            f"the kernel command line has {len(line)} characters, the kernel reads "
            f"{longest - 1}: shorten kernel-args"
        )
    return line
