from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from kairos_netboot.errors import ImageProblem, StoreProblem
from kairos_netboot.store.blobs import BlobStore
from kairos_netboot.values import Blob, Digest
from tests.unit.store.sample import keep


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def files(store: BlobStore) -> list[str]:
    return sorted(str(p.relative_to(store.root)) for p in store.root.rglob("*") if p.is_file())


def test_a_stored_blob_is_found_by_its_digest(store: BlobStore) -> None:
    (blob,) = keep(store, b"some bytes")
    assert (blob.digest, blob.size) == (Digest.of(b"some bytes"), 10)
    assert store.has(blob.digest)
    assert store.path(blob.digest).read_bytes() == b"some bytes"


def test_a_blob_can_be_read_by_everyone_and_written_by_its_owner(store: BlobStore) -> None:
    (blob,) = keep(store, b"x")
    assert store.path(blob.digest).stat().st_mode & 0o7777 == 0o644


def test_storing_a_blob_twice_keeps_one(store: BlobStore) -> None:
    assert keep(store, b"same") == keep(store, b"same")
    assert len(files(store)) == 1


def test_two_files_of_the_same_content_are_one_blob(store: BlobStore) -> None:
    first, second = keep(store, b"same", b"same")
    assert first == second
    assert files(store) == [f"sha256/{first.digest.hex}"]


def test_files_are_adopted_together(store: BlobStore) -> None:
    with store.scratch() as scratch:
        (scratch / "a").write_bytes(b"a")
        (scratch / "b").write_bytes(b"b")
        blobs = store.adopt_all([scratch / "a", scratch / "b"])
    assert [blob.digest for blob in blobs] == [Digest.of(b"a"), Digest.of(b"b")]


def test_if_one_file_cannot_be_adopted_none_is(store: BlobStore) -> None:
    (before,) = keep(store, b"here before")
    with store.scratch() as scratch:
        (scratch / "a").write_bytes(b"a")
        (scratch / "b").write_bytes(b"here before")
        (scratch / "c").write_bytes(b"c")
        store.path(Digest.of(b"c")).mkdir()  # a directory cannot be replaced by a file
        with pytest.raises(StoreProblem):
            store.adopt_all([scratch / "a", scratch / "b", scratch / "c"])
        store.path(Digest.of(b"c")).rmdir()
    assert files(store) == [f"sha256/{before.digest.hex}"]


def test_a_file_whose_digest_is_proven_is_not_read_again(store: BlobStore) -> None:
    with store.scratch() as scratch:
        (scratch / "a").write_bytes(b"whatever is in there")
        proven = Blob(digest=Digest.of(b"a"), size=1)
        assert store.adopt_all([scratch / "a"], {scratch / "a": proven}) == (proven,)
    assert store.path(proven.digest).read_bytes() == b"whatever is in there"


def test_a_blob_of_the_store_can_be_adopted_with_new_files(store: BlobStore) -> None:
    (old,) = keep(store, b"old")
    place = store.path(old.digest)
    with store.scratch() as scratch:
        (scratch / "new").write_bytes(b"new")
        blobs = store.adopt_all([place, scratch / "new"], {place: old})
    assert blobs[0] == old
    assert [store.has(blob.digest) for blob in blobs] == [True, True]


def test_all_blobs_are_listed_and_nothing_else(store: BlobStore) -> None:
    blobs = keep(store, b"one", b"three")
    (store.root / "sha256" / "README").write_text("not ours")
    assert set(store.all()) == set(blobs)


def test_what_is_set_aside_is_gone_at_once_and_deleted_by_a_sweep(store: BlobStore) -> None:
    gone, left = keep(store, b"gone", b"left")
    store.set_aside([gone, gone])
    assert store.all() == (left,)
    store.sweep()
    assert files(store) == [f"sha256/{left.digest.hex}"]


def test_work_that_does_not_fit_is_refused_before_it_starts(store: BlobStore) -> None:
    store.require(1)
    with pytest.raises(StoreProblem, match=r"blobs needs about 10000000\d\d MB .*images gc"):
        store.require(10**15)


def test_nobody_is_alone_while_somebody_adds(store: BlobStore) -> None:
    with store.guard(), store.guard():
        with pytest.raises(StoreProblem, match="an image is being added: try again"), store.alone():
            pass
        other = BlobStore(store.root)
        with pytest.raises(StoreProblem, match="being added"), other.alone():
            pass
    with store.alone():
        pass


def test_whoever_wants_to_add_waits_for_a_collection(store: BlobStore) -> None:
    order = []

    def add() -> None:
        with store.guard():
            order.append("added")

    with store.alone():
        thread = threading.Thread(target=add)
        thread.start()
        thread.join(0.1)
        order.append("collected")
    thread.join()
    assert order == ["collected", "added"]


def test_a_lock_ends_with_what_was_done_under_it(store: BlobStore) -> None:
    def fail() -> None:
        with store.guard():
            raise ImageProblem("no")

    with pytest.raises(ImageProblem):
        fail()
    with store.alone():
        pass


def test_a_claim_that_nobody_holds_is_had_at_once(store: BlobStore) -> None:
    waited: list[None] = []
    with store.claim("debian", lambda: waited.append(None)), store.claim("other", pytest.fail):
        pass
    assert not waited
    assert list((store.root / "work").iterdir()) == []


def test_of_two_claims_one_waits_and_says_so(store: BlobStore) -> None:
    told, order = threading.Event(), []

    def second() -> None:
        with BlobStore(store.root).claim("debian", told.set):
            order.append("second")

    with store.claim("debian", pytest.fail):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(5)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert list((store.root / "work").iterdir()) == []


def test_however_many_claim_one_at_a_time_has_it(store: BlobStore) -> None:
    inside, most, done = [0], [0], []

    def work(number: int) -> None:
        with store.claim("debian", lambda: None):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            BlobStore(store.root)  # sweeps
            inside[0] -= 1
            done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert sorted(done) == list(range(12))


def test_a_claim_survives_a_sweep_and_is_swept_when_stale(store: BlobStore) -> None:
    claim = store.root / "work" / "claim-debian"
    with store.claim("debian", pytest.fail):
        BlobStore(store.root)
        assert claim.exists()
    claim.touch()
    BlobStore(store.root)
    assert not claim.exists()


def test_a_stale_claim_keeps_nobody_waiting(store: BlobStore) -> None:
    (store.root / "work" / "claim-debian").touch()
    with store.claim("debian", pytest.fail):
        pass


def test_a_removed_blob_is_gone_and_may_be_removed_again(store: BlobStore) -> None:
    (blob,) = keep(store, b"x")
    store.remove(blob.digest)
    store.remove(blob.digest)
    assert not store.has(blob.digest)


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
    (blob,) = keep(store, b"x")
    for path in (store.root.parent, store.root, store.root / "work", store.path(blob.digest)):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)
