"""The entries of a layer's tar, one after the other, from a stream that only goes forward."""

from __future__ import annotations

import io
import struct
import sys
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Self, cast

from ..store.blobs import CHUNK
from .streams import Readable

_BLOCK = tarfile.BLOCKSIZE
# All headers of one entry, tables of sparse files included: the kernel allows 64 KiB of xattrs.
_MAX_HEADER = 1 << 20
# POSIX 1003.1, ustar: name, mode, uid, gid, size, mtime, checksum, type, name of the link, magic
# with version, (names of the owners,) device, prefix of the name.
_USTAR = struct.Struct("100s8s8s8s12s12s8sc100s8s64x8s8s155s12x")
_MAGIC = b"ustar\x0000"
_ORDINARY = frozenset((tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE))


def members(stream: Readable) -> Iterator[tuple[tarfile.TarInfo, Forward]]:
    """Each entry of a layer's tar, and the stream that stands at its first byte of data."""
    forward = Forward(stream)
    file = cast(IO[bytes], forward)
    # Names are bytes: by default tarfile reads them in the locale's encoding.
    with tarfile.open(fileobj=file, mode="r:", tarinfo=StrictInfo, encoding="utf-8") as tar:
        member = tar.next()
        while member is not None:
            tar.members = []  # type: ignore[attr-defined]  # it would keep every header
            forward.limit = sys.maxsize
            yield member, forward
            forward.seek(tar.offset)
            forward.limit = tar.offset + _MAX_HEADER
            try:
                member = StrictInfo.fromtarfile(tar)
            except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
                member = None


class Forward:
    """A stream as a file for tarfile, whose own stream mode copies its buffer at every header.

    What would be read beyond `limit` is refused.
    """

    def __init__(self, stream: Readable) -> None:
        self._buffered = io.BufferedReader(cast(io.RawIOBase, stream), CHUNK)
        self._position = 0
        self.limit = _MAX_HEADER

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        if self._position + size > self.limit:
            raise tarfile.ReadError(f"a header of {max(size, _MAX_HEADER)} bytes")
        data = self._buffered.read(size)
        self._position += len(data)
        return data

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.ReadError(f"an entry of a size below zero at byte {self._position}")
        while self._position < position:
            if not self.read(min(CHUNK, position - self._position)):
                raise tarfile.ReadError("unexpected end of data")


class StrictInfo(tarfile.TarInfo):
    """A header that is wrong is an error; the standard library takes some for the end."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        file = cast(IO[bytes], tar.fileobj)
        block = file.read(_BLOCK)
        info = None if tar.pax_headers else cls.ordinary(block)
        if info is not None:
            info.offset_data = tar.offset = file.tell()
            if info.type == tarfile.REGTYPE:
                tar.offset += -(-info.size // _BLOCK) * _BLOCK
            return info
        try:
            info = cls.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            # A layer of no bytes at all is an empty one; tarfile would miss its end marks.
            raise tarfile.EOFHeaderError("it ends too soon") from None  # type: ignore[attr-defined]
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"{error} at byte {tar.offset} of its tar") from None
        info.offset = file.tell() - _BLOCK
        return info._proc_member(tar)

    @classmethod
    def ordinary(cls, block: bytes) -> Self | None:
        """What `frombuf` makes of a header like most are, six times as fast; of others None."""
        if len(block) != _BLOCK or not block.isascii():
            return None
        name, mode, uid, gid, size, mtime, total, kind, link, magic, *device, prefix = (
            _USTAR.unpack(block)
        )
        if kind not in _ORDINARY or magic != _MAGIC:
            return None
        # An Adler-32's lower half is 1 and the sum of the bytes, which is below its modulus of
        # 65521 as long as 512 of them are ASCII. A checksum counts its own field as eight spaces.
        rest = zlib.adler32(block[156:], zlib.adler32(block[:148])) & 0xFFFF
        info = cls(_text(name).rstrip("/") if kind == tarfile.DIRTYPE else _text(name))
        try:
            if _octal(total) != rest - 1 + 8 * 0x20:
                return None
            info.mode, info.uid, info.gid = _octal(mode), _octal(uid), _octal(gid)
            info.size, info.mtime = _octal(size), _octal(mtime)
            info.devmajor, info.devminor = map(_octal, device)
        except ValueError:
            return None
        if info.size < 0:
            return None
        if prefix[0]:
            info.name = f"{_text(prefix)}/{info.name}"
        info.type, info.linkname = kind, _text(link)
        return info

    def _proc_member(self, tar: tarfile.TarFile) -> Self:  # the documented hook of tarfile
        try:
            return cast(Self, super()._proc_member(tar))  # type: ignore[misc]
        except ValueError:  # a number, or a table of a sparse file, that is none
            raise tarfile.ReadError(
                f"a senseless header at byte {self.offset} of its tar"
            ) from None


def _octal(field: bytes) -> int:
    return int(field.rstrip(b"\0 ") or b"0", 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("ascii")
