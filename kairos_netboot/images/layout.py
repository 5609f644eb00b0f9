"""OCI layouts on disk: a directory, or the same in one tar, read in place."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from ..errors import ImageProblem
from ..store.blobs import CHUNK
from .manifest import Descriptor, Index, parse, select_tag
from .reference import ArchiveReference, LayoutReference
from .source import Source, read_bounded

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}
_MAX_MEMBERS = 100_000

OpenMember: TypeAlias = Callable[[str], BinaryIO]


def open_layout(reference: LayoutReference) -> Source:
    """A directory with index.json and blobs/; raises ImageProblem."""
    if not reference.path.is_dir():
        raise ImageProblem("there is no such directory: write oci:DIR, or oci-archive:FILE")

    def open_member(name: str) -> BinaryIO:
        try:
            return (reference.path / name).open("rb")
        except FileNotFoundError:
            raise _missing(name) from None
        except OSError as error:
            raise ImageProblem(f"{name} cannot be read: {error.strerror}") from None

    return _source(open_member, reference.tag)


@contextmanager
def open_archive(reference: ArchiveReference) -> Iterator[Source]:
    """A plain tar of a layout; raises ImageProblem."""
    places = _places(reference.path)

    def open_member(name: str) -> BinaryIO:
        if name not in places:
            raise _missing(name)
        offset, size = places[name]
        file = reference.path.open("rb", buffering=0)
        file.seek(offset)
        return cast(BinaryIO, io.BufferedReader(_Slice(file, size), CHUNK))

    yield _source(open_member, reference.tag)


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


def _source(open_member: OpenMember, tag: str) -> Source:
    def open_blob(descriptor: Descriptor) -> BinaryIO:
        return open_member(f"blobs/sha256/{descriptor.digest.hex}")

    def read(file: BinaryIO) -> Iterator[bytes]:
        with file:
            while chunk := file.read(CHUNK):
                yield chunk

    def top() -> Index:
        index = parse(read_bounded(read(open_member("index.json"))))
        if not isinstance(index, Index):
            raise ImageProblem("its index.json is no index: not an OCI layout")
        return select_tag(index, tag)

    return Source(
        top=top,
        document=lambda descriptor: read(open_blob(descriptor)),
        config=lambda descriptor: read(open_blob(descriptor)),
        layer=lambda descriptor, _directory, _report: lambda: open_blob(descriptor),
    )


def _places(path: Path) -> dict[str, tuple[int, int]]:
    """Offset and size of each file in the tar."""
    try:
        _refuse_packed(path)
        with tarfile.open(path, "r:") as tar:
            places = dict(_members(tar))
    except FileNotFoundError:
        raise ImageProblem("there is no such file: write oci-archive:FILE") from None
    except (OSError, tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise ImageProblem(f"it is no tar that can be read: {error}") from None
    if "index.json" not in places and "manifest.json" in places:
        raise ImageProblem(
            "it is an archive of `docker save`: copy it with"
            " `skopeo copy docker-archive:FILE oci-archive:NEWFILE`"
        )
    return places


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, tuple[int, int]]]:
    for count, member in enumerate(tar):
        if count >= _MAX_MEMBERS:
            raise ImageProblem(f"it holds more than {_MAX_MEMBERS} files: not an OCI archive")
        if member.isreg() and not member.issparse():
            yield member.name.removeprefix("./"), (member.offset_data, member.size)


def _refuse_packed(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(8)
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise ImageProblem(f"it is compressed with {name}: unpack it to a plain tar first")


def _missing(name: str) -> ImageProblem:
    if name == "index.json":
        return ImageProblem("it has no index.json: not an OCI layout")
    return ImageProblem(f"it lacks {name}: the copy is not complete")
