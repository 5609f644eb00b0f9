"""A root file system in a directory: read as it lies there, written as a tar."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from ..errors import ImageProblem
from ..store.blobs import CHUNK
from .layers import MAX_ENTRIES, XATTR_SPACES
from .merge import END, header, link_header
from .rootfs import find_boot_files
from .tree import Inode, Kind, walk

# What Kairos' own tools leave out when they make an image of a directory; the running system
# has its own there.
_EMPTIED = ("dev", "host", "mnt", "proc", "run", "sys", "tmp")
_KINDS = {
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFREG: Kind.FILE,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}
_MAX_TIME = 0xFFFFFFFF  # of squashfs

Identity: TypeAlias = tuple[int, int]  # device and number of an inode
State: TypeAlias = tuple[int, int, int, int]  # the same, its size, and when it changed last


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """What is in a directory; the bytes of its files are read later.

    `states` is how each regular file was found: it must not change until it is read.
    """

    path: Path
    root: Inode
    states: Mapping[Inode, State]


def read_directory(
    path: Path, *, without: Path, tell: Callable[[str], None] = lambda news: None
) -> Directory:
    """The tree at `path`, but nothing in the directory `without`; raises ImageProblem."""
    if not path.is_dir():
        raise ImageProblem("there is no such directory: write dir:ROOTFS")
    scan = _Scan(path, without)
    if scan.sockets:
        more = f" and {len(scan.sockets) - 1} more" if len(scan.sockets) > 1 else ""
        tell(f"sockets are left out: /{min(scan.sockets)}{more}")
    return Directory(path=path, root=scan.root, states=scan.states)


def kernel_config(directory: Directory) -> str:
    """The config of the kernel in it; raises ImageProblem if it cannot be booted at all."""
    config = find_boot_files(directory.root).config
    if config is None:
        return ""
    chunks = _content(directory, config.path.lstrip("/"), config.inode)
    return b"".join(chunks).decode("utf-8", "replace")


def write_directory(
    directory: Directory, out: BinaryIO, report: Callable[[int], None] = lambda written: None
) -> None:
    """Write all of it as a tar, in the order of the names; `report` hears the bytes of files."""
    names: dict[Inode, str] = {}
    out.write(header(".", directory.root))
    written = 0
    for path, inode in walk(directory.root):
        if inode in names:
            out.write(link_header(path, names[inode]))
            continue
        names[inode] = path
        out.write(header(path, inode))
        if inode.kind is Kind.FILE:
            for chunk in _content(directory, path, inode):
                out.write(chunk)
                written += len(chunk)
                report(written)
            out.write(bytes(-inode.size % tarfile.BLOCKSIZE))
    out.write(END)


class _Scan:
    """Reads the tree, directory by directory; raises ImageProblem."""

    def __init__(self, path: Path, without: Path) -> None:
        self._base = f"{path}/"  # paths as texts: 40,000 of them take half the time
        self._seen: dict[Identity, Inode] = {}
        self._emptied = {_identity(path / name) for name in _EMPTIED} | {_identity(without)}
        self._waiting: list[tuple[str, Inode]] = []
        self._count = 0
        self.states: dict[Inode, State] = {}
        self.sockets: list[str] = []
        with _about(""):
            self.root = self._found("", path.stat())
        while self._waiting:
            prefix, directory = self._waiting.pop()
            for name in self._names(prefix):
                self._add(directory, name, prefix + name)

    def _names(self, prefix: str) -> list[str]:
        with _about(prefix):
            names = os.listdir(self._base + prefix)
        self._count += len(names)
        if self._count > MAX_ENTRIES:
            raise ImageProblem(f"it has more than {MAX_ENTRIES} files: not an image to boot")
        return names

    def _add(self, directory: Inode, name: str, path: str) -> None:
        with _about(path):
            about = os.lstat(self._base + path)
            if stat.S_ISSOCK(about.st_mode):
                self.sockets.append(path)
                return
            identity = (about.st_dev, about.st_ino)
            # A directory seen before is mounted in two places: both are kept, as they look.
            if identity not in self._seen or stat.S_ISDIR(about.st_mode):
                self._seen[identity] = self._found(path, about)
            directory.children[name] = self._seen[identity]

    def _found(self, path: str, about: os.stat_result) -> Inode:
        inode = self._described(path, about)
        if inode.kind is Kind.FILE:
            self.states[inode] = _state(about)
        if inode.kind is Kind.DIRECTORY and (about.st_dev, about.st_ino) not in self._emptied:
            self._waiting.append((f"{path}/" if path else "", inode))
        return inode

    def _described(self, path: str, about: os.stat_result) -> Inode:
        kind = _KINDS[stat.S_IFMT(about.st_mode)]
        place = self._base + path
        return Inode(
            kind=kind,
            mode=stat.S_IMODE(about.st_mode),
            uid=about.st_uid,
            gid=about.st_gid,
            mtime=max(0, min(int(about.st_mtime), _MAX_TIME)),
            size=about.st_size if kind is Kind.FILE else 0,
            target=os.readlink(place) if kind is Kind.SYMLINK else "",
            device=(os.major(about.st_rdev), os.minor(about.st_rdev)),
            xattrs=_xattrs(place),
        )


def _content(directory: Directory, path: str, inode: Inode) -> Iterator[bytes]:
    """A file's bytes, which must be those it had when the tree was read."""
    left, state = inode.size, directory.states[inode]
    with _about(path), _opened(f"{directory.path}/{path}") as file:
        while True:
            chunk = os.read(file, min(CHUNK, left + 1))
            left -= len(chunk)
            if left < 0 or (left and not chunk) or _state(os.fstat(file)) != state:
                raise _changed(path)
            if not chunk:
                return
            yield chunk


@contextmanager
def _opened(place: str) -> Iterator[int]:
    # O_NONBLOCK: a FIFO that has taken its place must not hold us up.
    file = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield file
    finally:
        os.close(file)


def _xattrs(place: str) -> dict[str, str]:
    """Those that squashfs has room for; POSIX ACLs (system.*) are none of them."""
    try:
        names = os.listxattr(place, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    return {
        name: os.getxattr(place, name, follow_symlinks=False).decode("utf-8", "surrogateescape")
        for name in sorted(names)
        if name.startswith(XATTR_SPACES)
    }


def _state(about: os.stat_result) -> State:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _identity(path: Path) -> Identity | None:
    try:
        about = path.lstat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


@contextmanager
def _about(path: str) -> Iterator[None]:
    """What the system refuses is told as an ImageProblem that names the file."""
    try:
        yield
    except PermissionError:
        raise ImageProblem(f"/{path} cannot be read by this user: run it as root") from None
    except FileNotFoundError:
        raise _changed(path) from None
    except OSError as error:
        raise ImageProblem(f"/{path} cannot be read: {error.strerror}") from None


def _changed(path: str) -> ImageProblem:
    return ImageProblem(f"/{path} changed while it was read: add it while nothing writes there")
