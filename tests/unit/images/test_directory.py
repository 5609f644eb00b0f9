from __future__ import annotations

import contextlib
import io
import os
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.directory import (
    Directory,
    kernel_config,
    read_directory,
    write_directory,
)
from kairos_netboot.images.merge import content_size, newest_time
from kairos_netboot.images.tree import Kind

NOWHERE = Path("/nowhere")


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def read(root: Path, without: Path = NOWHERE) -> Directory:
    return read_directory(root, without=without)


def tar_of(directory: Directory) -> bytes:
    out = io.BytesIO()
    write_directory(directory, out)
    return out.getvalue()


def members(root: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar_of(read(root)))) as tar:
        return {member.name: member for member in tar}


def test_files_come_with_mode_time_and_bytes(tmp_path: Path) -> None:
    plant(tmp_path, {"etc/hostname": "box"})
    (tmp_path / "etc/hostname").chmod(0o4750)
    os.utime(tmp_path / "etc/hostname", (1, 1_600_000_000))
    with tarfile.open(fileobj=io.BytesIO(tar_of(read(tmp_path)))) as tar:
        member = tar.getmember("etc/hostname")
        found = tar.extractfile(member)
        assert found
        assert found.read() == b"box"
    assert (member.mode, member.mtime) == (0o4750, 1_600_000_000)
    assert (member.uid, member.gid) == (os.getuid(), os.getgid())


def test_the_root_comes_first_with_its_own_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    (name, member), *_ = members(plant(tmp_path, {"a": ""})).items()
    assert (name, member.mode, member.isdir()) == (".", 0o711, True)


def test_names_of_one_file_are_hard_links(tmp_path: Path) -> None:
    plant(tmp_path, {"b/one": "shared"})
    os.link(tmp_path / "b/one", tmp_path / "a")
    found = members(tmp_path)
    assert found["a"].isreg()
    assert (found["b/one"].islnk(), found["b/one"].linkname) == (True, "a")
    assert content_size(read(tmp_path).root) == 6


@pytest.mark.parametrize("target", ["/etc/shadow", "..", "dangling", "dir"])
def test_symlinks_stay_as_they_are(tmp_path: Path, target: str) -> None:
    plant(tmp_path, {"dir/file": "x"})
    (tmp_path / "link").symlink_to(target)
    found = members(tmp_path)
    assert (found["link"].issym(), found["link"].linkname) == (True, target)
    assert sorted(found) == [".", "dir", "dir/file", "link"]


