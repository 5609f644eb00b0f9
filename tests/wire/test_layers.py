"""Every nasty image, as our squashfs and as the tree that `umoci unpack` makes of it as root."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from kairos_netboot.boot.site import Compression
from kairos_netboot.images import squashfs
from kairos_netboot.images.layers import index_layers
from kairos_netboot.images.merge import newest_time, write_tar
from kairos_netboot.images.onepass import NotPlain, write_plain
from kairos_netboot.images.squashfs import Builder
from kairos_netboot.images.streams import StoredLayer
from kairos_netboot.images.tree import new_root
from tests.images_factory import (
    CAPABILITY,
    MTIME,
    PackedLayer,
    image,
    layer,
    nasty_layers,
    stored,
    write_layout,
)
from tests.nasty_images import NASTY, PLAIN

pytestmark = pytest.mark.wire

Way: TypeAlias = Callable[[Sequence[StoredLayer], Path, Builder], None]
Facts: TypeAlias = dict[str, object]
Tree: TypeAlias = dict[bytes, Facts]
Difference: TypeAlias = dict[bytes, tuple[Facts, Facts]]


def needs(*tools: str) -> None:
    """Skip where a tool or root's rights are missing; fail where CI promised them."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    reason = f"not installed: {', '.join(missing)}" if missing else ""
    if os.geteuid() != 0:
        reason = reason or "only root can unpack devices and owners"
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def run(*argv: str | Path, cwd: Path | None = None) -> bytes:
    done = subprocess.run(argv, capture_output=True, cwd=cwd, env={**os.environ, "TZ": "UTC"})
    assert done.returncode == 0, f"{argv}: {done.stderr.decode('utf-8', 'replace')[-1000:]}"
    return done.stdout


def two_passes(layers: Sequence[StoredLayer], target: Path, builder: Builder) -> None:
    root = index_layers(layers)
    argv = squashfs.command(builder, Compression.ZSTD, target, root, 2)
    squashfs.build(argv, lambda pipe: write_tar(root, layers, pipe), newest_time(root))


def one_pass(layers: Sequence[StoredLayer], target: Path, builder: Builder) -> None:
    """With two where one cannot do it, as an image is added."""
    argv = squashfs.command(builder, Compression.ZSTD, target, new_root(), 2)
    try:
        squashfs.build(argv, lambda pipe: nothing(write_plain(layers, pipe)), MTIME)
    except NotPlain:
        target.unlink(missing_ok=True)
        two_passes(layers, target, builder)


def nothing(_: object) -> None:
    pass


# How layers become a squashfs; each must pass for every image.
WAYS: dict[str, Way] = {"two passes": two_passes, "one pass": one_pass}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


def listed(image_file: Path) -> bytes:
    """`unsquashfs -lls` with numbers for owners.

    Without the sizes of directories: a squashfs stores a directory in runs, which end where its
    inodes' block does, so that its size depends on the order in which files were written.
    """
    said = run("unsquashfs", "-lln", image_file)
    return re.sub(rb"(?m)^(d\S{9} +\d+/\d+) +\d+ ", rb"\1 ", said)


def described(image_file: Path) -> Tree:
    """All that a squashfs says of each path: contents, attributes and hard links too."""
    target = image_file.with_suffix(".tree")
    run("unsquashfs", "-no-progress", "-quiet", "-d", target, image_file)
    return described_tree(target)


def described_tree(top: Path) -> Tree:
    root, groups, found = os.fsencode(top), dict[int, bytes](), dict[bytes, Facts]()
    for path in sorted([root, *_below(root)]):
        info, name = os.lstat(path), os.path.relpath(path, root)
        found[name] = {
            "mode": stat.filemode(info.st_mode),
            "owner": (info.st_uid, info.st_gid),
            "device": (os.major(info.st_rdev), os.minor(info.st_rdev)),
            "time": int(info.st_mtime),
            "linked": b"" if stat.S_ISDIR(info.st_mode) else groups.setdefault(info.st_ino, name),
            "content": _content(path, info.st_mode),
            "xattrs": {
                key: os.getxattr(path, key, follow_symlinks=False)
                for key in os.listxattr(path, follow_symlinks=False)
            },
        }
    return found


def _below(root: bytes) -> Iterable[bytes]:
    for directory, folders, files in os.walk(root):
        yield from (os.path.join(directory, name) for name in folders + files)


