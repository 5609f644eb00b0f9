"""Blobs that arrive in threads, and are read meanwhile."""

from __future__ import annotations

import errno
import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from kairos_netboot.errors import ImageProblem, StoreProblem, UnknownName
from kairos_netboot.images.manifest import Descriptor
from kairos_netboot.images.spool import Arrival, Spool, _write_all
from kairos_netboot.values import Digest

DATA = bytes(range(256)) * 1000


def described(data: bytes) -> Descriptor:
    return Descriptor(media_type="x", digest=Digest.of(data), size=len(data))


def giving(*chunks: bytes) -> Callable[[Descriptor], Iterator[bytes]]:
    return lambda wanted: iter(chunks)


def test_a_blob_is_read_while_it_arrives(tmp_path: Path) -> None:
    go_on = threading.Event()

    def fetch(wanted: Descriptor) -> Iterator[bytes]:
        yield DATA[:1000]
        assert go_on.wait(5)
        yield DATA[1000:]

    with Spool(fetch, tmp_path) as spool:
        spool.add(described(DATA))
        with spool.open(described(DATA)) as file:
            assert file.read(1000) == DATA[:1000]
            go_on.set()
            assert file.read() == DATA[1000:]
        (path,) = spool.finish()
    assert path.read_bytes() == DATA


def test_the_last_byte_of_a_wrong_blob_is_never_read(tmp_path: Path) -> None:
    wrong = DATA[:-1] + b"?"
    with Spool(giving(wrong), tmp_path) as spool:
        spool.add(described(DATA))
        with spool.open(described(DATA)) as file:
            with pytest.raises(ImageProblem, match="came with other content"):
                file.read()
            with pytest.raises(ImageProblem, match="came with other content"):
                spool.finish()


def test_closing_ends_the_reading_of_another_thread(tmp_path: Path) -> None:
    go_on = threading.Event()

    def fetch(wanted: Descriptor) -> Iterator[bytes]:
        go_on.wait(20)
        yield b""

    with Spool(fetch, tmp_path) as spool:
        spool.add(described(DATA))
        file = spool.open(described(DATA))
        reading = threading.Thread(target=lambda: file.read(1), daemon=True)
        reading.start()
        closing = threading.Thread(target=file.close, daemon=True)
        closing.start()
        closing.join(2)
        ended = not closing.is_alive()
        go_on.set()
    assert ended


def test_a_blob_is_fetched_once_however_often_it_is_mentioned(tmp_path: Path) -> None:
    asked: list[Digest] = []

    def fetch(wanted: Descriptor) -> Iterator[bytes]:
        asked.append(wanted.digest)
        yield DATA

    with Spool(fetch, tmp_path) as spool:
        assert spool.add(described(DATA)) is spool.add(described(DATA))
        spool.finish()
    assert asked == [Digest.of(DATA)]


def test_what_the_disk_refuses_is_the_stores_problem(tmp_path: Path) -> None:
    with Spool(giving(DATA), tmp_path / "nowhere") as spool:
        spool.add(described(DATA))
        with pytest.raises(StoreProblem, match=r"nowhere: No such file or directory: .*images gc"):
            spool.finish()


class _Reluctant(io.BytesIO):
    """Takes 100 bytes at a time, as a disk that is nearly full may take a part."""

    def write(self, data: object, /) -> int:
        return super().write(memoryview(cast(bytes, data))[:100])


def test_a_file_that_takes_a_part_is_given_the_rest() -> None:
    file = _Reluctant()
    _write_all(cast(BinaryIO, file), DATA)
    assert file.getvalue() == DATA


def test_an_empty_blob_is_one(tmp_path: Path) -> None:
    for chunks in ((), (b"",)):
        directory = tmp_path / str(len(chunks))
        directory.mkdir()
        with Spool(giving(*chunks), directory) as spool:
            spool.add(described(b""))
            with spool.open(described(b"")) as file:
                assert file.read() == b""
            (path,) = spool.finish()
        assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ((DATA[:-1],), f"came with {len(DATA) - 1} of {len(DATA)} bytes"),
        ((DATA, b"?"), f"came with more than {len(DATA)} bytes"),
        ((), f"came with 0 of {len(DATA)} bytes"),
    ],
)
def test_a_blob_of_another_size_is_never_read_to_its_end(
    tmp_path: Path, chunks: tuple[bytes, ...], message: str
) -> None:
    with Spool(giving(*chunks), tmp_path) as spool:
        spool.add(described(DATA))
        with spool.open(described(DATA)) as file, pytest.raises(ImageProblem, match=message):
            file.read()
        with pytest.raises(ImageProblem, match=message):
            spool.finish()


