"""Squashfs from a tar on standard input, by the first builder that is installed."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from ..boot.site import Compression
from ..errors import ImageProblem, NetbootError, StoreProblem, ToolMissing
from .tree import Inode

_BLOCK = "1048576"  # what Kairos' own images have
# Measured on 610 MB: zstd 3 takes 1.3 s (207 MB), gzip 6 8.5 s and gzip 9 24 s (199 MB both).
_LEVELS = {"zstd": "3", "gzip": "6", "xz": "6"}
_PIPE_SIZE = 1 << 20
# mksquashfs repeats the system's words; tar2sqfs says the second of every write that fails.
_DISK_TROUBLE = (os.strerror(errno.ENOSPC), "I/O error")
_BUFFER = 1 << 18  # of ours: small files and their headers go in one write


class Builder(StrEnum):
    TAR2SQFS = "tar2sqfs"
    MKSQUASHFS = "mksquashfs"


def find_builder(which: Callable[[str], str | None] = shutil.which) -> Builder:
    """The builder to use, or ToolMissing. tar2sqfs: 15 MB of memory, same image, same bytes."""
    for builder in Builder:
        if which(builder):
            return builder
    raise ToolMissing(
        "neither tar2sqfs nor mksquashfs is installed: apt-get install squashfs-tools-ng"
    )


def choose(wanted: Compression, kernel_config: str) -> Compression:
    """AUTO resolved by the text of the image's /boot/config-VERSION; empty: not known."""
    if wanted is not Compression.AUTO:
        return wanted
    zstd = {"CONFIG_SQUASHFS_ZSTD=y", "CONFIG_SQUASHFS_ZSTD=m"} & set(kernel_config.splitlines())
    return Compression.ZSTD if zstd else Compression.GZIP


def command(
    builder: Builder, compression: Compression, target: Path, root: Inode, jobs: int
) -> list[str]:
    """The builder's command line; it reads a tar on standard input."""
    level = _LEVELS[compression]
    match builder:
        case Builder.TAR2SQFS:
            head = ["tar2sqfs", "--quiet", "--no-skip", "--num-jobs", str(jobs)]
            options = ["-b", _BLOCK, "-c", compression.value, "-X", f"level={level}"]
            return [*head, *options, str(target)]
        case Builder.MKSQUASHFS:
            # It skips a tar's entry for the root (4.5 then makes it 0:0 whatever the options
            # say), and its xz has no level.
            head = ["mksquashfs", "-", str(target), "-tar", "-noappend", "-no-progress", "-quiet"]
            top = ["-root-mode", f"{root.mode:o}", "-root-uid", str(root.uid)]
            top += ["-root-gid", str(root.gid)]
            options = ["-b", _BLOCK, "-comp", compression.value, "-processors", str(jobs)]
            if compression is not Compression.XZ:
                options += ["-Xcompression-level", level]
            return [*head, *top, *options]


def build(argv: list[str], feed: Callable[[BinaryIO], None], newest: int) -> None:
    """Run a builder while `feed` writes the tar; raises ImageProblem with its last words."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            argv,
            bufsize=_BUFFER,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            env=_environment(newest),
        )
        try:
            broken = _feed(process, feed)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.wait() != 0 or broken:
            said.seek(0)
            raise _failure(argv[0], process.returncode, said.read(16384).decode("utf-8", "replace"))


def _feed(process: subprocess.Popen[bytes], feed: Callable[[BinaryIO], None]) -> bool:
    """True if the builder stopped reading before the end."""
    assert process.stdin is not None
    fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    try:
        with process.stdin as pipe:
            feed(pipe)  # type: ignore[arg-type]
    except BrokenPipeError:
        return True
    return False


def _environment(newest: int) -> dict[str, str]:
    # Same tree, same bytes, same digest: both builders stamp the image with this time, and
    # mksquashfs the root; it also cuts all file times to it, so it must be the newest of them.
    return {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": str(newest)}


def _failure(name: str, status: int, words: str) -> NetbootError:
    last = (words.strip().splitlines() or ["no reason given"])[-1]
    if any(sign in words for sign in _DISK_TROUBLE):
        way = "make room, `kairos-netboot images gc` tells what can go"
        return StoreProblem(f"the disk is full, or fails: {way} ({name}: {last[:200]})")
    return ImageProblem(f"{name} failed with status {status}: {last[:200]}", details=words)