def test_fifos_are_kept_and_sockets_left_out_with_a_word(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as unix:
        unix.bind(str(tmp_path / "sock"))
    told: list[str] = []
    directory = read_directory(tmp_path, without=NOWHERE, tell=told.append)
    assert {name: one.kind for name, one in directory.root.children.items()} == {"pipe": Kind.FIFO}
    assert told == ["sockets are left out: /sock"]


@pytest.mark.parametrize("name", ["mnt", "proc", "sys", "dev", "tmp", "host", "run"])
def test_what_the_running_system_fills_is_kept_empty(tmp_path: Path, name: str) -> None:
    plant(tmp_path, {f"{name}/left/over": "x", f"usr/{name}/kept": "x"})
    assert sorted(members(tmp_path)) == [".", name, "usr", f"usr/{name}", f"usr/{name}/kept"]


def test_our_own_state_is_not_taken_along(tmp_path: Path) -> None:
    plant(tmp_path, {"var/lib/kairos-netboot/blobs/x": "x", "var/lib/other": "x"})
    state = tmp_path / "var/lib/kairos-netboot"
    lib = read(tmp_path, state).root.children["var"].children["lib"]
    assert sorted(lib.children) == ["kairos-netboot", "other"]
    assert lib.children["kairos-netboot"].children == {}


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    for root, order in ((tmp_path / "one", range(50)), (tmp_path / "two", range(49, -1, -1))):
        plant(root, {f"d{number % 7}/f{number}": str(number) for number in order})
        for path in [root, *root.rglob("*")]:
            os.utime(path, (0, 0))
    assert tar_of(read(tmp_path / "one")) == tar_of(read(tmp_path / "two"))


def test_names_of_any_bytes_are_kept(tmp_path: Path) -> None:
    names = [b"a b", b"new\nline", b'"quoted"', b"\xff\xfe", "grün".encode(), b"n" * 255]
    for name in names:
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(name)
    assert set(members(tmp_path)) == {".", *(os.fsdecode(name) for name in names)}


def test_attributes_are_kept(tmp_path: Path) -> None:
    plant(tmp_path, {"a": ""})
    try:
        os.setxattr(tmp_path / "a", "user.note", b"\xff\0")
    except OSError:
        pytest.skip("this file system has no attributes")
    found = members(tmp_path)["a"].pax_headers
    assert found["SCHILY.xattr.user.note"].encode("utf-8", "surrogateescape") == b"\xff\0"


def test_times_that_squashfs_cannot_have_are_the_nearest(tmp_path: Path) -> None:
    plant(tmp_path, {"old": "", "new": ""})
    os.utime(tmp_path / "old", (-5, -5))
    with contextlib.suppress(OSError):
        os.utime(tmp_path / "new", (1 << 33, 1 << 33))
    assert members(tmp_path)["old"].mtime == 0
    assert newest_time(read(tmp_path).root) < 1 << 32


def test_progress_ends_at_the_bytes_of_all_files(tmp_path: Path) -> None:
    plant(tmp_path, {"a": "x" * 3000, "b": "y" * 10})
    heard: list[int] = []
    write_directory(read(tmp_path), io.BytesIO(), heard.append)
    assert heard == [3000, 3010]


def _grow(path: Path) -> None:
    path.write_text("longer than it was")


def _shrink(path: Path) -> None:
    path.write_text("")


def _rewrite(path: Path) -> None:
    path.write_text("other")
    os.utime(path, (5, 5))


def _replace(path: Path) -> None:
    path.with_name("new").write_text("inode")
    path.with_name("new").rename(path)


def _become_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _become_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "change", [_grow, _shrink, _rewrite, _replace, Path.unlink, _become_link, _become_fifo]
)
def test_a_file_that_changes_while_it_is_read_is_named(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    directory = read(plant(tmp_path, {"etc/file": "inode"}))
    change(tmp_path / "etc/file")
    with pytest.raises(ImageProblem, match=r"/etc/file (changed while|cannot be read)"):
        tar_of(directory)


def test_a_file_that_grows_while_it_is_read_is_named(tmp_path: Path) -> None:
    directory = read(plant(tmp_path, {"log": "x" * (3 << 20)}))

    def append(done: int) -> None:
        with (tmp_path / "log").open("ab") as log:
            log.write(b"more")

    with pytest.raises(ImageProblem, match="/log changed"):
        write_directory(directory, io.BytesIO(), append)


def test_what_is_no_directory_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none", plant(tmp_path, {"file": ""}) / "file"):
        with pytest.raises(ImageProblem, match="no such directory: write dir:ROOTFS"):
            read(path)


def test_the_kernels_config_is_read_before_anything_is_written(tmp_path: Path) -> None:
    files = {
        "boot/vmlinuz-6.1": "kernel",
        "boot/initrd": "initrd",
        "boot/config-6.1": "CONFIG_SQUASHFS_ZSTD=y\n",
        "usr/lib/modules/6.1/modules.dep": "",
    }
    assert kernel_config(read(plant(tmp_path, files))) == "CONFIG_SQUASHFS_ZSTD=y\n"
    (tmp_path / "boot/config-6.1").unlink()
    assert kernel_config(read(tmp_path)) == ""


def test_a_directory_without_a_kernel_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ImageProblem, match="it has no kernel"):
        kernel_config(read(plant(tmp_path, {"etc/hostname": "box"})))
