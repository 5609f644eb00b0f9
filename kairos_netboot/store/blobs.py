"""Content-addressed files: each exists whole under its digest, or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import ImageProblem, StoreProblem, UnknownName
from ..values import Blob, Digest
from .ownership import give_to_owner, make_directory

CHUNK = 1 << 20


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
        with suppress(OSError):  # a store that may only be read is swept by its owner
            self._sweep()

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        return self._blobs / digest.hex

    def has(self, digest: Digest) -> bool:
        return self.path(digest).is_file()

    def open(self, digest: Digest) -> BinaryIO:
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise UnknownName(f"no blob {digest} in {self.root}: add its image again") from None
        except OSError as error:
            raise StoreProblem(f"{self.path(digest)}: {error.strerror}") from None

    def put(
        self, chunks: Iterable[bytes], expected: Digest | None = None, size: int | None = None
    ) -> Blob:
        """Store a stream. One that is not as expected raises ImageProblem and leaves nothing."""
        with self.scratch() as scratch, _told(self.root):
            part = scratch / ".part-blob"
            blob = write_checked(chunks, part, expected, size)
            self._place(part, blob.digest)
        return blob

    def adopt(self, path: Path) -> Blob:
        """Take over a file that was written in `scratch()`."""
        return self.adopt_all([path])[0]

    def adopt_all(self, paths: Sequence[Path]) -> tuple[Blob, ...]:
        """Take over files written in `scratch()`: all of them, or none."""
        added: list[Digest] = []
        with _told(self.root):
            blobs = [_hash_file(path) for path in paths]
            try:
                for path, blob in zip(paths, blobs, strict=True):
                    if not self.has(blob.digest):
                        added.append(blob.digest)
                    self._place(path, blob.digest)
            except BaseException:
                for digest in added:
                    self.remove(digest)
                raise
        return tuple(blobs)

    def remove(self, digest: Digest) -> None:
        """Delete the blob; one that is not there is no error."""
        with _told(self.root):
            self.path(digest).unlink(missing_ok=True)

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
        with _locked(self._work):
            directory = Path(tempfile.mkdtemp(prefix="scratch-", dir=self._work))
            give_to_owner(directory, like=self.root)
            lock = os.open(directory, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
        return directory, lock

    def _sweep(self) -> None:
        with _locked(self._work):
            for entry in self._work.iterdir():
                with suppress(OSError), _locked(entry, wait=False):
                    shutil.rmtree(entry, ignore_errors=True)

    def _place(self, path: Path, digest: Digest) -> None:
        path.chmod(0o644)
        give_to_owner(path, like=self.root)
        _sync(path)
        os.replace(path, self.path(digest))
        _sync(self._blobs)


def write_checked(
    chunks: Iterable[bytes],
    path: Path,
    expected: Digest | None = None,
    size: int | None = None,
    report: Callable[[int], None] = lambda written: None,
) -> Blob:
    """Write a stream to a new file; raises ImageProblem where it is not as expected."""
    sha256, written = hashlib.sha256(), 0
    with path.open("xb") as file:
        for chunk in chunks:
            written += len(chunk)
            if size is not None and written > size:
                break
            sha256.update(chunk)
            file.write(chunk)
            report(written)
    digest = Digest("sha256:" + sha256.hexdigest())
    check_blob(Blob(digest=digest, size=written), expected, size)
    return Blob(digest=digest, size=written)


def check_blob(found: Blob, expected: Digest | None, size: int | None) -> None:
    """Raise ImageProblem unless what was read is what was announced."""
    if size is not None and found.size != size:
        amount = "more than" if found.size > size else f"{found.size} of"
        raise ImageProblem(f"{expected or 'the blob'} came with {amount} {size} bytes: try again")
    if expected is not None and found.digest != expected:
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


@contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock on a file or directory; raises BlockingIOError if it is held and not `wait`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


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
