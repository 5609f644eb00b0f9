from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.layers import index_layers
from kairos_netboot.images.merge import (
    content_size,
    contents,
    header,
    newest_time,
    read_text,
    write_tar,
)
from kairos_netboot.images.tree import Inode, Kind
from tests.images_factory import (
    CAPABILITY,
    Entry,
    file,
    folder,
    hardlink,
    layer,
    nasty_layers,
    stored,
    symlink,
    tar_of,
)


def merge(*layers: list[Entry]) -> tarfile.TarFile:
    return opened(merged_bytes(*layers))


def merged_bytes(*layers: list[Entry]) -> bytes:
    packed, out = stored(*layers), io.BytesIO()
    write_tar(index_layers(packed), packed, out)
    return out.getvalue()


def opened(data: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(data))


def test_the_first_entry_is_the_root() -> None:
    first = merge([folder("./", mode=0o711, uid=4), file("a")]).getmembers()[0]
    assert (first.name, first.isdir(), first.mode, first.uid) == (".", True, 0o711, 4)


def test_each_path_comes_once_and_parents_before_children() -> None:
    packed, out = stored(*nasty_layers()), io.BytesIO()
    write_tar(index_layers(packed), packed, out)
    names = opened(out.getvalue()).getnames()
    assert len(names) == len(set(names))
    for place, name in enumerate(names):
        parent = name.rpartition("/")[0]
        assert not parent or parent in names[:place]


def test_hard_links_come_after_their_target() -> None:
    tar = merge([file("z", b"x"), hardlink("a", "z")], [hardlink("m", "a")])
    members = tar.getmembers()[1:]
    assert [(m.name, m.islnk(), m.linkname) for m in members] == [
        ("a", False, ""),
        ("m", True, "a"),
        ("z", True, "a"),
    ]


def test_a_further_name_of_a_symlink_is_a_hard_link_too() -> None:
    members = merge([symlink("a", "/x"), hardlink("b", "a")]).getmembers()
    assert [(m.name, m.type) for m in members[1:]] == [
        ("a", tarfile.SYMTYPE),
        ("b", tarfile.LNKTYPE),
    ]


def test_contents_and_metadata_arrive_whole() -> None:
    entry = file(
        "f",
        b"body" * 999,
        0o6755,
        uid=70000,
        gid=4_000_000_000,
        xattrs={"security.capability": CAPABILITY, "user.text": b"gr\xc3\xbcn\n="},
    )
    tar = merge([entry])
    info = tar.getmember("f")
    body = tar.extractfile(info)
    assert body is not None
    assert body.read() == b"body" * 999
    assert (info.mode, info.uid, info.gid, info.mtime) == (
        0o6755,
        70000,
        4_000_000_000,
        1_700_000_000,
    )
    values = {
        key: value.encode("utf-8", "surrogateescape") for key, value in info.pax_headers.items()
    }
    assert values["SCHILY.xattr.security.capability"] == CAPABILITY
    assert values["SCHILY.xattr.user.text"] == b"gr\xc3\xbcn\n="


def test_names_that_are_no_utf8_are_kept_byte_for_byte() -> None:
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert merge([file(name, b"x")]).getnames() == [".", name]


def test_the_same_layers_give_the_same_bytes() -> None:
    assert merged_bytes([file("b", b"1"), file("a", b"2")]) == merged_bytes(
        [file("b", b"1"), file("a", b"2")]
    )


def test_a_sparse_file_is_written_whole() -> None:
    # The old GNU form: 1 MiB of nothing with 512 bytes at 4096.
    info = tarfile.TarInfo("sparse")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"00000010000\x0000000001000\x00"
    header[483:495] = b"00004000000\x00"
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    packed = stored(layer(bytes(header) + b"d" * 512 + bytes(1024)), [file("after", b"y")])
    root, out = index_layers(packed), io.BytesIO()
    write_tar(root, packed, out)
    body = opened(out.getvalue()).extractfile("sparse")
    assert body is not None
    assert body.read() == bytes(4096) + b"d" * 512 + bytes((1 << 20) - 4608)
    assert content_size(root) == (1 << 20) + 1


def test_progress_counts_the_bytes_of_files() -> None:
    packed = stored([file("a", b"aaa")], [file("b", b"bbb")])
    root, heard = index_layers(packed), list[int]()
    write_tar(root, packed, io.BytesIO(), heard.append)
    assert heard[-1] == content_size(root) == 6


def test_content_is_counted_once_for_all_names() -> None:
    assert content_size(index_layers(stored([file("a", b"xyz"), hardlink("b", "a")]))) == 3


def test_the_newest_time_is_that_of_any_file_or_the_root() -> None:
    entries = [folder("./", mtime=5), file("a", mtime=9), file("b", mtime=7)]
    assert newest_time(index_layers(stored(entries))) == 9
    assert newest_time(index_layers(stored([folder("./", mtime=5)]))) == 5


def test_targets_of_symlinks_need_no_pax_header() -> None:
    tar = merge([symlink("a", "/" + "long/" * 40), symlink("ü", "/gr\u00fcn")])
    assert [m.pax_headers for m in tar.getmembers()] == [{}] * 3
    assert [m.linkname for m in tar.getmembers()[1:]] == ["/" + "long/" * 40, "/gr\u00fcn"]


def test_texts_are_read_from_whichever_layer_has_them() -> None:
    packed = stored([file("a", b"one"), file("b", b"two")], [file("c", b"bad \xff")])
    root = index_layers(packed)
    found = [read_text(packed, inode) for inode in root.children.values()]
    assert found == ["one", "two", "bad �"]


def test_a_layer_that_shrinks_between_two_readings_is_an_error() -> None:
    packed = stored([file("a", b"x" * 5000)])
    inodes = [i for i in index_layers(packed).children.values() if i.kind is Kind.FILE]
    (other,) = stored(layer(tar_of([file("a", b"x" * 5000)])[:1024]))
    with pytest.raises(ImageProblem, match="layer 1: it ends in the middle"):
        [list(chunks) for _, chunks in contents([other], inodes)]


@given(
    st.sampled_from([Kind.FILE, Kind.DIRECTORY]),
    st.one_of(st.text("ab.é", min_size=1, max_size=110), st.just("n" * 99), st.just("n" * 100)),
    st.integers(0, 0o7777),
    st.sampled_from([0, 7, 0o7777777, 0o10000000]),
    st.sampled_from([0, 1, 0o77777777777, 0o100000000000]),
    st.integers(0, 2**32 - 1),
)
@example(Kind.FILE, "n" * 99, 0o644, 0, 0, 0)
@example(Kind.DIRECTORY, "n" * 99, 0o755, 0, 0, 0)
def test_a_header_written_at_once_is_what_the_library_writes(
    kind: Kind, path: str, mode: int, owner: int, size: int, mtime: int
) -> None:
    inode = Inode(kind=kind, mode=mode, uid=owner, gid=owner, size=size, mtime=mtime)
    info = tarfile.TarInfo(path)
    info.type = tarfile.DIRTYPE if kind is Kind.DIRECTORY else tarfile.REGTYPE
    info.mode, info.uid, info.gid = mode, owner, owner
    info.size, info.mtime = size, mtime
    assert header(path, inode) == info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
