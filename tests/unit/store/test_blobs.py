from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kairos_netboot.errors import ImageProblem, StoreProblem, UnknownName
from kairos_netboot.store.blobs import BlobStore
from kairos_netboot.values import Digest


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def files(store: BlobStore) -> list[str]:
    return sorted(str(p.relative_to(store.root)) for p in store.root.rglob("*") if p.is_file())


def test_a_stored_blob_is_found_by_its_digest(store: BlobStore) -> None:
    blob = store.put([b"some ", b"bytes"])
    assert (blob.digest, blob.size) == (Digest.of(b"some bytes"), 10)
    assert store.has(blob.digest)
    with store.open(blob.digest) as file:
        assert file.read() == b"some bytes"


def test_a_blob_can_be_read_by_everyone_and_written_by_its_owner(store: BlobStore) -> None:
    blob = store.put([b"x"])
    assert store.path(blob.digest).stat().st_mode & 0o7777 == 0o644


def test_a_blob_with_another_digest_leaves_nothing(store: BlobStore) -> None:
    with pytest.raises(ImageProblem, match="came with other content"):
        store.put([b"lie"], expected=Digest.of(b"truth"))
    assert files(store) == []
    assert list((store.root / "work").iterdir()) == []


@pytest.mark.parametrize(("size", "words"), [(2, "more than 2 bytes"), (4, "3 of 4 bytes")])
def test_a_blob_of_another_size_leaves_nothing(store: BlobStore, size: int, words: str) -> None:
    with pytest.raises(ImageProblem, match=words):
        store.put([b"abc"], expected=Digest.of(b"abc"), size=size)
    assert files(store) == []


def test_an_endless_stream_is_cut_at_its_size(store: BlobStore) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000

    with pytest.raises(ImageProblem, match="more than 5000 bytes"):
        store.put(endless(), expected=Digest.of(b""), size=5000)


def test_a_stream_that_breaks_leaves_nothing(store: BlobStore) -> None:
    def broken() -> Iterator[bytes]:
        yield b"first"
        raise ImageProblem("the registry broke off")

    with pytest.raises(ImageProblem, match="broke off"):
        store.put(broken())
    assert files(store) == []


def test_storing_a_blob_twice_keeps_one(store: BlobStore) -> None:
    assert store.put([b"same"]) == store.put([b"same"])
    assert len(files(store)) == 1


def test_files_are_adopted_together(store: BlobStore) -> None:
    with store.scratch() as scratch:
        (scratch / "a").write_bytes(b"a")
        (scratch / "b").write_bytes(b"b")
        blobs = store.adopt_all([scratch / "a", scratch / "b"])
    assert [blob.digest for blob in blobs] == [Digest.of(b"a"), Digest.of(b"b")]


def test_if_one_file_cannot_be_adopted_none_is(store: BlobStore) -> None:
    before = store.put([b"here before"])
    with store.scratch() as scratch:
        (scratch / "a").write_bytes(b"a")
        (scratch / "b").write_bytes(b"here before")
        (scratch / "c").write_bytes(b"c")
        store.path(Digest.of(b"c")).mkdir()  # a directory cannot be replaced by a file
        with pytest.raises(StoreProblem):
            store.adopt_all([scratch / "a", scratch / "b", scratch / "c"])
        store.path(Digest.of(b"c")).rmdir()
    assert files(store) == [f"sha256/{before.digest.hex}"]


def test_a_removed_blob_is_gone_and_may_be_removed_again(store: BlobStore) -> None:
    blob = store.put([b"x"])
    store.remove(blob.digest)
    store.remove(blob.digest)
    assert not store.has(blob.digest)
    with pytest.raises(UnknownName, match="add its image again"):
        store.open(blob.digest)


def test_scratch_is_removed_after_a_failure(store: BlobStore) -> None:
    def fail() -> None:
        with store.scratch() as scratch:
            (scratch / "half").write_bytes(b"half")
            raise ImageProblem("no")

    with pytest.raises(ImageProblem):
        fail()
    assert files(store) == []


def test_what_a_crash_left_is_swept_by_the_next_store(store: BlobStore) -> None:
    left = store.root / "work" / "scratch-left"
    left.mkdir()
    (left / "part").write_bytes(b"half")
    BlobStore(store.root)
    assert not left.exists()


def test_what_a_living_process_makes_is_not_swept(store: BlobStore) -> None:
    with store.scratch() as scratch:
        (scratch / "part").write_bytes(b"half")
        BlobStore(store.root)
        assert (scratch / "part").exists()


def test_a_lock_on_a_leftover_is_respected_whoever_holds_it(store: BlobStore) -> None:
    left = store.root / "work" / "scratch-other"
    left.mkdir()
    descriptor = os.open(left, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    BlobStore(store.root)
    assert left.exists()
    os.close(descriptor)
    BlobStore(store.root)
    assert not left.exists()


def test_a_store_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreProblem, match="file/blobs"):
        BlobStore(tmp_path / "file" / "blobs")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_stores_belongs_to_the_owner_of_the_state_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 54321)
    store = BlobStore(tmp_path / "deep" / "blobs")
    blob = store.put([b"x"])
    for path in (store.root.parent, store.root, store.root / "work", store.path(blob.digest)):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)
