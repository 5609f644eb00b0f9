"""The captures are made by mksquashfs 4.5.1 with blocks of 4096 bytes: three of one tree, and
`plain` of a smaller one with nothing packed."""

from __future__ import annotations

import contextlib
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.rootfs import find_boot_files
from kairos_netboot.images.squashfs_reader import copy_out, read_text, read_tree
from kairos_netboot.images.tree import Kind

CAPTURES = Path(__file__).parent / "captures"
PACKINGS = ["gzip", "zstd", "xz"]
KERNEL = bytes(range(256)) * 40


def capture(packing: str) -> Path:
    return CAPTURES / f"{packing}.squashfs"


@pytest.fixture(params=PACKINGS)
def squashfs(request: pytest.FixtureRequest) -> Path:
    return capture(request.param)


def test_what_an_image_boots_from_is_found_in_it(squashfs: Path, tmp_path: Path) -> None:
    boot = find_boot_files(read_tree(squashfs))
    assert boot.kernel_version == "6.1.0"
    target = copy_out(squashfs, boot.kernel.path, tmp_path / "kernel")
    assert target.read_bytes() == KERNEL
    assert copy_out(squashfs, boot.initrd.path, tmp_path / "i").read_bytes() == b"initrd " * 1000
    assert boot.release
    assert read_text(squashfs, boot.release.path) == 'KAIROS_VERSION="v4.2.0"\n'


ODD_NAMES = [
    "a b",
    'q"uote',
    "back\\slash",
    "new\nline",
    "dir x 0644 0 0\nfile y 0644 0 0",
    "grüße",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_are_taken_as_they_are(squashfs: Path, name: str) -> None:
    assert read_text(squashfs, f"/{name}") == name
    assert read_tree(squashfs).children[name].size == len(name.encode())


def test_names_that_are_not_utf8_lead_to_their_files(squashfs: Path) -> None:
    assert read_text(squashfs, "\udcff raw") == "raw"
    assert "\udcff raw" in read_tree(squashfs).children


def test_each_kind_is_known_and_sockets_are_left_out(squashfs: Path) -> None:
    root = read_tree(squashfs)
    kinds = {name: root.children[name].kind for name in ("null", "disk", "pipe", "link", "boot")}
    assert kinds == {
        "null": Kind.CHARACTER,
        "disk": Kind.BLOCK,
        "pipe": Kind.FIFO,
        "link": Kind.SYMLINK,
        "boot": Kind.DIRECTORY,
    }
    assert "sock" not in root.children
    assert root.children["link"].target == "/nowhere/far"


def test_names_of_one_file_lead_to_one_inode(squashfs: Path) -> None:
    root = read_tree(squashfs)
    assert root.children["one"] is root.children["two"]
    assert root.children["one"] is not root.children["attr"]


def test_a_directory_of_many_names_is_read_whole(squashfs: Path) -> None:
    many = read_tree(squashfs).children["many"].children
    assert sorted(many) == [f"{number:03}" for number in range(300)]


def test_a_sparse_file_has_zeros_where_nothing_is_stored(squashfs: Path, tmp_path: Path) -> None:
    expected = b"x" * 4096 + bytes(8192) + b"y" * 4096 + bytes(10)
    assert copy_out(squashfs, "/sparse", tmp_path / "sparse").read_bytes() == expected


@pytest.mark.parametrize(("inner", "content"), [("/boot/empty", ""), ("/attr", "attr")])
def test_files_empty_or_with_attributes_are_read(squashfs: Path, inner: str, content: str) -> None:
    assert read_text(squashfs, inner) == content


@pytest.mark.parametrize("inner", ["/none", "/boot/none", "/boot/initrd/none", "/boot", "/link"])
def test_what_is_no_file_in_it_is_an_image_problem(squashfs: Path, inner: str) -> None:
    with pytest.raises(ImageProblem):
        read_text(squashfs, inner)


def changed(directory: Path, changes: dict[int, bytes], packing: str = "zstd") -> Path:
    data = bytearray(capture(packing).read_bytes())
    for offset, part in changes.items():
        data[offset : offset + len(part)] = part
    path = directory / "changed.squashfs"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({0: b"xxxx"}, "it is no squashfs"),
        ({28: struct.pack("<H", 3)}, r"version 3\.0: only 4\.0"),
        ({12: struct.pack("<I", 5000)}, "damaged: blocks of 5000 bytes"),
        ({20: struct.pack("<H", 5)}, "packed with lz4: make it with zstd, xz or gzip"),
        ({20: struct.pack("<H", 77)}, "packed with method 77"),
        ({40: struct.pack("<Q", 1 << 40)}, "cut off: get it again"),
        ({64: struct.pack("<Q", (1 << 64) - 1)}, "damaged: it ends early"),
        ({32: struct.pack("<Q", (1 << 64) - 1)}, "damaged"),
    ],
)
def test_a_superblock_that_cannot_be_is_an_image_problem(
    tmp_path: Path, changes: dict[int, bytes], words: str
) -> None:
    with pytest.raises(ImageProblem, match=words):
        read_tree(changed(tmp_path, changes))


