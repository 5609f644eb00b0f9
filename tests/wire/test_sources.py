"""Images from archives, ISOs, directories and files, as other tools make them."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kairos_netboot.boot.site import Compression, Image, ImageSource
from kairos_netboot.errors import ImageProblem
from kairos_netboot.images import squashfs
from kairos_netboot.images.directory import read_directory, write_directory
from kairos_netboot.images.merge import newest_time
from kairos_netboot.images.pull import add_image
from kairos_netboot.images.reference import default_name, parse
from kairos_netboot.images.squashfs import Builder
from kairos_netboot.images.squashfs_reader import copy_out, read_tree
from kairos_netboot.images.tree import Kind, walk
from kairos_netboot.store.store import Store
from tests.images_factory import CAPABILITY, MTIME, RELEASE, image, kairos_entries, layer
from tests.images_factory import write_layout as write_oci_layout
from tests.registries import needs

pytestmark = [pytest.mark.wire, pytest.mark.timeout(60)]

KERNEL = bytes(0x202) + b"HdrS" + bytes(5000)
INITRD = b"070701" + b"initrd " * 500
VERSION = "6.1.0-10-amd64"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices and owners")


def run(*argv: object) -> None:
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def add(store: Store, reference: str) -> Image:
    name = default_name(parse(reference))
    return add_image(ImageSource(name=name, reference=reference), store, {}, lambda told: None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "state")) as opened:
        yield opened


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    made = image([layer(kairos_entries()), layer([])])
    return write_oci_layout(tmp_path / "layout", {"v1": made})


def test_what_skopeo_writes_becomes_the_same_boot_files(
    tmp_path: Path, store: Store, layout: Path
) -> None:
    needs("skopeo", "tar2sqfs")
    source = f"oci:{layout}:v1"
    docker = f"docker-archive:{tmp_path}/docker.tar"
    references = [f"oci-archive:{tmp_path}/oci.tar:v2", f"{docker}:quay.io/kairos/debian:v4"]
    for reference in references:
        run("skopeo", "copy", "--quiet", source, reference)
    expected = add(store, source)
    for reference in [*references, docker]:
        assert add(store, reference).files == expected.files
    assert add(store, references[0]).digest == expected.digest


def test_an_image_of_a_docker_archive_is_whole_in_the_store(
    tmp_path: Path, store: Store, layout: Path
) -> None:
    needs("skopeo", "tar2sqfs")
    run("skopeo", "copy", "--quiet", f"oci:{layout}:v1", f"docker-archive:{tmp_path}/docker.tar")
    found = add(store, f"docker-archive:{tmp_path}/docker.tar")
    assert found.content
    assert store.blobs.path(found.digest).read_bytes().startswith(b'{"schemaVersion":2')
    assert all(store.blobs.has(blob.digest) for blob in found.content.blobs)


@pytest.mark.parametrize("name", ["docker.io/library/kairos:v1", "quay.io/kairos/debian:v1"])
def test_a_layout_of_a_full_name_is_found_by_its_tag(
    tmp_path: Path, store: Store, layout: Path, name: str
) -> None:
    needs("skopeo", "tar2sqfs")
    run("skopeo", "copy", "--quiet", f"oci:{layout}:v1", f"oci:{tmp_path}/named:{name}")
    assert add(store, f"oci:{tmp_path}/named:v1").boot_files.kernel


# Directories


def rootfs(root: Path) -> Path:
    """The least that is a Kairos image, unpacked."""
    files = {
        f"boot/vmlinuz-{VERSION}": KERNEL,
        f"boot/config-{VERSION}": b"CONFIG_SQUASHFS_ZSTD=y\n",
        "boot/initrd": INITRD,
        "etc/kairos-release": RELEASE.encode(),
        f"usr/lib/modules/{VERSION}/modules.dep": b"",
    }
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "boot/vmlinuz").symlink_to(f"/boot/vmlinuz-{VERSION}")
    return root


def with_every_kind(root: Path) -> Path:
    """Needs root."""
    keep = rootfs(root) / "keep"
    keep.mkdir()
    keep.chmod(0o1777)
    (keep / "setuid").write_bytes(b"su" * 700)
    os.chown(keep / "setuid", 70_000, 4_000_000)
    (keep / "setuid").chmod(0o4755)
    (keep / "capable").write_bytes(b"cap")
    os.setxattr(keep / "capable", "security.capability", CAPABILITY)
    os.setxattr(keep / "capable", "user.note", b"gr\xc3\xbcn\n=\xff\0")
    os.link(keep / "setuid", root / "etc/linked")
    os.mknod(keep / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(keep / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 70_000))
    os.mkfifo(keep / "pipe", 0o600)
    os.symlink("/nowhere/" + "far/" * 40, keep / "dangling")
    os.link(keep / "dangling", keep / "dangling-too", follow_symlinks=False)
    os.symlink("../../../../etc/passwd", keep / "out")
    for name in (b"a b", b"new\nline", b"'\"quotes\"'", b"\xff\xfe", b"n" * 255):
        Path(os.fsdecode(bytes(keep) + b"/" + name)).write_bytes(name)
    with (keep / "sparse").open("wb") as file:
        file.truncate(5 << 20)
    for path in [*root.rglob("*"), root]:
        os.utime(path, (MTIME, MTIME), follow_symlinks=False)
    return root


def described(root: Path) -> dict[str, tuple[object, ...]]:
    first: dict[int, str] = {}
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        about = path.lstat()
        name = str(path.relative_to(root))
        found[name] = (
            stat.filemode(about.st_mode),
            (about.st_uid, about.st_gid, about.st_rdev, int(about.st_mtime)),
            "" if path.is_dir() else first.setdefault(about.st_ino, name),
            path.is_symlink() and os.readlink(path),
            path.read_bytes() if stat.S_ISREG(about.st_mode) else b"",
            [
                (key, os.getxattr(path, key, follow_symlinks=False))
                for key in sorted(os.listxattr(path, follow_symlinks=False))
            ],
        )
    return found


def unpacked(path: Path, target: Path) -> Path:
    run("unsquashfs", "-no-progress", "-d", target, path)
    return target


def squashed(root: Path, target: Path, builder: Builder) -> Path:
    directory = read_directory(root, without=target.parent / "state")
    argv = squashfs.command(builder, Compression.ZSTD, target, directory.root, 2)
    newest = newest_time(directory.root)
    squashfs.build(argv, lambda pipe: write_directory(directory, pipe), newest)
    return target


@needs_root
@pytest.mark.parametrize("builder", Builder)
def test_a_directory_comes_out_of_its_squashfs_as_it_was(tmp_path: Path, builder: Builder) -> None:
    needs(builder, "unsquashfs")
    root = with_every_kind(tmp_path / "rootfs")
    made = squashed(root, tmp_path / "made.squashfs", builder)
    assert described(unpacked(made, tmp_path / "unpacked")) == described(root)


@needs_root
def test_the_same_directory_gives_the_same_squashfs(tmp_path: Path) -> None:
    needs("tar2sqfs")
    root = with_every_kind(tmp_path / "rootfs")
    copy = tmp_path / "copy"
    run("cp", "-a", root, copy)
    one, two = (
        squashed(each, tmp_path / f"{each.name}.squashfs", Builder.TAR2SQFS)
        for each in (root, copy)
    )
    assert one.read_bytes() == two.read_bytes()


def test_a_directory_becomes_an_image(tmp_path: Path, store: Store) -> None:
    needs("tar2sqfs", "unsquashfs")
    root = rootfs(tmp_path / "rootfs")
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text("left out")
    with closing(socket.socket(socket.AF_UNIX)) as unix:
        unix.bind(str(root / "etc/sock"))
    told: list[object] = []
    wanted = ImageSource(name="own", reference=f"dir:{root}")
    found = add_image(wanted, store, {}, told.append)
    assert (found.facts.version, found.facts.kernel_version) == ("v4.2.0", VERSION)
    assert store.blobs.path(found.boot_files.kernel.digest).read_bytes() == KERNEL
    assert "sockets are left out: /etc/sock" in told
    tree = read_tree(store.blobs.path(found.boot_files.rootfs.digest))
    assert tree.children["proc"].children == {}


def test_a_directory_that_holds_our_state_does_not_take_it_along(tmp_path: Path) -> None:
    needs("tar2sqfs")
    root = rootfs(tmp_path / "rootfs")
    with closing(Store(root / "var/lib/kairos-netboot")) as store:
        found = add(store, f"dir:{root}")
        tree = read_tree(store.blobs.path(found.boot_files.rootfs.digest))
    assert tree.children["var"].children["lib"].children["kairos-netboot"].children == {}


@needs_root
def test_a_directory_that_only_root_can_read_asks_for_root(tmp_path: Path) -> None:
    root = rootfs(tmp_path / "rootfs")
    (root / "etc/shadow").write_text("secret")
    (root / "etc/shadow").chmod(0)
    for directory in [tmp_path, *tmp_path.parents]:
        directory.chmod(directory.stat().st_mode | 0o011)
    pid = os.fork()
    if pid == 0:
        os.setgid(65534)
        os.setuid(65534)
        with open(os.devnull, "wb") as nothing:
            try:
                write_directory(read_directory(root, without=Path("/nowhere")), nothing)
            except ImageProblem as problem:
                os._exit(str(problem) != "/etc/shadow cannot be read by this user: run it as root")
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# ISOs and files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What Kairos' tools put into an ISO."""
    needs("mksquashfs")
    top = tmp_path / "iso"
    (top / "boot/grub2").mkdir(parents=True)
    (top / "boot/kernel").write_bytes(KERNEL)
    (top / "boot/initrd").write_bytes(INITRD)
    (top / "boot/grub2/grub.cfg").write_text("set timeout=5\n")
    (top / "efi.img").write_bytes(bytes(1 << 20))
    run("mksquashfs", rootfs(tmp_path / "rootfs"), top / "rootfs.squashfs", "-b", "1024k", "-quiet")
    return top


