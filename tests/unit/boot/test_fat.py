"""FAT volumes as other programs see them: mtools reads, fsck.fat checks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kairos_netboot.boot.fat import LARGEST_FILE, SECTOR, Span, Volume, layout
from kairos_netboot.errors import InvalidValue

needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("mcopy", "fsck.fat"))), reason="no mtools, no dosfstools"
)

BOOT = {
    "EFI/BOOT/BOOTX64.EFI": b"shim" * 1000,
    "EFI/BOOT/grubx64.efi": b"grub",
    "grub/grub.cfg": b"boot\n",
    "kernel": bytes(range(256)) * 40,
    "empty": b"",
}
# Signs that DOS names may have, that only long names have, and that mtools takes for no pattern.
_names = st.from_regex(r"[A-Za-z0-9_~][A-Za-z0-9_ .+-]{0,30}[A-Za-z0-9_-]", fullmatch=True)
_folders = st.from_regex(r"(?:dir[A-Z]{0,12}/){0,3}", fullmatch=True)
_files = st.dictionaries(
    st.builds(lambda folder, name: folder + name, _folders, _names),
    st.binary(max_size=5000),
    max_size=30,
)


def made(files: Mapping[str, bytes]) -> Volume:
    return layout([(path, len(data)) for path, data in files.items()])


def content(files: Mapping[str, bytes], volume: Volume) -> bytes:
    return b"".join(
        files[p.path][p.offset : p.offset + p.count] if isinstance(p, Span) else p
        for p in volume.pieces
    )


def names_one_thing_twice(paths: Iterable[str]) -> bool:
    """FAT knows no small letters: each step of a path may be spelt in one way only."""
    steps = {
        "/".join(path.split("/")[:depth])
        for path in paths
        for depth in range(1, path.count("/") + 2)
    }
    is_file_too = any(a.upper().startswith(b.upper() + "/") for a in paths for b in paths)
    return len({step.upper() for step in steps}) < len(steps) or is_file_too


def read_back(image: Path, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    command = ["mcopy", "-s", "-n", "-i", str(image), "::", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def check(image: Path) -> str:
    """What fsck.fat says; it must have nothing to mend."""
    done = subprocess.run(["fsck.fat", "-n", "-v", str(image)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


@needs_tools
def test_a_boot_medium_is_read_as_it_was_made(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(content(BOOT, made(BOOT)))
    assert "16 bit entries" in check(image)
    assert read_back(image, tmp_path / "out") == BOOT


@needs_tools
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_files)
@example({})
@example({"a": b""})
@example({"LONGNA~1.TXT": b"1", "longname.txt.old": b"2", "longname.text": b"3"})
@example({f"many-names-of-one-kind-{n}": b"%d" % n for n in range(300)})
@example({f"d/{'x' * 255}": b"long", "d/.profile": b"dot"})
def test_any_set_of_files_comes_back(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    if names_one_thing_twice(files):
        with pytest.raises(InvalidValue, match="twice"):
            made(files)
        return
    volume = made(files)
    folder = tmp_path_factory.mktemp("fat")
    image = folder / "image"
    image.write_bytes(content(files, volume))
    assert image.stat().st_size == volume.size
    check(image)
    assert read_back(image, folder / "out") == files


@needs_tools
@pytest.mark.parametrize(
    ("size", "bits"), [(150 << 20, "16 bit"), (180 << 20, "32 bit"), (4_097 << 20, "32 bit")]
)
def test_large_volumes_are_sound(tmp_path: Path, size: int, bits: str) -> None:
    """Holes in place of the files: only what is around them is written."""
    sizes = {"kernel": 9_000_000, "initrd": min(size, LARGEST_FILE), "more": size // 2}
    volume = layout([*sizes.items(), ("EFI/BOOT/BOOTX64.EFI", 1)])
    image = tmp_path / "image"
    with image.open("wb") as file:
        for piece in volume.pieces:
            if isinstance(piece, Span):
                file.seek(piece.count, 1)
            else:
                file.write(piece)
        file.truncate(volume.size)
    assert bits in check(image)


@given(st.integers(-10, 3_000_000), st.integers(0, 3_000_000))
@example(0, 1)
@example(SECTOR - 1, 2)
@example(2_500_000, 1_000_000)
def test_a_part_of_a_volume_is_the_same_bytes(start: int, count: int) -> None:
    whole = content(BOOT, made(BOOT))
    cut = Volume(tuple(made(BOOT).cut(start, count)))
    assert content(BOOT, cut) == whole[max(start, 0) : max(start + count, 0)]
    assert cut.size == len(content(BOOT, cut))


def test_the_same_files_give_the_same_volume() -> None:
    assert made(BOOT) == made(dict(BOOT))


def test_files_of_a_volume_are_named_and_not_read() -> None:
    spans = [piece for piece in made(BOOT).pieces if isinstance(piece, Span)]
    named = {span.path: (span.offset, span.count) for span in spans}
    assert named == {path: (0, len(data)) for path, data in BOOT.items() if data}


@pytest.mark.parametrize(
    "paths",
    [
        ("a", "A"),
        ("a", "a/b"),
        ("EFI/x", "efi/y"),
        ("",),
        ("a//b",),
        ("../a",),
        ("a.",),
        ("a ",),
        (" a",),
        ("a:b",),
        ("ä",),
        ("x" * 256,),
        ("d/" * 200 + "x",),
    ],
)
def test_what_fat_has_no_name_for_is_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(InvalidValue):
        layout([(path, 1) for path in paths])


@pytest.mark.parametrize("size", [-1, LARGEST_FILE + 1])
def test_a_file_that_is_too_large_is_refused(size: int) -> None:
    with pytest.raises(InvalidValue, match="kernel has"):
        layout([("kernel", size)])


def test_more_names_than_a_fat16_root_can_hold_are_refused() -> None:
    with pytest.raises(InvalidValue, match="names at the root"):
        layout([(f"{n:05}{'x' * 200}", 0) for n in range(4_200)])
