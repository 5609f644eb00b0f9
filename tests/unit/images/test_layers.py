from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images import layers as module
from kairos_netboot.images import streams
from kairos_netboot.images.layers import index_layers
from kairos_netboot.images.merge import contents
from kairos_netboot.images.tree import Inode, Kind, find, walk
from tests.images_factory import (
    CAPABILITY,
    Entry,
    PackedLayer,
    device,
    file,
    folder,
    hardlink,
    layer,
    opaque,
    stored,
    symlink,
    tar_of,
    whiteout,
)


def merged(*layers: PackedLayer | Iterable[Entry]) -> dict[str, Inode]:
    return dict(walk(index_layers(stored(*layers))))


def text(path: str, *layers: PackedLayer | Iterable[Entry]) -> bytes:
    packed = stored(*layers)
    found = find(index_layers(packed), path)
    assert found is not None
    return b"".join(b"".join(chunks) for _, chunks in contents(packed, [found.inode]))


def test_the_upper_layer_wins() -> None:
    assert text("f", [file("f", b"low")], [file("f", b"high")]) == b"high"


def test_the_last_entry_of_a_layer_wins() -> None:
    assert text("f", [file("f", b"first"), file("f", b"last")]) == b"last"


def test_a_whiteout_removes_a_file() -> None:
    assert list(merged([file("f"), file("g")], [whiteout("f")])) == ["g"]


def test_a_whiteout_removes_a_directory_with_all_in_it() -> None:
    assert list(merged([folder("d"), file("d/a/b")], [whiteout("d")])) == []


def test_a_whiteout_of_nothing_there_changes_nothing() -> None:
    assert list(merged([file("f")], [whiteout("g"), whiteout("no/such/place")])) == ["f"]


@pytest.mark.parametrize("first", [True, False])
def test_a_whiteout_spares_what_its_own_layer_brings(first: bool) -> None:
    upper = [folder("d"), file("d/new")]
    upper = [whiteout("d"), *upper] if first else [*upper, whiteout("d")]
    assert list(merged([folder("d"), file("d/old")], upper)) == ["d", "d/new"]


@pytest.mark.parametrize("first", [True, False])
def test_an_opaque_directory_hides_the_lower_ones_wherever_its_mark_stands(first: bool) -> None:
    upper = [file("d/new"), file("d/sub/new")]
    upper = [opaque("d"), *upper] if first else [*upper, opaque("d")]
    lower = [folder("d", mode=0o700), file("d/old"), file("d/sub/old")]
    found = merged(lower, upper)
    assert list(found) == ["d", "d/new", "d/sub", "d/sub/new"]
    assert found["d"].mode == 0o700


def test_the_files_of_aufs_itself_are_no_whiteouts() -> None:
    assert list(merged([file("plnk")], [file(".wh..wh.plnk"), file(".wh..wh.aufs")])) == ["plnk"]


def test_whiteouts_leave_no_entry_of_their_own() -> None:
    assert list(merged([whiteout("x"), file("y")])) == ["y"]


@pytest.mark.parametrize("name", [".wh.", "d/.wh..", ".wh..."])
def test_a_whiteout_without_a_name_is_refused(name: str) -> None:
    with pytest.raises(ImageProblem, match=r"layer 2: .* whiteout of nothing"):
        merged([folder("d")], [file(name)])


def test_a_file_becomes_a_directory_and_back() -> None:
    up = [whiteout("x"), folder("x"), file("x/in")]
    assert list(merged([file("x")], up)) == ["x", "x/in"]
    back = merged([file("x")], up, [file("x", b"file")])
    assert back["x"].kind is Kind.FILE
    assert list(back) == ["x"]


def test_a_directory_over_a_file_needs_no_whiteout() -> None:
    assert list(merged([file("x")], [file("x/in")])) == ["x", "x/in"]


def test_a_directory_over_a_directory_keeps_its_content_and_takes_the_new_owner() -> None:
    found = merged([folder("d"), file("d/f")], [folder("d", mode=0o711, uid=7)])
    assert (found["d"].mode, found["d"].uid, "d/f" in found) == (0o711, 7, True)


