"""The squashfs of a nasty image, against the tree that umoci unpacks from the same image."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kairos_netboot.boot.site import Compression, Image, ImageSource
from kairos_netboot.images import squashfs
from kairos_netboot.images.layers import index_layers
from kairos_netboot.images.manifest import LayerFormat
from kairos_netboot.images.merge import newest_time, write_tar
from kairos_netboot.images.pull import add_image
from kairos_netboot.images.reference import default_name, parse
from kairos_netboot.images.squashfs import Builder
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch, Digest
from tests.images_factory import (
    MadeImage,
    file,
    image,
    index_of,
    kairos_entries,
    layer,
    nasty_layers,
    stored,
    write_archive,
    write_layout,
)

pytestmark = pytest.mark.wire


def needs(*tools: str, root: bool = False) -> None:
    """Skip where the tools are missing; fail where CI promised them."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    reason = f"not installed: {', '.join(missing)}" if missing else ""
    if root and os.geteuid() != 0:
        reason = reason or "only root can unpack devices and owners"
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def add(store: Store, reference: str, arch: Arch = Arch.AMD64, how: str = "auto") -> Image:
    wanted = ImageSource(
        name=default_name(parse(reference)),
        reference=reference,
        arch=arch,
        compression=Compression(how),
    )
    return add_image(wanted, store, {}, lambda told: None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "state")) as opened:
        yield opened


@pytest.fixture
def nasty(tmp_path: Path) -> str:
    # umoci 0.4 knows no zstd; the unit tests do.
    layers = [layer(one.tar) for one in nasty_layers()]
    return f"oci:{write_layout(tmp_path / 'layout', {'nasty': image(layers)})}"


def content(store: Store, digest: Digest) -> bytes:
    return store.blobs.path(digest).read_bytes()


def test_boot_files_and_facts_come_out_of_an_archive(tmp_path: Path, store: Store) -> None:
    needs("tar2sqfs")
    made = image([layer(kairos_entries())])
    archive = write_archive(tmp_path / "Kairos Debian.tar", {"": made})
    found = add(store, f"oci-archive:{archive}")
    assert (found.name, found.source.reference) == ("kairos-debian", f"oci-archive:{archive}")
    assert found.digest == made.top
    assert (found.facts.flavor, found.facts.kernel_version) == ("debian", "6.1.0-10-amd64")
    assert content(store, found.boot_files.kernel.digest) == b"kernel " * 100
    assert content(store, found.boot_files.initrd.digest) == b"initrd " * 500
    assert list((store.blobs.root / "work").iterdir()) == []


def superblock(store: Store, found: Image) -> tuple[int, int]:
    """Block size and compressor of the squashfs."""
    data = content(store, found.boot_files.rootfs.digest)
    assert data[:4] == b"hsqs"
    return int.from_bytes(data[12:16], "little"), int.from_bytes(data[20:22], "little")


@pytest.mark.parametrize(("how", "number"), [("auto", 6), ("zstd", 6), ("gzip", 1), ("xz", 4)])
def test_the_squashfs_has_large_blocks_and_the_compression_asked_for(
    store: Store, nasty: str, how: str, number: int
) -> None:
    needs("tar2sqfs")
    assert superblock(store, add(store, nasty, how=how)) == (1 << 20, number)


def test_the_same_image_gives_the_same_squashfs(store: Store, nasty: str) -> None:
    needs("tar2sqfs")
    assert add(store, nasty).files == add(store, nasty).files


def test_packing_makes_no_difference(tmp_path: Path, store: Store) -> None:
    needs("tar2sqfs")
    files = [
        add(store, f"oci:{write_layout(tmp_path / packing, {'': made})}").files
        for packing in LayerFormat
        for made in [image([layer(kairos_entries(), packing)])]
    ]
    assert files[0] == files[1] == files[2]


def test_a_platform_is_taken_from_an_index(tmp_path: Path, store: Store) -> None:
    needs("tar2sqfs")
    entries = [e for e in kairos_entries() if "release" not in e.name]
    images: dict[str, MadeImage] = {
        arch: image([layer([*entries, file("arch", arch)])], arch=arch)
        for arch in ("amd64", "riscv64")
    }
    layout = write_layout(tmp_path / "layout", {"v1": index_of(images)})
    found = add(store, f"oci:{layout}:v1", Arch.RISCV64)
    assert (found.digest, found.facts.arch) == (images["riscv64"].top, Arch.RISCV64)


