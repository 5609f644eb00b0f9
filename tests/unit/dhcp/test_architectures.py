from __future__ import annotations

import pytest

from kairos_netboot.dhcp.architectures import ARCHITECTURES, choose
from kairos_netboot.values import IMAGE_ARCHES, Arch, Firmware

BIOS, UEFI, UBOOT, RASPBERRY = Firmware.BIOS, Firmware.UEFI, Firmware.UBOOT, Firmware.RASPBERRY
# (firmware, architecture) → plain numbers, numbers that mean HTTP; by IANA's registry.
USES = {
    (BIOS, Arch.AMD64): ({0}, {20}),
    (UEFI, Arch.I386): ({6}, {15}),
    (UEFI, Arch.AMD64): ({7, 9}, {16, 17}),
    (UEFI, Arch.ARM): ({10}, {18}),
    (UEFI, Arch.ARM64): ({11}, {19}),
    (UEFI, Arch.RISCV64): ({27}, {28}),
    (UEFI, Arch.LOONG64): ({39}, {40}),
    (UBOOT, Arch.ARM): ({21}, {23}),
    (UBOOT, Arch.ARM64): ({22}, {24}),
    (RASPBERRY, Arch.ARM64): ({41}, set()),
}


def test_the_registry_is_whole() -> None:
    assert list(ARCHITECTURES) == list(range(42))
    assert all(row.number == number and row.name for number, row in ARCHITECTURES.items())


@pytest.mark.parametrize(("firmware", "arch"), USES)
def test_each_use_has_its_numbers(firmware: Firmware, arch: Arch) -> None:
    rows = [r for r in ARCHITECTURES.values() if (r.firmware, r.arch) == (firmware, arch)]
    plain, http = ({r.number for r in rows if r.http is kind} for kind in (False, True))
    assert (plain, http) == USES[firmware, arch]


def test_what_the_name_says_of_http_is_so() -> None:
    assert all(row.http == ("http" in row.name.lower()) for row in ARCHITECTURES.values())


@pytest.mark.parametrize(
    ("numbers", "chosen"),
    [
        ([], None),
        ([0x100], None),
        ([7], 7),
        ([0x100, 7], 7),  # the first we know
        ([11, 7], 11),
        ([6, 7], 7),  # x86 UEFI that runs x64 programs, too: there are images for those
        ([1, 6], 6),
        ([12, 31], 12),
    ],
)
def test_of_several_the_one_of_most_use_is_chosen(numbers: list[int], chosen: int | None) -> None:
    row = choose(numbers)
    assert (row.number if row else None) == chosen


def test_images_are_made_for_three_architectures() -> None:
    assert {row.arch for row in ARCHITECTURES.values()} > set(IMAGE_ARCHES)
