"""Hostile images: each ends in one clear error, soon, and leaves nothing behind."""

from __future__ import annotations

import re
import resource
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kairos_netboot.boot.site import ImageSource
from kairos_netboot.errors import NetbootError, StoreProblem
from kairos_netboot.images import layers, streams
from kairos_netboot.images.progress import Progress
from kairos_netboot.images.pull import add_image
from kairos_netboot.store.store import Store
from tests.hostile_images import BASE, HOSTILE, MIB
from tests.images_factory import image, layout_files, write_archive

pytestmark = pytest.mark.wire

MOST_SECONDS, MOST_MEMORY = 8.0, 200 * MIB


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state")
    yield opened
    opened.close()


def write_files(directory: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory


def add(store: Store, reference: str) -> None:
    heard: list[Progress | str] = []
    add_image(ImageSource(name="hostile", reference=reference), store, {}, heard.append)


def most_memory() -> int:
    """The most that this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def refused(store: Store, reference: str, words: str) -> None:
    started, held = time.monotonic(), most_memory()
    with pytest.raises(NetbootError) as caught:
        add(store, reference)
    said = str(caught.value)
    assert time.monotonic() - started < MOST_SECONDS
    assert most_memory() - held < MOST_MEMORY
    assert re.search(words, said), said
    assert said.startswith(reference) or isinstance(caught.value, StoreProblem)
    assert len(re.findall(r"layer \d+", said)) <= 1, "it is named once"
    assert said.isprintable(), "it would move a terminal's cursor"
    assert len(said) < 1000
    nothing_is_left(store)


def nothing_is_left(store: Store) -> None:
    assert list(store.blobs.all()) == []
    assert list((store.blobs.root / "work").iterdir()) == []
    assert store.fleet().images == {}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_image_is_refused_in_time_and_leaves_nothing(
    name: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = HOSTILE[name]()
    for bound, value in hostile.bounds.items():
        for module in (layers, streams):
            if hasattr(module, bound):
                monkeypatch.setattr(module, bound, value)
    refused(store, f"oci:{write_files(tmp_path / 'layout', hostile.files)}", hostile.words)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.5])
def test_an_archive_that_was_cut_off_is_refused(part: float, store: Store, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "image.tar", {"": image([BASE])})
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    refused(store, f"oci-archive:{path}", "it")


def test_the_image_beneath_the_hostile_ones_is_good(store: Store, tmp_path: Path) -> None:
    files = layout_files({"": image([BASE])})
    add(store, f"oci:{write_files(tmp_path / 'layout', files)}")
    assert set(store.fleet().images) == {"hostile"}