def test_an_image_that_fails_after_another_leaves_only_the_first(
    tmp_path: Path, store: Store, nasty: str
) -> None:
    needs("tar2sqfs")
    found = add(store, nasty)
    broken = image([layer(kairos_entries()), layer([file("../out")])])
    with pytest.raises(Exception, match="leads out"):
        add(store, f"oci:{write_layout(tmp_path / 'broken', {'': broken})}")
    kept = set(found.blobs())
    assert {p.name for p in store.blobs.root.rglob("*") if p.is_file()} == {
        b.digest.hex for b in kept
    }


# One line for everything a tree says: kind, mode, owner, size, time, links, target, attributes.
def described(root: Path) -> dict[str, tuple[object, ...]]:
    groups: dict[int, str] = {}
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        info = path.lstat()
        name = str(path.relative_to(root))
        first = groups.setdefault(info.st_ino, name)
        found[name] = (
            stat.filemode(info.st_mode),
            (info.st_uid, info.st_gid),
            info.st_rdev,
            int(info.st_mtime),
            "" if path.is_dir() else first,
            path.is_symlink() and os.readlink(path),
            path.read_bytes() if stat.S_ISREG(info.st_mode) else b"",
            {
                key: os.getxattr(path, key, follow_symlinks=False)
                for key in os.listxattr(path, follow_symlinks=False)
            },
        )
    return found


def unpacked_by_umoci(layout: str, tag: str, target: Path) -> Path:
    subprocess.run(
        ["umoci", "unpack", "--image", f"{layout}:{tag}", str(target)],
        check=True,
        capture_output=True,
    )
    return target / "rootfs"


def unpacked_squashfs(squashfs_file: Path, target: Path) -> Path:
    subprocess.run(
        ["unsquashfs", "-no-progress", "-d", str(target), str(squashfs_file)],
        check=True,
        capture_output=True,
    )
    return target


def differences(
    ours: dict[str, tuple[object, ...]], theirs: dict[str, tuple[object, ...]]
) -> dict[str, object]:
    names = ours.keys() | theirs.keys()
    return {
        name: (ours.get(name), theirs.get(name))
        for name in names
        if ours.get(name) != theirs.get(name)
    }


def test_the_squashfs_holds_the_tree_that_umoci_unpacks(
    tmp_path: Path, store: Store, nasty: str
) -> None:
    needs("tar2sqfs", "umoci", "unsquashfs", root=True)
    found = add(store, nasty)
    ours = described(
        unpacked_squashfs(store.blobs.path(found.boot_files.rootfs.digest), tmp_path / "ours")
    )
    layout = nasty.removeprefix("oci:")
    theirs = described(unpacked_by_umoci(layout, "nasty", tmp_path / "umoci"))
    assert differences(ours, theirs) == {}


def test_the_lists_of_both_builders_agree(tmp_path: Path) -> None:
    needs("tar2sqfs", "mksquashfs", "unsquashfs")
    layers = stored(*nasty_layers())
    root = index_layers(layers)
    lists = []
    for builder in Builder:
        target = tmp_path / builder
        argv = squashfs.command(builder, Compression.ZSTD, target, root, 2)
        squashfs.build(argv, lambda pipe: write_tar(root, layers, pipe), newest_time(root))
        said = subprocess.run(
            ["unsquashfs", "-lln", str(target)], check=True, capture_output=True
        ).stdout
        lists.append(said)
    assert lists[0] == lists[1]


def test_root_rights_are_not_needed(tmp_path: Path, nasty: str) -> None:
    needs("tar2sqfs", "unsquashfs", root=True)
    as_root = add(Store(tmp_path / "root"), nasty).files
    (tmp_path / "nobody").mkdir()
    os.chown(tmp_path / "nobody", 65534, 65534)
    for directory in [tmp_path, *tmp_path.parents]:
        if not directory.stat().st_mode & 0o001:
            directory.chmod(directory.stat().st_mode | 0o011)
    pid = os.fork()
    if pid == 0:
        os.setgid(65534)
        os.setuid(65534)
        files = add(Store(tmp_path / "nobody" / "state"), nasty).files
        os._exit(0 if files == as_root else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