def _content(path: bytes, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    if not stat.S_ISREG(mode):
        return b""
    with open(path, "rb") as opened:
        return opened.read()


def differences(ours: Tree, theirs: Tree) -> Difference:
    """By path, what only one side has of it."""
    found = {}
    for name in ours.keys() | theirs.keys():
        one, other = ours.get(name, {}), theirs.get(name, {})
        if one != other:
            keys = [key for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
            found[name] = ({k: one.get(k) for k in keys}, {k: other.get(k) for k in keys})
    return found


def unpacked_by_umoci(layers: Sequence[PackedLayer], work: Path) -> Path:
    # umoci 0.4 knows no zstd.
    layout = write_layout(work / "layout", {"nasty": image([layer(one.tar) for one in layers])})
    run("umoci", "unpack", "--image", f"{layout}:nasty", work / "bundle")
    return work / "bundle" / "rootfs"


def settle_times(root: Path, ours: Tree, started: float) -> None:
    """Give the directories that umoci stamped with its own run the time that ours have.

    It does so where no layer states a time (directories that are only implied) and where making
    or unmaking such a one touches the parent, whose entry states another.
    """
    for name, facts in described_tree(root).items():
        is_folder, stamp = str(facts["mode"]).startswith("d"), facts["time"]
        if is_folder and isinstance(stamp, int) and stamp >= int(started) and name in ours:
            when = ours[name]["time"]
            assert when in _STATED, f"{name!r} has the time {when}"
            os.utime(os.path.join(os.fsencode(root), name), (MTIME, when))


_STATED = (0, 5, 9, 11, MTIME)  # those in the corpus; 0 for directories that are only implied


def squashed(tree: Path, target: Path) -> Path:
    run("mksquashfs", tree, target, "-noappend", "-no-progress", "-quiet", "-comp", "zstd")
    return target


def compared(layers: Sequence[PackedLayer], way: Way, work: Path) -> Difference:
    """What differs between our squashfs and the one of umoci's tree."""
    return compared_with(lambda: unpacked_by_umoci(layers, work), layers, way, work)


def compared_with(
    unpack: Callable[[], Path], layers: Sequence[PackedLayer], way: Way, work: Path
) -> Difference:
    ours, started = work / "ours.squashfs", time.time()
    way(stored(*layers), ours, Builder.TAR2SQFS)
    tree, unpacked = described(ours), unpack()
    settle_times(unpacked, tree, started)
    theirs = squashed(unpacked, work / "theirs.squashfs")
    found = differences(tree, described(theirs))
    assert found or listed(ours) == listed(theirs)
    return found


# Where umoci 0.4.7 has no tree to compare with, or another than the layers say; each of them has
# its own test below.
UMOCI_FAILS = {"files_in_the_way", "contiguous_files", "global_headers"}
UMOCI_DEVIATES = {"empty_attributes", "labels_and_marks", "times_out_of_reach"}
IMAGES = {name: NASTY[name] for name in NASTY.keys() - UMOCI_FAILS - UMOCI_DEVIATES}


@every_way
@pytest.mark.parametrize("name", sorted(IMAGES))
def test_a_nasty_image_becomes_what_umoci_unpacks(name: str, way: Way, tmp_path: Path) -> None:
    needs("tar2sqfs", "umoci", "mksquashfs", "unsquashfs")
    assert compared(IMAGES[name], way, tmp_path) == {}


@every_way
def test_all_nasty_cases_on_one_image_become_what_umoci_unpacks(way: Way, tmp_path: Path) -> None:
    needs("tar2sqfs", "umoci", "mksquashfs", "unsquashfs")
    assert compared(nasty_layers(), way, tmp_path) == {}


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_layers_as_builders_write_them_need_one_pass(name: str) -> None:
    write_plain(stored(*NASTY[name]), io.BytesIO())


@pytest.mark.parametrize("name", sorted(NASTY))
def test_both_builders_make_the_same_of_a_nasty_image(name: str, tmp_path: Path) -> None:
    needs("tar2sqfs", "mksquashfs", "unsquashfs")
    files = [tmp_path / builder for builder in Builder]
    for builder, target in zip(Builder, files, strict=True):
        two_passes(stored(*NASTY[name]), target, builder)
    trees = [described(target) for target in files]
    for tree in trees:
        # mksquashfs takes the root's time from its own clock and environment, not from the tar.
        del tree[b"."]["time"]
    assert differences(*trees) == {}


def ours_of(name: str, way: Way, work: Path) -> Tree:
    needs("tar2sqfs", "unsquashfs")
    way(stored(*NASTY[name]), work / "ours.squashfs", Builder.TAR2SQFS)
    return described(work / "ours.squashfs")


@every_way
def test_a_layer_that_puts_something_below_a_file_means_a_directory(
    way: Way, tmp_path: Path
) -> None:
    # umoci stops: "mkdir parent: mkdir …/rootfs/f: not a directory". Docker's own unpacker and
    # overlayfs replace the file, which is what such a layer shows to whoever made it.
    tree = ours_of("files_in_the_way", way, tmp_path)
    assert {name: str(facts["mode"])[0] for name, facts in tree.items()} == {
        b".": "d",
        b"f": "d",
        b"f/below": "-",
        b"g": "d",
        b"g/below": "-",
        b"p": "d",
        b"p/q": "d",
        b"p/q/r": "-",
        b"to-file": "l",
    }


@every_way
def test_a_contiguous_file_is_a_file(way: Way, tmp_path: Path) -> None:
    # umoci stops: "unknown typeflag '\x37'". POSIX: treated as a regular file.
    assert ours_of("contiguous_files", way, tmp_path)[b"contiguous"]["content"] == b"c"


@every_way
def test_a_comment_for_all_entries_is_no_entry(way: Way, tmp_path: Path) -> None:
    # umoci stops: "@PaxHeader: unknown typeflag '\x67'".
    assert set(ours_of("global_headers", way, tmp_path)) == {b".", b"a", b"b"}


@every_way
def test_attributes_without_a_value_are_kept(way: Way, tmp_path: Path) -> None:
    # umoci loses them: Go's archive/tar takes a PAX record without a value for none.
    # GNU tar writes and restores them.
    needs("umoci", "mksquashfs")
    tree = ours_of("empty_attributes", way, tmp_path)
    assert tree[b"empty"]["xattrs"] == {"user.empty": b"", "user.full": b"f"}
    (tmp_path / "again").mkdir()
    assert set(compared(NASTY["empty_attributes"], way, tmp_path / "again")) == {b"empty"}


@every_way
def test_labels_of_selinux_and_marks_of_overlayfs_are_kept(way: Way, tmp_path: Path) -> None:
    # umoci leaves out security.selinux and trusted.overlay.*, which may be wrong for the host
    # it unpacks on; a squashfs is not unpacked here.
    tree = ours_of("labels_and_marks", way, tmp_path)
    label = b"system_u:object_r:bin_t:s0\0"
    assert tree[b"labelled"]["xattrs"] == {"security.selinux": label, "user.other": b"o"}
    marks = {"trusted.overlay.opaque": b"y", "trusted.other": b"o"}
    assert tree[b"marked"]["xattrs"] == marks


@every_way
def test_times_that_squashfs_has_no_room_for_are_the_nearest_it_has(
    way: Way, tmp_path: Path
) -> None:
    # mksquashfs 4.5 lets them wrap: the day before 1970 becomes one in 2106.
    tree = ours_of("times_out_of_reach", way, tmp_path)
    assert {name: facts["time"] for name, facts in tree.items() if name != b"."} == {
        b"before-1970": 0,
        b"just-before": 0,
        b"after-2106": 0xFFFFFFFF,
        b"far": 0xFFFFFFFF,
    }


@every_way
def test_the_locale_does_not_decide_how_names_are_read(
    way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set(ours_of("odd_names", way, tmp_path))
    monkeypatch.setattr(tarfile.TarFile, "encoding", "iso8859-1")
    (tmp_path / "latin").mkdir()
    assert set(ours_of("odd_names", way, tmp_path / "latin")) == names


# Layers as tools make them. Holes: one at the start, one at the end, more of them than the
# headers of old formats have room for.


def sparse_file(path: Path, pieces: Iterable[int], size: int) -> None:
    with path.open("wb") as opened:
        for place in pieces:
            opened.seek(place)
            opened.write(f"piece at {place}".encode() * 500)
        opened.truncate(size)


def plain_tree(top: Path) -> None:
    """What even the oldest formats have room for."""
    (top / "folder").mkdir(parents=True)
    (top / "folder" / "file").write_bytes(bytes(range(256)) * 300)
    (top / "folder" / "setuid").write_bytes(b"su")
    (top / "folder" / "setuid").chmod(0o4755)
    os.link(top / "folder" / "file", top / "linked")
    (top / "symlink").symlink_to("/folder/file")
    os.chown(top / "folder", 12, 34)
    sparse_file(top / "holes", range(1 << 16, 70 << 16, 1 << 16), 80 << 16)
    sparse_file(top / "hole", [], 3_000_001)
    sparse_file(top / "no-hole", [0], 6000)


def full_tree(top: Path) -> None:
    plain_tree(top)
    os.mkfifo(top / "pipe")
    os.mknod(top / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 3))
    (top / ("n" * 200)).write_bytes(b"long")
    (top / "far").symlink_to("t/" * 150)
    (top / "grüße 'quoted' \\ \n line").write_bytes(b"odd")
    Path(os.fsdecode(os.fsencode(top) + b"/not \xff UTF-8")).write_bytes(b"odd")
    os.chown(top / "folder" / "file", 70_000, 1 << 30)


def attributes_of(top: Path) -> None:
    capable = top / "folder" / "setuid"
    os.setxattr(capable, "security.capability", CAPABILITY)
    os.setxattr(capable, "user.binary", bytes(range(256)))
    os.setxattr(top / "folder", "trusted.text", b"grn = \n")
    os.setxattr(top / "symlink", "trusted.on", b"link", follow_symlinks=False)


def whole_tree(top: Path) -> None:
    full_tree(top)
    attributes_of(top)


def aged(top: Path) -> None:
    """With times of the past, so that those of the test's own run stand out; with fractions."""
    for count, path in enumerate(sorted(_below(os.fsencode(top)), reverse=True)):
        when = MTIME * 10**9 + count * 1_700_000_001
        os.utime(path, ns=(when, when), follow_symlinks=False)
    os.utime(top, (MTIME, MTIME))


GNU_TAR = ("tar", "--create", "--numeric-owner")
_XATTRS = ("--xattrs", "--xattrs-include=*")
TOOLS: Mapping[str, tuple[tuple[str, ...], Callable[[Path], None]]] = {
    "GNU tar v7": ((*GNU_TAR, "--format=v7"), plain_tree),
    "GNU tar ustar": ((*GNU_TAR, "--format=ustar"), plain_tree),
    "GNU tar oldgnu": ((*GNU_TAR, "--format=oldgnu"), full_tree),
    "GNU tar gnu": ((*GNU_TAR, "--format=gnu"), full_tree),
    "GNU tar posix": ((*GNU_TAR, "--format=posix", *_XATTRS), whole_tree),
    "GNU tar gnu sparse": ((*GNU_TAR, "--format=gnu", "--sparse"), full_tree),
    **{
        f"GNU tar posix sparse {version}": (
            (*GNU_TAR, "--format=posix", "--sparse", f"--sparse-version={version}", *_XATTRS),
            whole_tree,
        )
        for version in ("0.0", "0.1", "1.0")
    },
    **{
        f"bsdtar {form}": (("bsdtar", "-c", "--numeric-owner", f"--format={form}"), tree)
        for form, tree in {
            "ustar": plain_tree,
            "gnutar": full_tree,
            "pax": whole_tree,
            "pax --no-read-sparse": whole_tree,
        }.items()
    },
}

# "unknown typeflag '\\x53'": umoci knows the sparse files of PAX only.
UMOCI_REFUSES = {"GNU tar gnu sparse"}


@every_way
@pytest.mark.parametrize("tool", TOOLS)
def test_layers_of_real_tools_become_what_they_packed_and_umoci_unpacks(
    tool: str, way: Way, tmp_path: Path
) -> None:
    argv, make = TOOLS[tool]
    needs("tar2sqfs", "umoci", "mksquashfs", "unsquashfs", argv[0])
    make(tmp_path / "tree")
    aged(tmp_path / "tree")
    words = [word for text in argv for word in text.split(" ")]
    run(*words, "-f", tmp_path / "layer.tar", "-C", tmp_path / "tree", ".")
    made = layer((tmp_path / "layer.tar").read_bytes())
    if tool not in UMOCI_REFUSES:
        assert compared([made], way, tmp_path) == {}
    (tmp_path / "again").mkdir()
    assert compared_with(lambda: tmp_path / "tree", [made], way, tmp_path / "again") == {}


def repacked(work: Path) -> list[PackedLayer]:
    """Layers as Go's archive/tar and umoci write them, the second one with whiteouts."""
    layout, bundle = work / "repacked", work / "repacked-bundle"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:made")
    run("umoci", "unpack", "--image", f"{layout}:made", bundle)
    whole_tree(bundle / "rootfs" / "base")
    aged(bundle / "rootfs")
    run("umoci", "repack", "--refresh-bundle", "--image", f"{layout}:made", bundle)
    base = bundle / "rootfs" / "base"
    (base / "null").unlink()
    shutil.rmtree(base / "folder")
    (base / "folder").symlink_to("/base")
    (base / "pipe").unlink()
    (base / "pipe").mkdir()
    os.setxattr(base / "holes", "user.late", b"late")
    aged(bundle / "rootfs")
    run("umoci", "repack", "--image", f"{layout}:made", bundle)
    return [layer(gzip.decompress(blob)) for blob in blobs_of_layers(layout)]


def blobs_of_layers(layout: Path) -> list[bytes]:
    def document(digest: str) -> dict[str, Any]:
        return dict(json.loads(blob(digest)))

    def blob(digest: str) -> bytes:
        return (layout / "blobs" / digest.replace(":", "/")).read_bytes()

    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    return [blob(one["digest"]) for one in document(entry["digest"])["layers"]]


@every_way
def test_layers_that_umoci_repacked_become_what_it_unpacks(way: Way, tmp_path: Path) -> None:
    needs("tar2sqfs", "umoci", "mksquashfs", "unsquashfs")
    layers = repacked(tmp_path)
    assert len(layers) == 2
    assert compared(layers, way, tmp_path) == {}
