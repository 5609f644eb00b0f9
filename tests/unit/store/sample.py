"""Blobs and images for tests of what keeps them."""

from __future__ import annotations

from dataclasses import replace

from kairos_netboot.boot.site import BootFiles, Content, Image
from kairos_netboot.store.blobs import BlobStore
from kairos_netboot.values import Blob, Digest
from tests.unit.boot.sample import IMAGE


def keep(blobs: BlobStore, *contents: bytes) -> tuple[Blob, ...]:
    """Blobs of these contents, in the store."""
    with blobs.scratch() as scratch:
        paths = [scratch / str(number) for number in range(len(contents))]
        for path, data in zip(paths, contents, strict=True):
            path.write_bytes(data)
        return blobs.adopt_all(paths)


def stand_in(blobs: BlobStore, image: Image = IMAGE) -> Image:
    """The image as it is, with empty files in the places of its blobs."""
    for blob in image.blobs():
        blobs.path(blob.digest).touch()
    return image


def make_image(blobs: BlobStore, version: str, name: str = "debian", layers: int = 0) -> Image:
    """An image whose every blob is here and says what it is."""
    parts = [f"{version} {part}".encode() for part in ("kernel", "initrd", "rootfs")]
    kernel, initrd, rootfs = keep(blobs, *parts)
    content = None
    if layers:
        kept = keep(blobs, *(f"{version} {number}".encode() for number in range(layers + 1)))
        content = Content(media_type="application/test", manifest=kept[0], blobs=kept[1:])
    return replace(
        IMAGE,
        name=name,
        source=replace(IMAGE.source, name=name),
        digest=Digest.of(version.encode()),
        files=BootFiles(kernel=kernel, initrd=initrd, rootfs=rootfs),
        content=content,
    )