def test_no_more_than_the_announced_size_is_written(tmp_path: Path) -> None:
    def endless(wanted: Descriptor) -> Iterator[bytes]:
        while True:
            yield DATA

    with Spool(endless, tmp_path) as spool:
        path = spool.add(described(DATA)).path
        with pytest.raises(ImageProblem, match="more than"):
            spool.finish()
    assert path.stat().st_size == len(DATA)


def test_every_reader_is_told_the_same_error_of_its_own(tmp_path: Path) -> None:
    def fetch(wanted: Descriptor) -> Iterator[bytes]:
        yield DATA[:10]
        raise UnknownName("gone", details="the details")

    with Spool(fetch, tmp_path) as spool:
        spool.add(described(DATA))
        told = []
        for _ in range(2):
            with spool.open(described(DATA)) as file, pytest.raises(UnknownName) as raised:
                file.read()
            told.append(raised.value)
    assert [(str(one), one.details) for one in told] == [("gone", "the details")] * 2
    assert told[0] is not told[1]


def test_what_nobody_expected_is_told_too(tmp_path: Path) -> None:
    def fetch(wanted: Descriptor) -> Iterator[bytes]:
        raise ZeroDivisionError("oh")

    with Spool(fetch, tmp_path) as spool:
        spool.add(described(DATA))
        with pytest.raises(ImageProblem, match=r"the download ended by ZeroDivisionError\('oh'\)"):
            spool.finish()


class Slow:
    """Gives the first blob at once, wrong; all others only when it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked: list[Digest] = []

    def __call__(self, wanted: Descriptor) -> Iterator[bytes]:
        self.asked.append(wanted.digest)
        if wanted == described(b"wrong"):
            yield b"other"
            return
        self.go_on.wait(15)
        yield b""


def test_one_that_fails_ends_the_waiting_for_all(tmp_path: Path) -> None:
    slow = Slow()
    with Spool(slow, tmp_path) as spool:
        spool.add(described(DATA))
        reader = spool.open(described(DATA))
        spool.add(described(b"wrong"))
        began = time.monotonic()
        with pytest.raises(ImageProblem, match="came with other content"):
            reader.read()
        with pytest.raises(ImageProblem, match="came with other content"):
            spool.finish()
        spool.add(described(b"later"))
        with spool.open(described(b"later")) as late, pytest.raises(ImageProblem, match="other"):
            late.read()
        assert time.monotonic() - began < 5
        slow.go_on.set()
    assert Digest.of(b"later") not in slow.asked
    reader.close()


def test_leaving_gives_up_what_has_not_arrived(tmp_path: Path) -> None:
    slow = Slow()
    with Spool(slow, tmp_path) as spool:
        names = [described(bytes([number])) for number in range(5)]
        for name in names:
            spool.add(name)
        readers = [spool.open(name) for name in names]
        slow.go_on.set()
    for reader in readers:
        with pytest.raises(ImageProblem):
            reader.read()
        reader.close()


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    def fetch(wanted: Descriptor) -> Iterator[bytes]:
        while True:  # as long as anybody takes it
            time.sleep(0.001)
            yield b"x"

    before = set(threading.enumerate())
    huge = Descriptor(media_type="x", digest=Digest.of(b"huge"), size=1 << 40)
    with Spool(fetch, tmp_path) as spool:
        spool.add(huge)
    assert set(threading.enumerate()) <= before


def test_a_full_disk_is_the_stores_problem(tmp_path: Path) -> None:
    class Full:
        """A file that takes nothing."""

        def open(self, mode: str, buffering: int) -> Full:
            return self

        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        parent = tmp_path

    arrival = Arrival(described(DATA), cast(Path, Full()))
    error = arrival.take([DATA], lambda count: None)
    assert isinstance(error, StoreProblem)
    assert str(error) == f"{tmp_path}: No space left on device: `kairos-netboot images gc`"
    with pytest.raises(StoreProblem, match="No space left"):
        arrival.finish()


def test_progress_names_the_blob_and_never_more_than_its_size(tmp_path: Path) -> None:
    heard: list[tuple[Digest, int]] = []
    with Spool(
        giving(DATA[:7], DATA[7:]), tmp_path, lambda one, done: heard.append((one, done))
    ) as spool:
        spool.add(described(DATA))
        spool.finish()
    assert heard == [(Digest.of(DATA), 7), (Digest.of(DATA), len(DATA))]


def test_many_blobs_arrive_whole(tmp_path: Path) -> None:
    blobs = {Digest.of(data): data for data in (bytes([n]) * n * 100 for n in range(60))}

    def fetch(wanted: Descriptor) -> Iterator[bytes]:
        data = blobs[wanted.digest]
        yield from (data[at : at + 777] for at in range(0, len(data), 777))

    with Spool(fetch, tmp_path) as spool:
        for data in blobs.values():
            spool.add(described(data))
        found = spool.finish()
    assert {blob.digest: path.read_bytes() for path, blob in found.items()} == blobs
