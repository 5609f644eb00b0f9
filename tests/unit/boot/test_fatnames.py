"""Names in FAT's directories."""

from __future__ import annotations

import pytest

from kairos_netboot.boot.fatnames import ENTRY, entries_of, read_tree


def aliases(*names: str) -> list[bytes]:
    return [child.alias for child in read_tree([(n, 1) for n in names]).children.values()]


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("BOOTX64.EFI", b"BOOTX64 EFI"),
        ("grub.cfg", b"GRUB    CFG"),
        ("kernel", b"KERNEL     "),
        ("shimaa64.efi", b"SHIMAA64EFI"),
        ("BOOTRISCV64.EFI", b"BOOTRI~1EFI"),
        (".profile", b"PROFIL~1   "),
        ("a b.c", b"AB~1    C  "),
        ("+++", b"_~1        "),
    ],
)
def test_each_file_has_a_short_name(name: str, alias: bytes) -> None:
    assert aliases(name) == [alias]


def test_a_made_up_name_never_takes_one_that_is_real() -> None:
    assert aliases("longname.text", "LONGNA~1.TEX") == [b"LONGNA~2TEX", b"LONGNA~1TEX"]


def test_only_a_name_that_is_more_than_its_short_one_is_written_long() -> None:
    root = read_tree([("KERNEL", 1)])
    assert root.entry_bytes == 3 * ENTRY
    assert read_tree([("kernel", 1)]).entry_bytes == 4 * ENTRY
    assert len(entries_of(root, dict.fromkeys(root.children.values(), 2), b"X" * 11)) == 2 * ENTRY


def test_a_long_name_is_in_unicode_and_ends_with_a_zero() -> None:
    root = read_tree([("grub.cfg", 1)])
    entries = entries_of(root, dict.fromkeys(root.children.values(), 2), b"X" * 11)
    long = entries[ENTRY : 2 * ENTRY]
    assert (long[0], long[11]) == (0x41, 0x0F)
    text = long[1:11] + long[14:26] + long[28:32]
    assert text == "grub.cfg\0".encode("utf-16-le") + b"\xff" * 8