def test_a_squashfs_that_is_cut_off_is_told(tmp_path: Path, squashfs: Path) -> None:
    (tmp_path / "cut").write_bytes(squashfs.read_bytes()[:-100])
    with pytest.raises(ImageProblem, match="cut off: get it again"):
        read_tree(tmp_path / "cut")


def test_a_text_that_is_none_is_not_read(tmp_path: Path) -> None:
    plain = (CAPTURES / "plain.squashfs").read_bytes()
    table = int.from_bytes(plain[64:72], "little")
    place = plain.index(struct.pack("<4I", 0, 0, 0, 2), table) + 12  # ..., size 2
    (tmp_path / "large").write_bytes(plain[:place] + b"\1\0\x10\0" + plain[place + 4 :])
    with pytest.raises(ImageProblem, match="a file of 1048577 bytes where 1048576 do"):
        read_text(tmp_path / "large", "/a/x")


def with_entry(directory: Path, name: bytes, offset: bytes | None, changed: bytes) -> Path:
    """The capture with nothing packed, one name of its root, or where it leads, changed."""
    data = bytearray((CAPTURES / "plain.squashfs").read_bytes())
    place = data.index(struct.pack("<HH", 1, 0) + name)
    data[place + 4 : place + 5] = changed
    if offset is not None:
        data[place - 4 : place - 2] = offset
    path = directory / "changed.squashfs"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", [b"/", b"\0", b"."])
def test_names_that_no_file_can_have_are_refused(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(ImageProblem, match=r"has a file named .*: do not use it"):
        read_tree(with_entry(tmp_path, b"a", None, name))


def test_a_directory_in_two_places_is_refused(tmp_path: Path) -> None:
    data = (CAPTURES / "plain.squashfs").read_bytes()
    place = data.index(struct.pack("<HH", 1, 0) + b"a")
    with pytest.raises(ImageProblem, match="damaged: it lists a directory twice"):
        read_tree(with_entry(tmp_path, b"b", data[place - 4 : place - 2], b"b"))


def test_a_directory_that_lists_itself_is_refused(tmp_path: Path) -> None:
    data = (CAPTURES / "plain.squashfs").read_bytes()
    with pytest.raises(ImageProblem, match="damaged: it lists a directory twice"):
        read_tree(with_entry(tmp_path, b"a", data[32:34], b"a"))


@settings(max_examples=300)
@given(
    st.sampled_from([*PACKINGS, "plain"]),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 3),
)
def test_a_damaged_squashfs_is_read_or_an_image_problem(
    packing: str, damage: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(capture(packing).read_bytes())
    for place, value in damage:
        data[-1 - place % len(data)] = value
    with tempfile.NamedTemporaryFile() as file, contextlib.suppress(ImageProblem):
        file.write(data[: len(data) - cut])
        file.flush()
        read_tree(Path(file.name))
        read_text(Path(file.name), "/etc/kairos-release")


@given(st.binary(max_size=200))
@example(b"")
@example(b"hsqs")
def test_arbitrary_bytes_are_no_squashfs(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with pytest.raises(ImageProblem):
            read_tree(Path(file.name))
