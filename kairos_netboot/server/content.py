"""Files too large to be held in memory while they are sent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from ..errors import StoreProblem

# What is read at once: for TFTP's blocks of a kilobyte, 256 of them.
_PIECE = 1 << 18


class OpenFile:
    """Slices of a file, read where they are asked for. Not by mmap: a disk's read error would
    come as a signal that ends the server, here it ends one transfer."""

    def __init__(self, handle: int, size: int, name: str) -> None:
        self._handle, self._size, self._name = handle, size, name
        self._start, self._piece = 0, b""

    @classmethod
    def at(cls, path: Path) -> Self:
        """Raises FileNotFoundError."""
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return cls(handle, os.fstat(handle).st_size, path.name)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice, /) -> bytes:
        """Raises StoreProblem. Only slices from the front, as a transfer takes them."""
        start, end, _ = part.indices(self._size)
        if start < self._start or end > self._start + len(self._piece):
            self._start, self._piece = start, self._read(start, max(end - start, _PIECE))
        at = start - self._start
        return self._piece[at : at + max(end - start, 0)]

    def close(self) -> None:
        os.close(self._handle)

    def _read(self, start: int, size: int) -> bytes:
        want = min(size, self._size - start)
        try:
            found = os.pread(self._handle, want, start)
        except OSError as error:
            raise StoreProblem(f"{self._name} cannot be read: {error.strerror}") from None
        if len(found) != want:
            raise StoreProblem(f"{self._name} has {start + len(found)} bytes of {self._size}")
        return found