def test_a_directory_over_a_symlink_replaces_it() -> None:
    found = merged([folder("real"), file("real/f"), symlink("d", "real")], [folder("d")])
    assert found["d"].kind is Kind.DIRECTORY
    assert "d/f" not in found


def test_a_file_below_a_symlink_lands_where_the_link_points() -> None:
    found = merged([folder("usr/lib"), symlink("lib", "/usr/lib")], [file("lib/f")])
    assert "usr/lib/f" in found
    assert found["lib"].kind is Kind.SYMLINK


def test_a_symlink_out_of_the_image_writes_inside_it() -> None:
    found = merged([symlink("up", "../../..")], [file("up/f")])
    assert list(found) == ["f", "up"]


def test_hard_links_share_one_inode_across_layers() -> None:
    found = merged([file("a", b"x")], [hardlink("b", "a")])
    assert found["a"] is found["b"]


def test_a_hard_link_keeps_its_inode_when_the_target_is_replaced_above() -> None:
    layers = ([file("a", b"old"), hardlink("b", "./a")], [file("a", b"new")])
    assert text("b", *layers) == b"old"
    assert text("a", *layers) == b"new"


def test_a_hard_link_outlives_a_whiteout_of_its_target() -> None:
    assert list(merged([file("a", b"x"), hardlink("b", "a")], [whiteout("a")])) == ["b"]


def test_a_hard_link_to_a_symlink_shares_the_link() -> None:
    found = merged([symlink("a", "t"), hardlink("b", "a")])
    assert found["b"] is found["a"]
    assert found["b"].kind is Kind.SYMLINK


@pytest.mark.parametrize("target", ["missing", "d", "/", "d/none"])
def test_a_hard_link_to_no_file_is_refused(target: str) -> None:
    with pytest.raises(ImageProblem, match=r"layer 2: 'l' is a hard link to .*, no file here"):
        merged([folder("d")], [hardlink("l", target)])


def test_absolute_names_count_from_the_images_root() -> None:
    assert list(merged([file("/etc/f"), hardlink("/g", "/etc/f")])) == ["etc", "etc/f", "g"]


@pytest.mark.parametrize(
    "entry", [file("../x"), file("a/../../x"), hardlink("x", "../etc/shadow"), whiteout("../x")]
)
def test_names_that_lead_out_are_refused_by_layer_and_entry(entry: Entry) -> None:
    with pytest.raises(ImageProblem, match=f"layer 2: '{entry.name}' leads out of the image"):
        merged([folder("a")], [entry])


def test_metadata_is_kept() -> None:
    entry = file(
        "f", b"x", 0o4755, uid=70000, gid=4_000_000_000, xattrs={"security.capability": CAPABILITY}
    )
    found = merged([entry, device("n", tarfile.CHRTYPE, 1, 3)])
    assert (found["f"].mode, found["f"].uid, found["f"].gid) == (0o4755, 70000, 4_000_000_000)
    value = found["f"].xattrs["security.capability"].encode("utf-8", "surrogateescape")
    assert value == CAPABILITY
    assert (found["n"].kind, found["n"].device) == (Kind.CHARACTER, (1, 3))


def test_attributes_that_squashfs_cannot_hold_are_left_out() -> None:
    attributes = {"system.posix_acl_access": b"x", "user.kept": b"y"}
    assert merged([file("f", xattrs=attributes)])["f"].xattrs == {"user.kept": "y"}


@pytest.mark.parametrize(("mtime", "kept"), [(-5, 0), (12.75, 12), (2**40, 2**32 - 1)])
def test_times_are_those_squashfs_can_hold(mtime: float, kept: int) -> None:
    assert merged([file("f", mtime=mtime)])["f"].mtime == kept


def test_the_root_has_the_metadata_of_its_own_entry() -> None:
    root = index_layers(stored([folder("./", mode=0o711, uid=3)]))
    assert (root.mode, root.uid) == (0o711, 3)


def test_long_names_of_both_tar_dialects_are_kept() -> None:
    names = ["d/" + "n" * 200, "d/grüße", "e" * 150 + "/f"]
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        found = merged(layer(tar_of([file(name) for name in names], form)))
        assert set(names) <= set(found)


