"""A stream read by a thread of its own, some way ahead: decompressing waits for no parser."""

from __future__ import annotations

import contextlib
import io
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from ..store.blobs import CHUNK
from .streams import Readable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNKS = 8
_PATIENCE = 1.0  # seconds


class _Queued(io.RawIOBase):
    """What the thread has read; raises what stopped it."""

    def __init__(self, chunks: queue.Queue[bytes | BaseException]) -> None:
        super().__init__()
        self._chunks = chunks
        self._left = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if not self._left and not self._ended:
            found = self._chunks.get()
            if isinstance(found, BaseException):
                raise found
            self._left, self._ended = memoryview(found), not found
        view = memoryview(buffer)
        count = min(len(view), len(self._left))
        view[:count], self._left = self._left[:count], self._left[count:]
        return count


@contextmanager
def ahead(source: Readable) -> Iterator[Readable]:
    """The same bytes. When it is left without an error, nobody else reads the source."""
    chunks: queue.Queue[bytes | BaseException] = queue.Queue(_CHUNKS)
    given_up = threading.Event()

    def read() -> None:
        try:
            while (chunk := source.read(CHUNK)) and not given_up.is_set():
                chunks.put(chunk)
            chunks.put(b"")
        except BaseException as error:
            chunks.put(error)

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield cast(Readable, _Queued(chunks))
    except BaseException:
        _stop(thread, chunks, given_up, _PATIENCE)
        raise
    _stop(thread, chunks, given_up, None)


def _stop(
    thread: threading.Thread,
    chunks: queue.Queue[bytes | BaseException],
    given_up: threading.Event,
    seconds: float | None,
) -> None:
    """A thread that waits for room gets it; one that waits for a network is left to itself."""
    given_up.set()
    until = None if seconds is None else time.monotonic() + seconds
    while thread.is_alive() and (until is None or time.monotonic() < until):
        with contextlib.suppress(queue.Empty):
            chunks.get_nowait()
        thread.join(0.005)
