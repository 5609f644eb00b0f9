"""What is in the \\EFI\\BOOT of a FAT that others made."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.images.efi_image import boot_names

needs_mtools = pytest.mark.skipif(not shutil.which("mformat"), reason="no mtools")


def mtools(image: Path, *command: str, data: bytes = b"") -> None:
    name, *rest = command
    argv = [name, "-i", str(image), *rest]
    subprocess.run(argv, check=True, capture_output=True, input=data)


@needs_mtools
@pytest.mark.parametrize(
    "options", [("-f", "1440"), ("-T", "40000", "-c", "1"), ("-T", "80000", "-F")]
)
def test_each_kind_of_fat_is_read(tmp_path: Path, options: tuple[str, ...]) -> None:
    image = tmp_path / "image"
    mtools(image, "mformat", "-C", *options, "::")
    for folder in ("loader", "EFI", "EFI/kairos", "EFI/BOOT"):
        mtools(image, "mmd", f"::{folder}")
    names = [f"a long name of a file {n}.efi" for n in range(40)]
    for name in (*names, "BOOTX64.EFI", "gone.efi"):
        mtools(image, "mcopy", "-", f"::EFI/BOOT/{name}", data=b"x")
    mtools(image, "mdel", "::EFI/BOOT/gone.efi")
    with image.open("rb") as file:
        found = boot_names(file, 0)
    assert len(found) == 2 + 41
    assert found[-1] == b"BOOTX64 EFI"


@needs_mtools
def test_a_file_system_without_that_folder_has_nothing(tmp_path: Path) -> None:
    image = tmp_path / "image"
    mtools(image, "mformat", "-C", "-f", "1440", "::")
    mtools(image, "mcopy", "-", "::EFI", data=b"a file of that name")
    with image.open("rb") as file:
        assert boot_names(file, 0) == []


@given(st.binary(max_size=600), st.integers(0, 100))
def test_any_bytes_are_read_or_are_nothing(data: bytes, start: int) -> None:
    assert boot_names(io.BytesIO(data), start) == []
    assert boot_names(io.BytesIO(data.ljust(510, b"\0")[:510] + b"\x55\xaa"), 0) == []
