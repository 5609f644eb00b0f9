"""The kernel command line of an unattended install, as Kairos and dracut read it."""

from __future__ import annotations

import re

from ..errors import InvalidValue
from ..values import Mac

# x86's COMMAND_LINE_SIZE; arm64 takes as much.
_LONGEST = 2048
# What is left for arguments of the site's own: ours and three addresses take some 700.
ROOM_FOR_ARGUMENTS = 1000

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
    boot_mac: Mac | None,
    kairos_version: str,
    extra: tuple[str, ...],
) -> str:
    """One line; raises InvalidValue where Kairos would read it otherwise than meant.

    `boot_mac` is set for a machine with several network cards, so that dracut waits for the
    one it booted from. `extra` goes last: the last `console=` becomes /dev/console.
    """
    words = [
        "initrd=initrd",  # iPXE on UEFI hands over an initrd only by its name
        f"root=live:{rootfs_url}",
        "rd.live.overlay.overlayfs",
        "rd.neednet=1",
        "ip=dhcp",
        "rd.cos.disable",
        "netboot",
        "install-mode",
        "net.ifnames=1",
        "selinux=0",
        "rd.immucore.sysrootwait=900",
        "console=ttyS0",
        "console=tty1",
        *(["nodepair.enable"] if _before_install_mode(kairos_version) else []),
        *([f"BOOTIF=01-{boot_mac.hyphens}"] if boot_mac else []),
        *extra,
        f"config_url={document_url}",
    ]
    return _checked(" ".join(words))


def refuse_meaningful(text: str) -> None:
    """Raises InvalidValue for a part of a command line that Kairos would read as an order."""
    for word in _MEANINGFUL:
        if word in text:
            raise InvalidValue(
                f"the kernel command line holds '{word}', which makes Kairos do something other "
                "than install: take it out of kernel-args or the server's host name"
            )


def _checked(line: str) -> str:
    refuse_meaningful(line)
    if len(line) >= _LONGEST:
        raise InvalidValue(
            f"the kernel command line has {len(line)} characters, the kernel reads "
            f"{_LONGEST - 1}: shorten kernel-args"
        )
    return line


def _before_install_mode(version: str) -> bool:
    """Kairos before v2.5 knows only `nodepair.enable`. An unreadable version counts as new."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) < (2, 5)
