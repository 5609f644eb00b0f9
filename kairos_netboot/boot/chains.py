"""What each kind of firmware is handed first: a table, overridable by site, profile and node.

A row is a kind of firmware, a word the way its boot goes: a Method, or a boot loader's file name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ..values import Arch, Firmware, Stage


class Method(StrEnum):
    IPXE = "ipxe"
    GRUB = "grub"  # made here by grub-mkimage; unsigned
    SHIM = "shim"  # the distribution's signed shim and GRUB: Secure Boot


@dataclass(frozen=True, slots=True)
class Row:
    """`loaders`: the first file by method; a method that is missing is of no use here."""

    name: str
    stage: Stage
    firmware: Firmware
    arch: Arch
    loaders: Mapping[Method, str]
    default: Method


# Made by us with the boot files in it: what UEFI HTTP Boot takes for a disk.
MEDIUM = "medium.img"

_I, _G, _S = Method.IPXE, Method.GRUB, Method.SHIM
_X64 = {_I: "snponly.efi", _G: "grub-x64.efi", _S: "shimx64.efi"}
_AA64 = {_I: "snponly-arm64.efi", _G: "grub-aa64.efi", _S: "shimaa64.efi"}
_RISCV64 = {_I: "snponly-riscv64.efi", _G: "grub-riscv64.efi"}
_UEFI, _PXE, _HTTP = Firmware.UEFI, Stage.PXE, Stage.HTTP

ROWS: tuple[Row, ...] = (
    Row("bios", _PXE, Firmware.BIOS, Arch.AMD64, {_I: "undionly.kpxe"}, _I),
    Row("uefi-amd64", _PXE, _UEFI, Arch.AMD64, _X64, _I),
    Row("uefi-arm64", _PXE, _UEFI, Arch.ARM64, _AA64, _G),
    Row("uefi-riscv64", _PXE, _UEFI, Arch.RISCV64, _RISCV64, _G),
    Row("http-amd64", _HTTP, _UEFI, Arch.AMD64, {**_X64, _S: MEDIUM}, _I),
    Row("http-arm64", _HTTP, _UEFI, Arch.ARM64, {**_AA64, _S: MEDIUM}, _G),
    Row("http-riscv64", _HTTP, _UEFI, Arch.RISCV64, _RISCV64, _G),
)
ROW_NAMES = tuple(row.name for row in ROWS)

# What a first file asks for next to itself.
COMPANIONS: Mapping[str, tuple[str, ...]] = {
    "shimx64.efi": ("grubx64.efi",),
    "shimaa64.efi": ("grubaa64.efi",),
}


def row_of(stage: Stage, firmware: Firmware | None, arch: Arch | None) -> Row | None:
    """The row of firmware at its first stage; None for what is in no row."""
    return next((r for r in ROWS if (r.stage, r.firmware, r.arch) == (stage, firmware, arch)), None)


def row_named(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """`method` is None for a file of the operator's choice."""

    row: Row
    method: Method | None
    first: str


def chain_for(row: Row, *tables: Mapping[str, str]) -> Chain:
    """How a boot of this row goes; the first table that names the row decides, then the default."""
    word = next((table[row.name] for table in tables if row.name in table), row.default)
    if word not in set(Method):
        return Chain(row=row, method=None, first=word)
    return Chain(row=row, method=Method(word), first=row.loaders[Method(word)])


def rows_in_use(tables: Mapping[str, Mapping[str, str]]) -> dict[str, set[str]]:
    """Each first file that some table leads to → who wants it; with what it asks for itself.

    `tables` by the name of their owner: `site`, `profile 'server'`, `node 'alpha'`.
    """
    wanted: dict[str, set[str]] = {}
    for owner, table in tables.items():
        for name in table:
            first = chain_for(row_named(name), table).first
            for file in (first, *COMPANIONS.get(first, ())):
                wanted.setdefault(file, set()).add(f"{name} of {owner}")
    return wanted
