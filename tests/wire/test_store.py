"""The store on a real disk that is full, and between processes that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.fleet import Event
from kairos_netboot.boot.lifecycle import Kind
from kairos_netboot.boot.site import Image, Site
from kairos_netboot.errors import StoreProblem
from kairos_netboot.store.blobs import BlobStore
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.small_disk import filled_up, small_disk
from tests.unit.boot.sample import PROFILE, SPEC
from tests.unit.store.sample import keep, make_image

pytestmark = pytest.mark.wire

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SITE = Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC})


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", megabytes=8) as mounted:
        yield mounted


@pytest.fixture
def store(disk: Path) -> Iterator[Store]:
    opened = Store(disk / "state")
    opened.apply(SITE, NOW)
    with opened.blobs.guard():
        opened.add_image(make_image(opened.blobs, "v1", layers=2))
    yield opened
    opened.close()


def files(blobs: BlobStore) -> set[str]:
    return {str(path.relative_to(blobs.root)) for path in blobs.root.rglob("*") if path.is_file()}


def image_too_large(store: Store) -> Image:
    """As an image is added: the work in `scratch`, then the blobs, then the row."""
    with store.blobs.guard(), store.blobs.scratch() as scratch:
        with (scratch / "rootfs").open("wb") as file:
            for _ in range(100):
                file.write(b"x" * 1_000_000)
        raise AssertionError("the disk is larger than it was made")


def test_a_disk_that_fills_up_half_way_leaves_the_store_whole(store: Store) -> None:
    before, fleet = files(store.blobs), store.fleet()
    with pytest.raises(OSError, match="No space left"):
        image_too_large(store)
    assert files(store.blobs) == before
    assert list((store.blobs.root / "work").iterdir()) == []
    assert store.garbage() == ()
    assert store.fleet() == fleet
    store.add_image(make_image(store.blobs, "v2"))


def test_blobs_for_which_no_row_can_be_written_are_garbage_and_nothing_else(
    store: Store, disk: Path
) -> None:
    before, fleet = set(store.blobs.all()), store.fleet()
    with store.blobs.guard():
        image = make_image(store.blobs, "v2", layers=1500)
        with filled_up(disk), pytest.raises(StoreProblem, match="disk is full"):
            store.add_image(image)
    assert store.fleet() == fleet
    assert set(store.garbage()) == set(image.blobs())
    store.collect()
    assert set(store.blobs.all()) == before


def test_what_a_full_disk_does_not_take_is_told_and_comes_later(store: Store, disk: Path) -> None:
    node = store.fleet().named("alpha")
    news = [(Event(node=node.id, at=NOW, kind=Kind.FILE, text="x" * 100_000), None)] * 10
    before = store.timeline(node.id)
    with filled_up(disk):
        for _ in range(2):
            with pytest.raises(StoreProblem, match="database or disk is full"):
                store.record(news)
        assert store.timeline(node.id) == before
        assert store.fleet().nodes == (node,)
    store.record(news)
    assert len(store.timeline(node.id)) == len(before) + 10


def test_a_store_on_a_full_disk_can_be_opened_read_and_cleared(store: Store, disk: Path) -> None:
    left = keep(store.blobs, b"x" * 2_000_000)
    fleet = store.fleet()
    store.close()  # and so the index of the database's log is gone, for which there is no room now
    with filled_up(disk):
        for _ in range(2):  # whoever is there first does not lock the second out
            store = Store(disk / "state")
            other = Store(disk / "state")
            assert store.fleet() == other.fleet() == fleet
            assert store.change_count() == 0
            with pytest.raises(StoreProblem, match="disk is full"):
                store.discover({Mac("525400000088"): {"a": "b" * 100_000}}, NOW)
            assert other.garbage() == left
            other.close()
            store.close()
        store = Store(disk / "state")
        assert store.collect() == left
        store.discover({Mac("525400000088"): {}}, NOW)  # there is room again
        assert store.change_count() > 0
        assert len(store.fleet().nodes) == len(fleet.nodes) + 1
        store.close()


def test_a_new_store_on_a_full_disk_is_one_error(disk: Path) -> None:
    with filled_up(disk), pytest.raises(StoreProblem, match=r"cannot (make|open) "):
        Store(disk / "state")
    Store(disk / "state").close()


def test_work_that_does_not_fit_names_the_place_and_the_way_out(store: Store) -> None:
    with pytest.raises(StoreProblem) as caught:
        store.blobs.require(50_000_000)
    told = str(caught.value)
    assert str(store.blobs.root) in told
    assert "needs about 84 MB and has 8 MB left" in told
    assert "images gc" in told


def test_room_is_left_for_the_database(store: Store) -> None:
    with pytest.raises(StoreProblem, match="needs about 34 MB"):
        store.blobs.require(1)


KILLED = """
import os, signal, sys
from pathlib import Path
from kairos_netboot.store.store import Store
from tests.unit.store.sample import make_image

store = Store(Path(sys.argv[1]))
with store.blobs.guard(), store.blobs.claim("v2", lambda: None), store.blobs.scratch() as scratch:
    (scratch / "half").write_bytes(b"half")
    image = make_image(store.blobs, "v2")
    if sys.argv[2] == "after":
        store.add_image(image)
    print("ready", flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("when", ["before", "after"], ids=["before its row", "after its row"])
def test_a_process_killed_in_mid_work_leaves_garbage_and_no_lock(tmp_path: Path, when: str) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "state"), when]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()}
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        store = Store(tmp_path / "state")
        assert any(name.startswith("work/scratch-") for name in files(store.blobs))
        with pytest.raises(StoreProblem, match="an image is being added"):
            store.collect()
        process.send_signal(signal.SIGKILL)
    with store.blobs.claim("v2", pytest.fail):
        pass
    known = store.fleet().images
    assert set(known) == ({"debian"} if when == "after" else set())
    garbage = store.collect()
    assert len(garbage) == (0 if when == "after" else 3)
    assert all(store.is_whole(image) for image in known.values())
    assert list((store.blobs.root / "work").iterdir()) == []
    store.close()
