"""Content-addressed files: each exists whole under its digest, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import ImageProblem, InvalidValue, StoreProblem
from ..values import Blob, Digest
from .locks import is_at, locked, try_lock, wait_for_lock
from .ownership import give_to_owner, make_directory

CHUNK = 1 << 20
# Left free whatever comes: reports of nodes must still find room in the database.
_SPARE = 32 << 20


class BlobStore:
    """Below its root: `sha256/<hex>` for the blobs, `work` for what is still being made.

    What a killed process left in `work` is swept when the next store opens. Each entry there is
    locked by its maker, and the kernel drops a dead process's locks.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "sha256"
        self._work = root / "work"
        with _told(root):
            for directory in (root, self._blobs, self._work):
                make_directory(directory)
        self.sweep()

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        return self._blobs / digest.hex

    def has(self, digest: Digest) -> bool:
        return self.path(digest).is_file()

    def all(self) -> tuple[Blob, ...]:
        """Every blob that is here, by digest."""
        found = []
        with _told(self.root):
            for path in sorted(self._blobs.iterdir()):
                with suppress(FileNotFoundError, InvalidValue):  # deleted just now; no blob of ours
                    digest = Digest(f"sha256:{path.name}")
                    found.append(Blob(digest=digest, size=path.stat().st_size))
        return tuple(found)

    def require(self, size: int) -> None:
        """Raise StoreProblem unless so many bytes fit on the disk."""
        with _told(self.root):
            free = shutil.disk_usage(self.root).free
        if free < size + _SPARE:
            raise StoreProblem(
                f"{self.root} needs about {(size + _SPARE) / 1e6:.0f} MB and has {free / 1e6:.0f} "
                "MB left: make room, `kairos-netboot images gc` tells what can go"
            )

    # Who may do what at the same time

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Blobs that are placed or found within stay, though no image names them yet."""
        with ExitStack() as stack:
            with _told(self.root):
                stack.enter_context(locked(self._blobs, shared=True))
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody is within `guard` meanwhile; raises StoreProblem where somebody is."""
        with ExitStack() as stack:
            with _told(self.root):
                try:
                    stack.enter_context(locked(self._blobs, wait=False))
                except BlockingIOError:
                    raise StoreProblem(
                        "an image is being added: try again when it is done"
                    ) from None
            yield

    @contextmanager
    def claim(self, name: str, on_wait: Callable[[], None]) -> Iterator[None]:
        """One at a time does the work of that name; `on_wait` is called before each wait."""
        path = self._work / f"claim-{name}"
        with _told(self.root):
            lock = self._lock_file(path, on_wait)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(lock)

    def _lock_file(self, path: Path, on_wait: Callable[[], None]) -> int:
        while True:
            # Under the parent's lock, so that no sweep is taken for somebody who does the work.
            with locked(self._work):
                lock = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
                taken = try_lock(lock)
            try:
                with suppress(FileNotFoundError):  # done with and deleted by now
                    give_to_owner(path, like=self.root)
                if not taken:
                    on_wait()
                    wait_for_lock(lock)
                if is_at(lock, path):
                    return lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)

    # In and out

    def adopt_all(
        self, paths: Sequence[Path], known: Mapping[Path, Blob] | None = None
    ) -> tuple[Blob, ...]:
        """Take over files written in `scratch()`: all of them, or none. `known`: those whose
        digests were proven while they were written."""
        known = known or {}
        with _told(self.root):
            blobs = tuple(known.get(path) or _hash_file(path) for path in paths)
            found = {blob.digest: path for path, blob in zip(paths, blobs, strict=True)}
            moves = {p: self.path(d) for d, p in found.items() if p != self.path(d)}
            for path in moves:
                path.chmod(0o644)
                give_to_owner(path, like=self.root)
                _sync(path)
            # One at a time: what a failure takes back, no other has met here already.
            with locked(self._work):
                self._place(moves)
        return blobs

    def _place(self, moves: Mapping[Path, Path]) -> None:
        added = [target for target in moves.values() if not target.exists()]
        try:
            for path, target in moves.items():
                os.replace(path, target)
            _sync(self._blobs)
        except BaseException:
            for target in added:
                with suppress(OSError):
                    target.unlink(missing_ok=True)
            raise

    def remove(self, digest: Digest) -> None:
        """Delete the blob; one that is not there is no error."""
        with _told(self.root):
            self.path(digest).unlink(missing_ok=True)

    def set_aside(self, blobs: Iterable[Blob]) -> None:
        """Out of the store at once; the next sweep deletes them, which may take its time."""
        with _told(self.root):
            for blob in blobs:
                with suppress(FileNotFoundError):
                    os.replace(self.path(blob.digest), self._work / f"gone-{blob.digest.hex}")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A directory on the blobs' own file system, removed afterwards."""
        with _told(self.root):
            directory, lock = self._make_scratch()
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            os.close(lock)

    def _make_scratch(self) -> tuple[Path, int]:
        # Under the parent's lock, so that no sweep sees the directory before it is locked itself.
        with locked(self._work):
            directory = Path(tempfile.mkdtemp(prefix="scratch-", dir=self._work))
            give_to_owner(directory, like=self.root)
            lock = os.open(directory, os.O_RDONLY)
            wait_for_lock(lock)
        return directory, lock

    def sweep(self) -> None:
        """Delete what nobody works on any more; a store that may only be read is its owner's."""
        with suppress(OSError), locked(self._work):
            for entry in self._work.iterdir():
                with suppress(OSError), locked(entry, wait=False):
                    _remove(entry)


def check_blob(found: Blob, expected: Digest, size: int | None) -> None:
    """Raise ImageProblem unless what was read is what was announced."""
    if size is not None and found.size != size:
        amount = "more than" if found.size > size else f"{found.size} of"
        raise ImageProblem(f"{expected} came with {amount} {size} bytes: try again")
    if found.digest != expected:
        raise ImageProblem(f"{expected} came with other content, {found.digest}: do not use it")


def _hash_file(path: Path) -> Blob:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Blob(digest=Digest("sha256:" + digest), size=file.tell())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink()


@contextmanager
def _told(root: Path) -> Iterator[None]:
    """An OSError in here becomes a StoreProblem that names the store."""
    try:
        yield
    except OSError as error:
        what = error.strerror or str(error)
        raise StoreProblem(
            f"the blob store {root} fails: {what}: check its disk space and its owner"
        ) from None
