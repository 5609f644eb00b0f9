"""Layers into one squashfs, with a compression that the image's own kernel reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..boot.site import Compression
from .layers import index_layers
from .merge import content_size, newest_time, read_text, write_tar
from .onepass import Merged, NotPlain, write_plain
from .progress import Progress, Tell, count_of, summed
from .rootfs import find_boot_files
from .squashfs import Builder, build, choose, command
from .streams import StoredLayer
from .tree import new_root

# What tar2sqfs stamps an image with that is written before its newest file is known.
_STAMP = 0


def squash(
    layers: list[StoredLayer], scratch: Path, wanted: Compression, builder: Builder, tell: Tell
) -> Path:
    """The squashfs of the merged layers, a new file in `scratch`; every digest is checked."""
    squashed = scratch / "rootfs.squashfs"
    if builder is Builder.TAR2SQFS:  # mksquashfs wants to know the root and the time beforehand
        try:
            _in_one_pass(layers, squashed, wanted, tell)
        except NotPlain:
            tell("its layers build on each other's links: taking them apart first")
        else:
            return squashed
    squashed.unlink(missing_ok=True)
    _in_two_passes(layers, squashed, wanted, builder, tell)
    return squashed


def _in_one_pass(
    layers: list[StoredLayer], squashed: Path, wanted: Compression, tell: Tell
) -> None:
    """As the layers come in. Nearly every kernel reads zstd; one that does not is seen at the end
    and costs a second start."""
    guess = Compression.ZSTD if wanted is Compression.AUTO else wanted
    merged = _write_plain(layers, squashed, guess, tell)
    boot = find_boot_files(merged.root)
    config = merged.texts.get(boot.config.inode, "") if boot.config else ""
    compression = choose(wanted, config)
    if compression is not guess:
        tell(f"its kernel does not read {guess}: starting over with {compression}")
        squashed.unlink()
        _write_plain(layers, squashed, compression, tell)


def _write_plain(
    layers: list[StoredLayer], squashed: Path, compression: Compression, tell: Tell
) -> Merged:
    found: list[Merged] = []
    build(
        command(Builder.TAR2SQFS, compression, squashed, new_root(), os.cpu_count() or 1),
        lambda pipe: found.append(write_plain(layers, pipe, _reading(layers, tell))),
        _STAMP,
    )
    return found[0]


def _in_two_passes(
    layers: list[StoredLayer], squashed: Path, wanted: Compression, builder: Builder, tell: Tell
) -> None:
    root = index_layers(layers, _reading(layers, tell))
    boot = find_boot_files(root)
    config = read_text(layers, boot.config.inode) if boot.config else ""
    total = content_size(root)

    def report(done: int) -> None:
        tell(Progress(step="write squashfs", done=done, total=total))

    build(
        command(builder, choose(wanted, config), squashed, root, os.cpu_count() or 1),
        lambda pipe: write_tar(root, layers, pipe, report),
        newest_time(root),
    )


def _reading(layers: list[StoredLayer], tell: Tell) -> Callable[[StoredLayer, int], None]:
    total = sum(stored.layer.descriptor.size for stored in layers)
    heard = summed(tell, f"read {count_of(len(layers), 'layer')}", total)
    return lambda stored, done: heard(stored.layer.number, done)
