"""A layer's bytes: opened, decompressed, and checked against their digests on the way."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tarfile import TarError
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, TypeAlias, cast

import zstandard
from isal import igzip, igzip_lib

from ..errors import ImageProblem, NetbootError
from ..store.blobs import CHUNK, check_blob
from ..values import Blob, Digest, printable
from .manifest import Layer, LayerFormat

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# No machine that netboots could hold a root file system of this size in memory.
MAX_UNPACKED = 16 << 30
# 128 MiB is what `zstd --long` makes, and all that decompressors are asked to grant.
_ZSTD_WINDOW = 128 << 20
_MAX_SAID = 500

# Its stubs declare it as a value.
_IsalError = cast(type[Exception], igzip_lib.IsalError)

Opener: TypeAlias = Callable[[], BinaryIO]


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLayer:
    """A layer that is here and can be read as often as needed."""

    layer: Layer
    open: Opener


class HashingReader(io.RawIOBase):
    """Reads through to `source`, hashing and counting; `report` hears the count."""

    def __init__(
        self,
        source: Readable,
        report: Callable[[int], None] = lambda count: None,
        before: int = 0,
    ) -> None:
        super().__init__()
        self._source = source
        self._report = report
        self._before = before
        self._sha256 = hashlib.sha256()
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self.count += len(data)
        if self._before + self.count > MAX_UNPACKED:
            raise ImageProblem(f"more than {MAX_UNPACKED >> 30} GiB: not an image to boot")
        self._sha256.update(data)
        self._report(self.count)
        return data

    def drain(self) -> Blob:
        """Read what is left, and say what all of it was."""
        while self.read(CHUNK):
            pass
        return Blob(digest=Digest("sha256:" + self._sha256.hexdigest()), size=self.count)


@contextmanager
def verified(
    stored: StoredLayer, report: Callable[[int], None] = lambda count: None, before: int = 0
) -> Iterator[HashingReader]:
    """The layer's tar; leaving without an error proves its digest, its size and its diff_id.

    `report` hears how many of the stored bytes are read; `before`: bytes that
    count towards its bound already.
    """
    layer = stored.layer
    with named(layer), stored.open() as file:
        raw = HashingReader(file, report)
        tar = HashingReader(_decompressed(raw, layer.format), before=before)
        yield tar
        unpacked = tar.drain()
        check_blob(raw.drain(), layer.descriptor.digest, layer.descriptor.size)
        check_blob(unpacked, layer.diff_id, None)


@contextmanager
def unverified(stored: StoredLayer) -> Iterator[Readable]:
    """The tar of a layer that was verified before."""
    with named(stored.layer), stored.open() as file:
        yield _decompressed(file, stored.layer.format)


def _decompressed(source: Readable, layer_format: LayerFormat) -> Readable:
    match layer_format:
        case LayerFormat.TAR:
            return source
        case LayerFormat.GZIP:
            return cast(Readable, igzip.IGzipFile(fileobj=source, mode="rb"))
        case LayerFormat.ZSTD:
            decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
            return decompressor.stream_reader(
                cast(IO[bytes], source), read_size=CHUNK, read_across_frames=True, closefd=False
            )


@contextmanager
def named(layer: Layer) -> Iterator[None]:
    """Whatever goes wrong in a layer is told as an ImageProblem that names it."""
    try:
        yield
    except ImageProblem as problem:
        raise ImageProblem(
            f"layer {layer.number}: {_said(problem)}", details=problem.details
        ) from None
    except (NetbootError, BrokenPipeError):  # a pipe is what is written to
        raise
    except (
        TarError,
        zstandard.ZstdError,
        _IsalError,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ImageProblem(f"layer {layer.number} cannot be read: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Without what terminals obey, and without the middle of names as long as their makers want."""
    text = printable(str(error), 1 << 20)
    return text if len(text) <= _MAX_SAID else f"{text[:200]} … {text[-200:]}"
