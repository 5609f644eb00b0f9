"""The kernel command line of an unattended install, as Kairos and dracut read it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import InvalidValue
from ..values import Arch, Mac, Stage
from .network import KernelNetwork

# The kernel's COMMAND_LINE_SIZE.
_LONGEST = {Arch.AMD64: 2048, Arch.ARM64: 2048, Arch.RISCV64: 1024}
# What is left for arguments of the site's own: ours and three addresses take some 700.
ROOM_FOR_ARGUMENTS = 1000

# The first serial line; tty1 is the screen.
_SERIAL = {Arch.AMD64: "ttyS0", Arch.ARM64: "ttyAMA0", Arch.RISCV64: "ttyS0"}

# How an interface gets its address, as the second part of an `ip=`.
_WAYS = {"dhcp", "on", "any", "dhcp6", "auto6", "either6", "link6", "single-dhcp", "link-local"}

# Kairos looks for these anywhere in the whole line (sdk/state): one of them inside a URL or an
# argument turns an install into something else.
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
)


def install_command_line(
    *,
    rootfs_url: str,
    document_url: str,
    loader: Stage,
    arch: Arch,
    mac: Mac,
    several_cards: bool,
    network: KernelNetwork,
    kairos_version: str,
    extra: tuple[str, ...],
) -> str:
    """One line; raises InvalidValue where Kairos would read it otherwise than meant.

    `mac` is the card it boots from, which dracut waits for where there are `several_cards`.
    `extra` goes last: the last `console=` becomes /dev/console.
    """
    words = [
        # iPXE on UEFI hands over an initrd only by its name. With any other loader the kernel
        # would look for a file of that name on the loader's own device, and stop without one.
        *(["initrd=initrd"] if loader is Stage.IPXE else []),
        f"root=live:{rootfs_url}",
        "rd.live.overlay.overlayfs",
        "rd.neednet=1",
        *_network(network, mac, several_cards),
        "rd.cos.disable",
        "netboot",
        "install-mode",
        "net.ifnames=1",
        "selinux=0",
        "rd.immucore.sysrootwait=900",
        f"console={_SERIAL.get(arch, 'ttyS0')}",
        "console=tty1",
        *(["nodepair.enable"] if _before_install_mode(kairos_version) else []),
        *extra,
        f"config_url={document_url}",
    ]
    return _checked(" ".join(words), _LONGEST.get(arch, 1024))


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
    for word in _MEANINGFUL:
        if word in text:
            raise InvalidValue(
                f"the kernel command line holds '{word}', which makes Kairos do something other "
                "than install: take it out of kernel-args or the server's host name"
            )


def _checked(line: str, longest: int) -> str:
    refuse_meaningful(line)
    if len(line) >= longest:
        raise InvalidValue(
            f"the kernel command line has {len(line)} characters, the kernel reads "
            f"{longest - 1}: shorten kernel-args"
        )
    return line


def _before_install_mode(version: str) -> bool:
    """Kairos before v2.5 knows only `nodepair.enable`. An unreadable version counts as new."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) < (2, 5)
