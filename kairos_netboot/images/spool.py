"""Blobs on their way here: fetched by threads into files, readable while they still arrive.

So that decompressing a layer and writing the squashfs overlap its download.
"""

from __future__ import annotations

import hashlib
import io
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, TypeAlias, cast

from ..errors import ImageProblem, NetbootError, StoreProblem
from ..store.blobs import CHUNK, check_blob
from ..values import Blob, Digest
from .manifest import Descriptor

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_AT_ONCE = 3  # as Docker: more connections gain nothing, and registries count them
_PATIENCE = 1.0  # seconds that fetches which are given up may take to notice

Fetch: TypeAlias = Callable[[Descriptor], Iterator[bytes]]


class Arrival:
    """One blob. Its digest and size are checked before its last byte can be read."""

    def __init__(self, descriptor: Descriptor, path: Path) -> None:
        self.descriptor = descriptor
        self.path = path
        self._news = threading.Condition()
        self._here = 0
        self._ended = False
        self._error: BaseException | None = None

    def take(self, chunks: Iterable[bytes], report: Callable[[int], None]) -> BaseException | None:
        """Write what comes, check it, wake the readers; what went wrong, as they are told too."""
        error: BaseException | None = None
        try:
            self._write(chunks, report)
        except OSError as problem:
            what = problem.strerror or str(problem)
            error = StoreProblem(f"{self.path.parent}: {what}: `kairos-netboot images gc`")
        except BaseException as problem:
            error = problem
        self.end(error)
        return error

    def _write(self, chunks: Iterable[bytes], report: Callable[[int], None]) -> None:
        sha256, size = hashlib.sha256(), 0
        with self.path.open("xb", buffering=0) as file:
            for chunk in chunks:
                size += len(chunk)
                if size > self.descriptor.size:
                    break
                sha256.update(chunk)
                _write_all(file, chunk)
                self._arrived(min(size, self.descriptor.size - 1))
                report(size)
        found = Blob(digest=Digest("sha256:" + sha256.hexdigest()), size=size)
        check_blob(found, self.descriptor.digest, self.descriptor.size)
        self._arrived(size)

    def _arrived(self, count: int) -> None:
        with self._news:
            self._here = count
            self._news.notify_all()

    def end(self, error: BaseException | None) -> None:
        with self._news:
            if not self._ended:
                self._ended, self._error = True, error
            self._news.notify_all()

    def wait(self, position: int, given_up: threading.Event) -> int:
        """How much is here, as soon as it is more than `position`, or all of it."""
        with self._news:
            self._news.wait_for(lambda: self._here > position or self._ended or given_up.is_set())
            if self._error is not None and self._here <= position:
                raise _again(self._error)
            return self._here

    def wake(self) -> None:
        """Have all who wait look again."""
        with self._news:
            self._news.notify_all()

    def finish(self) -> Blob:
        """Wait for the whole blob; raises what went wrong."""
        with self._news:
            self._news.wait_for(lambda: self._ended)
        if self._error is not None:
            raise _again(self._error)
        return self.descriptor.blob


def _again(error: BaseException) -> BaseException:
    """A fresh exception for each reader: one that is raised twice collects tracebacks."""
    if isinstance(error, NetbootError):
        return type(error)(str(error), details=error.details)
    return ImageProblem(f"the download ended by {error!r}")


def _write_all(file: BinaryIO, chunk: bytes) -> None:
    """A file without a buffer may take less than it is given, as on a disk that is nearly full."""
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]


class _Following(io.RawIOBase):
    """Reads a file that is still being written, and waits for more of it."""

    def __init__(self, arrival: Arrival) -> None:
        super().__init__()
        self._arrival = arrival
        self._position = 0
        self._file: BinaryIO | None = None
        self._given_up = threading.Event()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        here = self._arrival.wait(self._position, self._given_up)
        view = memoryview(buffer)[: here - self._position]
        if self._file is None:
            self._file = self._arrival.path.open("rb", buffering=0)
        count = cast(io.RawIOBase, self._file).readinto(view) or 0
        self._position += count
        return count

    def give_up(self) -> None:
        """Wait no more: what is not here by now is the end."""
        self._given_up.set()
        self._arrival.wake()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


class _Reader(io.BufferedReader):
    def __init__(self, following: _Following) -> None:
        super().__init__(following, CHUNK)
        self._following = following

    def close(self) -> None:
        # Another thread may be in read(), and hold the lock that close() takes.
        self._following.give_up()
        super().close()


class Spool:
    """Fetches blobs in the order of their mention, a few at a time, into `directory`.

    Leaving it, or one that fails, gives up what has not arrived yet.
    """

    def __init__(
        self,
        fetch: Fetch,
        directory: Path,
        report: Callable[[Digest, int], None] = lambda digest, count: None,
    ) -> None:
        self._fetch = fetch
        self._directory = directory
        self._report = report
        self._arrivals: dict[Digest, Arrival] = {}
        self._waiting: queue.SimpleQueue[Arrival | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._given_up = threading.Event()
        self._error: BaseException | None = None

    def add(self, descriptor: Descriptor) -> Arrival:
        """Have a blob fetched; one that is mentioned twice is fetched once."""
        if descriptor.digest not in self._arrivals:
            arrival = Arrival(descriptor, self._directory / descriptor.digest.hex)
            self._arrivals[descriptor.digest] = arrival
            self._waiting.put(arrival)
            if self._error is not None:  # nobody fetches any more
                arrival.end(self._error)
        return self._arrivals[descriptor.digest]

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob's bytes as they arrive."""
        return cast(BinaryIO, _Reader(_Following(self._arrivals[descriptor.digest])))

    def finish(self) -> Mapping[Path, Blob]:
        """Wait for all; the files and what they are. Raises what went wrong first."""
        return {arrival.path: arrival.finish() for arrival in self._arrivals.values()}

    def __enter__(self) -> Self:
        for number in range(_AT_ONCE):
            # Daemons: a registry that is silent must not keep Ctrl-C from ending the program.
            thread = threading.Thread(target=self._work, name=f"fetch-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up(ImageProblem("the download was given up"))
        for _thread in self._threads:
            self._waiting.put(None)
        until = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (arrival := self._waiting.get()) is not None and not self._given_up.is_set():
            wanted = arrival.descriptor
            error = arrival.take(self._chunks(wanted), partial(self._report, wanted.digest))
            if error is not None:
                self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        """Let nobody wait for what will not come: all else is told what went wrong first."""
        if self._error is None:
            self._error = error
        for arrival in list(self._arrivals.values()):
            arrival.end(self._error)
        self._given_up.set()  # last: who is cut short by it has no news of its own

    def _chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        for chunk in self._fetch(descriptor):
            if self._given_up.is_set():
                return
            yield chunk
