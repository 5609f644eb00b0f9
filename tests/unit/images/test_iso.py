from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycdlib import PyCdlib

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.files import BootParts
from kairos_netboot.images.iso import extract_iso

ROOTFS = (Path(__file__).parent / "captures" / "zstd.squashfs").read_bytes()
FILES = {
    "/boot/kernel": bytes(0x202) + b"HdrS" + bytes(5000),
    "/boot/initrd": b"070701" + bytes(5000),
    "/rootfs.squashfs": ROOTFS,
    "/boot/grub2/grub.cfg": b"menu",
}
SHORT = {
    "/boot": "/BOOT",
    "/boot/grub2": "/BOOT/GRUB2",
    "/boot/kernel": "/BOOT/KERNEL.;1",
    "/boot/initrd": "/BOOT/INITRD.;1",
    "/rootfs.squashfs": "/ROOTFS.SQU;1",
    "/boot/grub2/grub.cfg": "/BOOT/GRUB2/GRUB.CFG;1",
}
KINDS = ["plain", "rock ridge", "joliet", "both"]


def names(path: str, kind: str) -> dict[str, Any]:
    found = {"iso_path": SHORT[path]}
    if kind in ("rock ridge", "both"):
        found["rr_name"] = path.rpartition("/")[2]
    if kind in ("joliet", "both"):
        found["joliet_path"] = path
    return found


def iso_of(files: dict[str, bytes], kind: str = "both") -> bytes:
    iso = PyCdlib()
    iso.new(
        rock_ridge="1.09" if kind in ("rock ridge", "both") else None,
        joliet=3 if kind in ("joliet", "both") else None,
    )
    for directory in ("/boot", "/boot/grub2"):
        iso.add_directory(**names(directory, kind))
    for path, data in files.items():
        iso.add_fp(io.BytesIO(data), len(data), **names(path, kind))
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()


def extract(directory: Path, data: bytes) -> BootParts:
    (directory / "kairos.iso").write_bytes(data)
    (directory / "scratch").mkdir(exist_ok=True)
    return extract_iso(directory / "kairos.iso", directory / "scratch")


@pytest.mark.parametrize("kind", KINDS)
def test_the_boot_files_come_out_whatever_names_the_iso_has(tmp_path: Path, kind: str) -> None:
    parts = extract(tmp_path, iso_of(FILES, kind))
    assert parts.kernel.read_bytes() == FILES["/boot/kernel"]
    assert parts.initrd.read_bytes() == FILES["/boot/initrd"]
    assert parts.rootfs.read_bytes() == ROOTFS


def test_progress_ends_at_the_sum_of_the_three(tmp_path: Path) -> None:
    (tmp_path / "kairos.iso").write_bytes(iso_of(FILES))
    heard: list[tuple[int, int]] = []
    extract_iso(tmp_path / "kairos.iso", tmp_path, lambda done, total: heard.append((done, total)))
    total = sum(len(data) for path, data in FILES.items() if "grub" not in path)
    assert heard[-1] == (total, total)
    assert heard == sorted(heard)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", ["/boot/kernel", "/boot/initrd", "/rootfs.squashfs"])
def test_what_an_iso_lacks_is_named(tmp_path: Path, kind: str, missing: str) -> None:
    files = {path: data for path, data in FILES.items() if path != missing}
    with pytest.raises(ImageProblem, match=f"it has no {missing}, .* trusted boot"):
        extract(tmp_path, iso_of(files, kind))


@pytest.mark.parametrize("empty", ["/boot/kernel", "/boot/initrd", "/rootfs.squashfs"])
def test_what_is_not_what_it_is_called_is_named(tmp_path: Path, empty: str) -> None:
    with pytest.raises(ImageProblem, match=f"its {empty}.* it is empty"):
        extract(tmp_path, iso_of(FILES | {empty: b""}))


@pytest.mark.parametrize("lost", [1, 2048, 20_000])
def test_an_iso_that_is_cut_off_is_told(tmp_path: Path, lost: int) -> None:
    whole = iso_of(FILES)
    with pytest.raises(ImageProblem, match=r"it is cut off: it has .* bytes of .*: get it again"):
        extract(tmp_path, whole[:-lost])


def test_files_larger_than_the_iso_are_refused(tmp_path: Path) -> None:
    data = bytearray(iso_of(FILES, "plain"))
    for name in (b"KERNEL.;1", b"INITRD.;1"):
        place = data.index(bytes([len(name)]) + name) - 32
        data[place + 2 : place + 10] = root_record(data)  # all of it, twice
        size = len(data) - 60_000
        data[place + 10 : place + 18] = size.to_bytes(4, "little") + size.to_bytes(4, "big")
    with pytest.raises(ImageProblem):
        extract(tmp_path, bytes(data))


@pytest.mark.parametrize("data", [b"", b"no iso" * 10_000, bytes(100_000)])
def test_what_is_no_iso_is_told_another_way(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ImageProblem, match=r"no ISO that can be read .*files:kernel=X"):
        extract(tmp_path, data)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ImageProblem, match="there is no such file"):
            extract_iso(path, tmp_path)


def root_record(data: bytearray) -> bytearray:
    """Where the root directory lies: the first fields of its record, from its descriptor."""
    return data[16 * 2048 + 158 : 16 * 2048 + 166]


def test_a_directory_that_holds_itself_is_refused(tmp_path: Path) -> None:
    data = bytearray(iso_of(FILES, "plain"))
    place = data.index(b"\x04BOOT") - 32
    data[place + 2 : place + 10] = root_record(data)
    with pytest.raises(ImageProblem, match="form a loop"):
        extract(tmp_path, bytes(data))


def test_lists_without_end_are_not_read_to_the_end(tmp_path: Path) -> None:
    data = bytearray(iso_of(FILES, "plain"))
    record = 16 * 2048 + 156
    size = 1 << 30
    data[record + 10 : record + 18] = size.to_bytes(4, "little") + size.to_bytes(4, "big")
    path = tmp_path / "kairos.iso"
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(2 * size)
    with pytest.raises(ImageProblem, match="lists more files than a Kairos ISO"):
        extract_iso(path, tmp_path)


WHOLE = iso_of(FILES)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 30 * 2048), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, len(WHOLE)),
)
def test_a_damaged_iso_is_read_or_an_image_problem(damage: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(WHOLE)
    for place, value in damage:
        data[16 * 2048 + place % (len(data) - 16 * 2048)] = value
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ImageProblem):
        extract(Path(folder), bytes(data[: len(data) - cut % 4 * cut]))
