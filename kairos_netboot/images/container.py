"""From a container image to what becomes its boot files: chosen, verified, fetched, squashed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..boot.site import Content, Image, ImageSource
from ..store.blobs import BlobStore
from ..store.store import Store
from ..values import Blob
from .artifact import is_artifact, unpack
from .keys import load_public_key
from .made import Made, finish
from .manifest import Descriptor, Layer, Manifest, layers_of
from .progress import Tell, count_of, summed
from .signature import check_signature
from .source import Source, read_whole, resolve
from .spool import Spool
from .squash import squash
from .squashfs import find_builder
from .streams import Opener, StoredLayer

# With zstd, boot files took 1.13 (the bench's image) and 1.27 (the sample) times their layers.
_BOOT_FILES = 1.4


def from_container(source: Source, wanted: ImageSource, store: Store, tell: Tell) -> Image:
    """The image, its boot files made or here already, and kept in the store under its name."""
    resolved = resolve(source, wanted.arch)
    if wanted.verify_key:
        check_signature(source, resolved.chain, load_public_key(wanted.verify_key, "its key"))
    manifest = resolved.manifest
    claim = f"{manifest.digest.hex}-{wanted.arch}-{wanted.compression}"
    with store.blobs.claim(claim, lambda: tell("another command makes this image: waiting for it")):
        image = store.image_of(wanted, manifest.digest)
        if image is None:
            image = _make(source, manifest, wanted, store.blobs, tell)
        store.add_image(image)
    return image


def _make(
    source: Source, manifest: Manifest, wanted: ImageSource, blobs: BlobStore, tell: Tell
) -> Image:
    take = _take_artifact if is_artifact(manifest) else _take_layers
    with blobs.scratch() as scratch:
        made = take(source, manifest, wanted, Bench(blobs=blobs, scratch=scratch, tell=tell))
        return finish(made, wanted, blobs, scratch)


def _take_artifact(source: Source, manifest: Manifest, wanted: ImageSource, bench: Bench) -> Made:
    """Boot files that another box has made."""
    config = read_whole(source.blob(manifest.config), manifest.config)
    artifact = unpack(manifest, config, wanted.arch)
    named = {"kernel": artifact.kernel, "initrd": artifact.initrd}
    if artifact.rootfs:
        named["rootfs"] = artifact.rootfs
    missing = bench.missing(named.values())
    bench.blobs.require(sum(part.size for part in missing))
    with bench.spool(source, missing, "boot file") as spool:
        paths = {name: bench.place(spool, part) for name, part in named.items()}
        spool.finish()
    return Made(
        kernel=paths["kernel"],
        initrd=paths["initrd"],
        rootfs=paths.get("rootfs"),
        digest=manifest.digest,
        facts=artifact.facts,
        checked={paths[name]: part.blob for name, part in named.items()},
    )


def _take_layers(source: Source, manifest: Manifest, wanted: ImageSource, bench: Bench) -> Made:
    """The layers on top of each other, as a squashfs; the topmost is fetched and read first."""
    config = read_whole(source.blob(manifest.config), manifest.config)
    layers = layers_of(manifest, config, wanted.arch)
    builder = find_builder()
    missing = bench.missing(manifest.layers)
    boot_files = int(_BOOT_FILES * sum(layer.size for layer in manifest.layers))
    bench.blobs.require(sum(layer.size for layer in missing) + boot_files)
    with bench.spool(source, missing, "layer") as spool:
        for layer in reversed(layers):
            bench.place(spool, layer.descriptor)
        stored = [StoredLayer(layer=layer, open=bench.opener(spool, layer)) for layer in layers]
        rootfs = squash(stored, bench.scratch, wanted.compression, builder, bench.tell)
        checked = dict(spool.finish())
    kept = {bench.scratch / "manifest": manifest.data, bench.scratch / "config": config}
    for path, data in kept.items():
        path.write_bytes(data)
        checked[path] = Blob.of(data)
    return Made(
        rootfs=rootfs,
        digest=manifest.digest,
        content=Content(
            media_type=manifest.media_type,
            manifest=Blob(digest=manifest.digest, size=len(manifest.data)),
            blobs=tuple(one.blob for one in (manifest.config, *manifest.layers)),
        ),
        checked=checked,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where an image is worked on."""

    blobs: BlobStore
    scratch: Path
    tell: Tell

    def missing(self, descriptors: Iterable[Descriptor]) -> list[Descriptor]:
        """Those the store lacks, each once."""
        once = {descriptor.digest: descriptor for descriptor in descriptors}
        return [one for one in once.values() if not self.blobs.has(one.digest)]

    def spool(self, source: Source, missing: list[Descriptor], what: str) -> Spool:
        total = sum(one.size for one in missing)
        heard = summed(self.tell, f"fetch {count_of(len(missing), what)}", total)
        return Spool(source.blob, self.scratch, heard)

    def place(self, spool: Spool, descriptor: Descriptor) -> Path:
        """Where the blob is, or will be once the spool has fetched it."""
        if self.blobs.has(descriptor.digest):
            return self.blobs.path(descriptor.digest)
        return spool.add(descriptor).path

    def opener(self, spool: Spool, layer: Layer) -> Opener:
        place = self.blobs.path(layer.descriptor.digest)
        if place.is_file():
            return lambda: place.open("rb")
        return partial(spool.open, layer.descriptor)
