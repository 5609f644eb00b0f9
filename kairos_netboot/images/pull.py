"""From a reference to boot files in the blob store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ..boot.site import BootFiles, Compression, Image, ImageFacts
from ..errors import ImageProblem, StoreProblem
from ..store.blobs import BlobStore
from ..values import Arch
from . import reference as references
from .layers import index_layers
from .layout import open_archive, open_layout
from .manifest import Layer
from .merge import content_size, newest_time, read_text, write_tar
from .progress import Progress
from .rootfs import BootTree, facts_from, find_boot_files
from .source import Source, resolve
from .squashfs import (
    Builder,
    Top,
    build,
    choose,
    command,
    find_builder,
    parse_compression,
)
from .streams import StoredLayer
from .tree import Inode

Tell: TypeAlias = Callable[[Progress], None]


def add_image(
    reference_text: str,
    *,
    name: str | None,
    store: BlobStore,
    insecure: bool,
    arch: Arch,
    compression: str,
    progress: Tell,
) -> Image:
    """Make boot files of an image. If it raises (a NetbootError), the store is as it was."""
    reference = references.parse(reference_text)
    wanted, builder = parse_compression(compression), find_builder()
    with _about(reference), store.scratch() as scratch, _open(reference, insecure) as source:
        resolved = resolve(source, arch)
        layers = _fetch(source, resolved.layers, scratch, progress)
        root = index_layers(layers, partial(_tell_read, progress, len(layers)))
        boot = find_boot_files(root)
        facts, kernel_config = _read_facts(layers, boot, arch)
        chosen = choose(wanted, kernel_config)
        paths = _write(root, layers, boot, builder, chosen, scratch, progress)
        kernel, initrd, rootfs = store.adopt_all(paths)
    return Image(
        name=name or references.default_name(reference),
        reference=reference_text,
        digest=resolved.digest,
        facts=facts,
        files=BootFiles(kernel=kernel, initrd=initrd, rootfs=rootfs),
    )


def _open(reference: references.Reference, insecure: bool) -> AbstractContextManager[Source]:
    match reference:
        case references.ArchiveReference():
            return open_archive(reference)
        case references.LayoutReference():
            return nullcontext(open_layout(reference))
        case references.RegistryReference():
            # oras takes 0.2 s to import, which every other command would pay for.
            from .registry import open_registry

            return open_registry(reference, insecure=insecure)


def _fetch(
    source: Source, layers: tuple[Layer, ...], scratch: Path, tell: Tell
) -> list[StoredLayer]:
    def fetch(layer: Layer) -> StoredLayer:
        size, step = layer.descriptor.size, f"fetch layer {layer.number} of {len(layers)}"

        def report(done: int) -> None:
            tell(Progress(step=step, done=done, total=size))

        try:
            opener = source.layer(layer.descriptor, scratch, report)
        except ImageProblem as problem:
            raise ImageProblem(
                f"layer {layer.number}: {problem}", details=problem.details
            ) from None
        return StoredLayer(layer=layer, open=opener)

    return [fetch(layer) for layer in layers]


def _tell_read(tell: Tell, count: int, stored: StoredLayer, done: int) -> None:
    step = f"read layer {stored.layer.number} of {count}"
    tell(Progress(step=step, done=done, total=stored.layer.descriptor.size))


def _read_facts(layers: list[StoredLayer], boot: BootTree, arch: Arch) -> tuple[ImageFacts, str]:
    """What the image says of itself, and its kernel's config."""
    wanted = [inode for inode in (boot.release, boot.config) if inode is not None]
    texts = read_text(layers, wanted)
    release = texts[boot.release] if boot.release else ""
    config = texts[boot.config] if boot.config else ""
    return facts_from(release, kernel_version=boot.kernel_version, arch=arch), config


def _write(
    root: Inode,
    layers: list[StoredLayer],
    boot: BootTree,
    builder: Builder,
    compression: Compression,
    scratch: Path,
    tell: Tell,
) -> tuple[Path, Path, Path]:
    """Kernel, initrd and squashfs as files in `scratch`, from one pass over the layers."""
    kernel, initrd, rootfs = (scratch / name for name in ("kernel", "initrd", "rootfs.squashfs"))
    total = content_size(root)
    top = Top(mode=root.mode, uid=root.uid, gid=root.gid, newest=newest_time(root))
    jobs = os.cpu_count() or 1

    def report(done: int) -> None:
        tell(Progress(step="write squashfs", done=done, total=total))

    with kernel.open("xb") as kernel_file, initrd.open("xb") as initrd_file:
        copies = {boot.kernel: kernel_file, boot.initrd: initrd_file}
        build(
            command(builder, compression, rootfs, top, jobs),
            lambda pipe: write_tar(root, layers, pipe, copies, report),
            top.newest,
        )
    return kernel, initrd, rootfs


@contextmanager
def _about(reference: references.Reference) -> Iterator[None]:
    """Problems of an image name it; what the disk refuses is the store's problem."""
    try:
        yield
    except ImageProblem as problem:
        raise ImageProblem(f"{reference}: {problem}", details=problem.details) from None
    except OSError as error:
        what = error.strerror or str(error)
        raise StoreProblem(f"{reference} cannot be made into boot files: {what}") from error