MAKERS = {
    "as Kairos makes them": (
        "xorriso -as mkisofs -R -J -V COS_LIVE -append_partition 2 0xef {tree}/efi.img"
        " -appended_part_as_gpt -e --interval:appended_partition_2:all:: -no-emul-boot -o {iso}"
        " {tree}"
    ),
    "xorriso": "xorriso -volid COS_LIVE -joliet on -padding 0 -outdev {iso} -map {tree} /",
    "rock ridge": "genisoimage -R -V COS_LIVE -o {iso} {tree}",
    "joliet": "genisoimage -J -V COS_LIVE -o {iso} {tree}",
    "short names": "genisoimage -V COS_LIVE -o {iso} {tree}",
    "long names": "genisoimage -iso-level 4 -V COS_LIVE -o {iso} {tree}",
    "udf too": "genisoimage -udf -V COS_LIVE -o {iso} {tree}",
}


@pytest.mark.parametrize("how", MAKERS)
def test_boot_files_come_out_of_an_iso(tmp_path: Path, store: Store, tree: Path, how: str) -> None:
    iso = tmp_path / "Kairos v4.iso"
    argv = [part.format(tree=tree, iso=iso) for part in MAKERS[how].split()]
    needs(argv[0])
    run(*argv)
    found = add(store, f"iso:{iso}")
    assert (found.name, found.facts.version) == ("kairos-v4", "v4.2.0")
    for blob, path in (
        (found.boot_files.kernel, "boot/kernel"),
        (found.boot_files.initrd, "boot/initrd"),
        (found.boot_files.rootfs, "rootfs.squashfs"),
    ):
        assert store.blobs.path(blob.digest).read_bytes() == (tree / path).read_bytes()
    assert iso.exists()


