from __future__ import annotations

import pytest

from kairos_netboot.boot.chains import (
    ROW_NAMES,
    ROWS,
    Method,
    chain_for,
    row_named,
    row_of,
    rows_in_use,
)
from kairos_netboot.values import Arch, Firmware, Stage


@pytest.mark.parametrize(
    ("stage", "firmware", "arch", "name", "first"),
    [
        (Stage.PXE, Firmware.BIOS, Arch.AMD64, "bios", "undionly.kpxe"),
        (Stage.PXE, Firmware.UEFI, Arch.AMD64, "uefi-amd64", "snponly.efi"),
        (Stage.PXE, Firmware.UEFI, Arch.ARM64, "uefi-arm64", "grub-aa64.efi"),
        (Stage.PXE, Firmware.UEFI, Arch.RISCV64, "uefi-riscv64", "grub-riscv64.efi"),
        (Stage.HTTP, Firmware.UEFI, Arch.AMD64, "http-amd64", "snponly.efi"),
        (Stage.HTTP, Firmware.UEFI, Arch.ARM64, "http-arm64", "grub-aa64.efi"),
        (Stage.HTTP, Firmware.UEFI, Arch.RISCV64, "http-riscv64", "grub-riscv64.efi"),
    ],
)
def test_each_kind_of_firmware_has_its_row_and_default(
    stage: Stage, firmware: Firmware, arch: Arch, name: str, first: str
) -> None:
    row = row_of(stage, firmware, arch)
    assert row is not None
    assert (row.name, chain_for(row).first) == (name, first)


@pytest.mark.parametrize("arch", [Arch.I386, Arch.ARM, Arch.LOONG64, None])
def test_firmware_without_a_kairos_image_is_in_no_row(arch: Arch | None) -> None:
    assert row_of(Stage.PXE, Firmware.UEFI, arch) is None


def test_the_first_table_that_names_the_row_decides() -> None:
    row = row_named("uefi-amd64")
    chain = chain_for(row, {"bios": "x.kpxe"}, {row.name: "shim"}, {row.name: "grub"})
    assert (chain.method, chain.first) == (Method.SHIM, "shimx64.efi")


def test_a_file_of_the_operators_is_taken_as_it_is() -> None:
    chain = chain_for(row_named("bios"), {"bios": "mine.kpxe"})
    assert (chain.method, chain.first) == (None, "mine.kpxe")


def test_every_row_knows_its_default() -> None:
    assert all(row.default in row.loaders for row in ROWS)
    assert len(set(ROW_NAMES)) == len(ROWS)


def test_what_tables_lead_to_names_who_wants_it() -> None:
    wanted = rows_in_use({"site": {"uefi-amd64": "shim"}, "node 'a'": {"bios": "mine.kpxe"}})
    assert wanted == {
        "shimx64.efi": {"uefi-amd64 of site"},
        "grubx64.efi": {"uefi-amd64 of site"},
        "mine.kpxe": {"bios of node 'a'"},
    }
