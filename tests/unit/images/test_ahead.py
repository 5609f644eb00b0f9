"""A stream that a thread reads ahead: same bytes, same errors, and nobody left behind."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Generator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images import ahead as module
from kairos_netboot.images.ahead import ahead
from kairos_netboot.images.streams import Readable
from kairos_netboot.store.blobs import CHUNK


class Source:
    """Chunks as they come; an exception among them is raised, once."""

    def __init__(self, *found: bytes | Exception) -> None:
        self.found = list(found)
        self.readers: set[int] = set()

    def read(self, size: int = -1, /) -> bytes:
        self.readers.add(threading.get_ident())
        found = self.found.pop(0) if self.found else b""
        if isinstance(found, Exception):
            raise found
        return found


class Endless:
    def __init__(self) -> None:
        self.count = 0

    def read(self, size: int = -1, /) -> bytes:
        self.count += 1
        return b"x" * 100


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


def whole(stream: Readable, size: int = CHUNK) -> bytes:
    return b"".join(iter(lambda: stream.read(size), b""))


def whole_of(source: Readable) -> Generator[bytes, None, None]:
    with ahead(source) as stream:
        while True:
            yield stream.read(5)


@given(st.binary(max_size=300), st.integers(1, 400))
@example(b"", 1)
@example(b"x", 1)
@example(b"x" * 300, 299)
def test_the_bytes_are_the_same(data: bytes, size: int) -> None:
    with ahead(io.BytesIO(data)) as stream:
        assert whole(stream, size) == data


def test_more_than_fits_the_queue_comes_through() -> None:
    data = bytes(range(256)) * (12 * CHUNK // 256) + b"end"
    with ahead(io.BytesIO(data)) as stream:
        assert whole(stream) == data


def test_its_end_can_be_read_again() -> None:
    with ahead(io.BytesIO(b"x")) as stream:
        assert [stream.read(9), stream.read(9), stream.read(9)] == [b"x", b"", b""]


def test_another_thread_reads() -> None:
    source = Source(b"a", b"b")
    with ahead(source) as stream:
        whole(stream)
    assert threading.get_ident() not in source.readers


def test_what_stops_the_source_is_raised_where_it_is_read() -> None:
    read = whole_of(Source(b"first", ImageProblem("broken off")))
    assert next(read) == b"first"
    with pytest.raises(ImageProblem, match="broken off"):
        next(read)


def test_when_it_is_left_nobody_reads_the_source() -> None:
    source = Endless()
    with ahead(source) as stream:
        stream.read(1)
    count = source.count
    time.sleep(0.02)
    assert source.count == count
    assert not readers()


def test_a_reader_that_waits_for_room_ends_when_the_parser_fails() -> None:
    read = whole_of(Endless())
    next(read)
    with pytest.raises(ValueError, match="bad header"):
        read.throw(ValueError("bad header"))
    assert not readers()


def test_it_stays_no_further_ahead_than_the_queue_is_long() -> None:
    source = Endless()
    with ahead(source):
        while source.count < module._CHUNKS:
            time.sleep(0.001)
        time.sleep(0.02)
        assert source.count <= module._CHUNKS + 1


def test_a_source_that_is_silent_keeps_no_error_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.02)
    silence = threading.Event()

    class Silent:
        def read(self, size: int = -1, /) -> bytes:
            silence.wait()
            return b""

    with pytest.raises(KeyboardInterrupt), ahead(Silent()):
        raise KeyboardInterrupt
    assert readers(), "it is left to itself"
    silence.set()
    for thread in readers():
        thread.join(1)