@pytest.mark.parametrize("damage", ["cut", "garbage", "no squashfs"])
def test_an_iso_that_cannot_be_leaves_nothing(
    tmp_path: Path, store: Store, tree: Path, damage: str
) -> None:
    needs("genisoimage")
    if damage == "no squashfs":
        (tree / "rootfs.squashfs").unlink()
    iso = tmp_path / "kairos.iso"
    run("genisoimage", "-R", "-o", iso, tree)
    whole = iso.read_bytes()
    if damage == "cut":
        iso.write_bytes(whole[: len(whole) // 2])
    if damage == "garbage":
        iso.write_bytes(whole[:34_000] + b"\xff" * 40_000 + whole[74_000:])
    with pytest.raises(ImageProblem) as caught:
        add(store, f"iso:{iso}")
    assert str(iso) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [
        path for path in store.blobs.root.rglob("*") if path.is_file() and path.stat().st_size
    ]


def test_boot_files_are_taken_as_they_are(store: Store, tree: Path) -> None:
    found = add(
        store,
        f"files:kernel={tree}/boot/kernel,initrd={tree}/boot/initrd,rootfs={tree}/rootfs.squashfs",
    )
    assert (found.facts.version, found.facts.efi_stub) == ("v4.2.0", False)
    assert store.blobs.path(found.boot_files.initrd.digest).read_bytes() == INITRD
    assert (tree / "boot/kernel").exists()


# What is in a squashfs


@needs_root
@pytest.mark.parametrize("compression", ["gzip", "zstd", "xz"])
@pytest.mark.parametrize("builder", ["mksquashfs", "tar2sqfs"])
def test_a_squashfs_is_read_as_it_was_made(tmp_path: Path, builder: str, compression: str) -> None:
    needs(builder, "tar")
    root = with_every_kind(tmp_path / "rootfs")
    (root / "many").mkdir()
    for number in range(2000):
        (root / f"many/{'x' * 40}{number}").write_bytes(b"%d" % number)
    made = tmp_path / "made.squashfs"
    if builder == "mksquashfs":
        run("mksquashfs", root, made, "-comp", compression, "-b", "4096", "-quiet")
    else:
        run("tar", "-C", root, "-cf", tmp_path / "tar", ".")
        with (tmp_path / "tar").open("rb") as tar:
            argv = ["tar2sqfs", "--quiet", "-b", "4096", "-c", compression, str(made)]
            subprocess.run(argv, stdin=tar, check=True, capture_output=True)
    found = {path: (inode.kind, inode.size, inode.target) for path, inode in walk(read_tree(made))}
    assert found == {str(path.relative_to(root)): _listed(path) for path in root.rglob("*")}
    for number, path in enumerate(path for path in root.rglob("*") if _is_file(path)):
        if number % 50 == 0 or "many" not in str(path):
            copy = copy_out(made, f"/{path.relative_to(root)}", tmp_path / f"copy-{number}")
            assert copy.read_bytes() == path.read_bytes()


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


_KINDS = {
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFREG: Kind.FILE,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}


def _listed(path: Path) -> tuple[Kind, int, str]:
    about = path.lstat()
    kind = _KINDS[stat.S_IFMT(about.st_mode)]
    size = about.st_size if kind is Kind.FILE else 0
    return kind, size, os.readlink(path) if kind is Kind.SYMLINK else ""