def test_a_layer_with_more_entries_than_allowed_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    with pytest.raises(ImageProblem, match="layer 2: more than 3 entries"):
        merged([file("a"), file("b")], [file("c"), file("d")])


def test_layers_together_are_bounded_by_the_bytes_of_their_tars(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "MAX_UNPACKED", 25 << 10)
    one = layer(tar_of([file("f")]) + bytes(5 << 10))
    merged(one)
    with pytest.raises(ImageProblem, match="layer 2: more than"):
        merged(one, one)


def test_a_sparse_file_counts_with_its_holes() -> None:
    info = tarfile.TarInfo("GNUSparseFile.0/f")
    kept = {"major": "1", "minor": "0", "name": "f", "realsize": str(1 << 60)}
    info.size, info.pax_headers = 512, {f"GNU.sparse.{key}": text for key, text in kept.items()}
    tar = info.tobuf(tarfile.PAX_FORMAT) + b"0\n".ljust(512, b"\0") + bytes(1024)
    with pytest.raises(ImageProblem, match="layer 1: with 'f' it has more than 16 GiB"):
        merged(layer(tar))


@pytest.mark.parametrize(
    "entry",
    [
        file("f", xattrs={"user.x": b"v" * 2000}),
        file("f", xattrs={f"user.{number}": b"" for number in range(9)}),
        file("\U0001f600" + "n" * 600),
        symlink("f", "t" * 2100),
    ],
    ids=["attribute", "many-attributes", "wide-characters", "target"],
)
def test_names_and_attributes_are_bounded_by_the_memory_that_they_take(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WORDS", 2000)
    with pytest.raises(ImageProblem, match="of names, links and attributes"):
        merged([entry])


def test_a_path_of_absurd_depth_is_refused() -> None:
    with pytest.raises(ImageProblem, match="deeper than 255"):
        merged([file("d/" * 300 + "f")])


def test_a_name_that_linux_cannot_list_is_refused() -> None:
    assert list(merged([file("ü" * 127)])) == ["ü" * 127]
    with pytest.raises(ImageProblem, match="has a name of more than 255 bytes"):
        merged([file("ü" * 128)])


@pytest.mark.parametrize("target", ["", "x" * 4096])
def test_a_symlink_that_linux_cannot_follow_is_refused(target: str) -> None:
    with pytest.raises(ImageProblem, match="symbolic link to nothing Linux can follow"):
        merged([symlink("s", target)])


def test_a_header_of_absurd_size_is_refused() -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 33
    with pytest.raises(ImageProblem, match="layer 1 cannot be read: a header of"):
        merged(layer(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))


def test_an_unknown_type_of_entry_is_refused() -> None:
    with pytest.raises(ImageProblem, match="layer 1: 'f' is of the unknown type"):
        merged([Entry(name="f", type=b"9")])


def test_rubbish_between_entries_is_not_taken_for_the_end() -> None:
    tar = tar_of([file("a")])[:512] + b"rubbish!" * 64 + tar_of([file("b")])
    with pytest.raises(ImageProblem, match=r"layer 1 cannot be read: .* at byte 512"):
        merged(layer(tar))


@pytest.mark.parametrize("keep", [100, 512 + 100, 512 + 1000])
def test_a_truncated_tar_is_refused(keep: int) -> None:
    with pytest.raises(ImageProblem, match="layer 1 cannot be read"):
        merged(layer(tar_of([file("a", b"x" * 1000)])[:keep]))


@given(st.binary(max_size=1500))
def test_any_bytes_are_a_layer_or_an_image_problem(data: bytes) -> None:
    with contextlib.suppress(ImageProblem):
        merged(layer(data))


@given(st.integers(0, 511), st.binary(min_size=1, max_size=12))
def test_a_header_with_any_bytes_changed_is_read_or_is_an_image_problem(
    at: int, change: bytes
) -> None:
    tar = bytearray(tar_of([file("a", b"x" * 600), folder("d"), file("d/b")]))
    tar[at : at + len(change)] = change
    header = tar[:148] + b" " * 8 + tar[156:512]
    tar[148:156] = f"{sum(header):06o}\0 ".encode()
    with contextlib.suppress(ImageProblem):
        merged(layer(bytes(tar)))
