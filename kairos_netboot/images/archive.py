"""Files by name: of a directory, or of one plain tar, read in place."""

from __future__ import annotations

import io
import posixpath
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, TypeAlias, cast

from ..errors import ImageProblem
from ..store.blobs import CHUNK

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# The program that unpacks each.
_PACKED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"\xfd7zXZ": ("xz", "unxz"),
    b"BZh": ("bzip2", "bunzip2"),
}
_MAX_MEMBERS = 100_000
_MAX_HEADER = 1 << 20
_MAX_LINKS = 10
_LONG_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a file's bytes are in the tar; or, for a link, which name it leads to."""

    offset: int
    size: int
    link: str = ""


Places: TypeAlias = dict[str, Place]
# Raises ImageProblem for a file that is not there, OSError for one that cannot be read.
OpenMember: TypeAlias = Callable[[str], BinaryIO]


def directory_members(directory: Path) -> OpenMember:
    def open_member(name: str) -> BinaryIO:
        try:
            # A FIFO would be waited for without end.
            if not stat.S_ISREG((directory / name).stat().st_mode):
                raise ImageProblem(f"its {name} is no file")
        except FileNotFoundError:
            raise missing(name) from None
        return (directory / name).open("rb")

    return open_member


def archive_members(path: Path, places: Places) -> OpenMember:
    def open_member(name: str) -> BinaryIO:
        place = find_place(places, name)
        file = path.open("rb", buffering=0)
        file.seek(place.offset)
        return cast(BinaryIO, io.BufferedReader(_Slice(file, place.size), CHUNK))

    return open_member


def read_places(path: Path) -> Places:
    """Each file in the tar; raises ImageProblem."""
    if not path.is_file():
        raise ImageProblem("there is no such file")
    try:
        _refuse_packed(path)
        with tarfile.open(path, "r:", tarinfo=_BoundedInfo, encoding="utf-8") as tar:
            return dict(_members(tar))
    except (OSError, tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise ImageProblem(f"it is no tar that can be read: {error}") from None


def find_place(places: Places, name: str) -> Place:
    """Archives of older dockers hold a layer that two images share once, and links to it."""
    place = places.get(name)
    for _ in range(_MAX_LINKS):
        if place is None or not place.link:
            break
        place = places.get(place.link)
    if place is None or place.link:
        raise missing(name)
    return place


def read_chunks(open_member: OpenMember, name: str) -> Iterator[bytes]:
    try:
        with open_member(name) as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise ImageProblem(f"{name} cannot be read: {error.strerror or error}") from None


def missing(name: str) -> ImageProblem:
    if name == "index.json":
        return ImageProblem("it has no index.json: not an OCI layout")
    return ImageProblem(f"it lacks {name}: the copy is not complete")


class _BoundedInfo(tarfile.TarInfo):
    def _proc_member(self, tar: tarfile.TarFile) -> Self:  # the documented hook of tarfile
        if self.type in _LONG_HEADERS and self.size > _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return cast(Self, super()._proc_member(tar))  # type: ignore[misc]


class _Slice(io.RawIOBase):
    """The next `size` bytes of a file, which it closes with itself."""

    def __init__(self, file: io.RawIOBase, size: int) -> None:
        super().__init__()
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)[: self._left]
        count = self._file.readinto(view) or 0
        self._left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, Place]]:
    for count, member in enumerate(tar):
        if count >= _MAX_MEMBERS:
            raise ImageProblem(f"it holds more than {_MAX_MEMBERS} files: no archive of an image")
        name = posixpath.normpath(member.name)
        if member.isreg() and not member.issparse() and member.size >= 0:
            yield name, Place(offset=member.offset_data, size=member.size)
        elif member.issym():
            target = posixpath.join(posixpath.dirname(name), member.linkname)
            yield name, Place(offset=0, size=0, link=posixpath.normpath(target))
        elif member.islnk():
            yield name, Place(offset=0, size=0, link=posixpath.normpath(member.linkname))


def _refuse_packed(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(8)
    for magic, (name, unpack) in _PACKED.items():
        if head.startswith(magic):
            raise ImageProblem(f"it is compressed with {name}: unpack it with `{unpack}` first")
