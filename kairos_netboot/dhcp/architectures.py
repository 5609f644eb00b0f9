"""IANA's processor architecture types: option 93 of DHCP, option 61 of DHCPv6.

The registry is that of RFC 5970; RFC 4578 began it, and by its erratum 7 is x64 and 9 is EBC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..values import IMAGE_ARCHES, Arch, Firmware


@dataclass(frozen=True, slots=True)
class Architecture:
    """One row of the registry. `firmware` and `arch` are None where we know no use of it; `http`:
    it boots from HTTP instead of TFTP."""

    number: int
    name: str  # IANA's
    firmware: Firmware | None = None
    arch: Arch | None = None
    http: bool = False


_BIOS, _UEFI, _UBOOT = Firmware.BIOS, Firmware.UEFI, Firmware.UBOOT

_ROWS = (
    Architecture(0, "x86 BIOS", _BIOS, Arch.AMD64),
    Architecture(1, "NEC/PC98 (DEPRECATED)"),
    Architecture(2, "Itanium"),
    Architecture(3, "DEC Alpha (DEPRECATED)"),
    Architecture(4, "Arc x86 (DEPRECATED)"),
    Architecture(5, "Intel Lean Client (DEPRECATED)"),
    Architecture(6, "x86 UEFI", _UEFI, Arch.I386),
    Architecture(7, "x64 UEFI", _UEFI, Arch.AMD64),
    Architecture(8, "EFI Xscale (DEPRECATED)"),
    # Firmware written by RFC 4578's own text, before its erratum, says 9 for x64.
    Architecture(9, "EBC", _UEFI, Arch.AMD64),
    Architecture(10, "ARM 32-bit UEFI", _UEFI, Arch.ARM),
    Architecture(11, "ARM 64-bit UEFI", _UEFI, Arch.ARM64),
    Architecture(12, "PowerPC Open Firmware"),
    Architecture(13, "PowerPC ePAPR"),
    Architecture(14, "POWER OPAL v3"),
    Architecture(15, "x86 uefi boot from http", _UEFI, Arch.I386, http=True),
    Architecture(16, "x64 uefi boot from http", _UEFI, Arch.AMD64, http=True),
    Architecture(17, "ebc boot from http", _UEFI, Arch.AMD64, http=True),
    Architecture(18, "arm uefi 32 boot from http", _UEFI, Arch.ARM, http=True),
    Architecture(19, "arm uefi 64 boot from http", _UEFI, Arch.ARM64, http=True),
    Architecture(20, "pc/at bios boot from http", _BIOS, Arch.AMD64, http=True),
    Architecture(21, "arm 32 uboot", _UBOOT, Arch.ARM),
    Architecture(22, "arm 64 uboot", _UBOOT, Arch.ARM64),
    Architecture(23, "arm uboot 32 boot from http", _UBOOT, Arch.ARM, http=True),
    Architecture(24, "arm uboot 64 boot from http", _UBOOT, Arch.ARM64, http=True),
    Architecture(25, "RISC-V 32-bit UEFI", _UEFI),
    Architecture(26, "RISC-V 32-bit UEFI boot from http", _UEFI, http=True),
    Architecture(27, "RISC-V 64-bit UEFI", _UEFI, Arch.RISCV64),
    Architecture(28, "RISC-V 64-bit UEFI boot from http", _UEFI, Arch.RISCV64, http=True),
    Architecture(29, "RISC-V 128-bit UEFI", _UEFI),
    Architecture(30, "RISC-V 128-bit UEFI boot from http", _UEFI, http=True),
    Architecture(31, "s390 Basic"),
    Architecture(32, "s390 Extended"),
    Architecture(33, "MIPS 32-bit UEFI", _UEFI),
    Architecture(34, "MIPS 64-bit UEFI", _UEFI),
    Architecture(35, "Sunway 32-bit UEFI", _UEFI),
    Architecture(36, "Sunway 64-bit UEFI", _UEFI),
    Architecture(37, "LoongArch 32-bit UEFI", _UEFI),
    Architecture(38, "LoongArch 32-bit UEFI boot from http", _UEFI, http=True),
    Architecture(39, "LoongArch 64-bit UEFI", _UEFI, Arch.LOONG64),
    Architecture(40, "LoongArch 64-bit UEFI boot from http", _UEFI, Arch.LOONG64, http=True),
    Architecture(41, "arm rpiboot", Firmware.RASPBERRY, Arch.ARM64),
)
ARCHITECTURES = {row.number: row for row in _ROWS}


def choose(numbers: Iterable[int]) -> Architecture | None:
    """The first that an image can be had for, else the first with a use, else the first listed;
    None where the registry has none of them."""
    known = [ARCHITECTURES[number] for number in numbers if number in ARCHITECTURES]
    for fits in (_has_images, _has_use, bool):
        if found := next(filter(fits, known), None):
            return found
    return None


def _has_images(row: Architecture) -> bool:
    return row.arch in IMAGE_ARCHES


def _has_use(row: Architecture) -> bool:
    return row.firmware is not None and row.arch is not None
