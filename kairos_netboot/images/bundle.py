"""A site and all its images in one OCI archive, for places without a network.

Its index names the bundle's manifest, which holds the site and the boot files, and under each
image's name the container image it came from, so that other tools can take those out too. The
bundle's config lists every blob by digest: a signature of the manifest covers all of it.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import IO

from ..boot.site import Image
from ..errors import SiteMistake, StoreProblem
from ..store.blobs import CHUNK, BlobStore
from ..store.rows import from_image
from ..values import Blob, Digest
from .keys import PrivateKey
from .manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    MAX_DOCUMENT,
    MAX_LAYERS,
    REF_NAME,
    encode,
    encode_manifest,
    entry,
)
from .progress import Progress, Tell
from .signing import sign

BUNDLE_TYPE = "application/vnd.kairos-netboot.bundle.v1"
BUNDLE_TAG = "kairos-netboot.bundle"
SITE_TYPE = "application/vnd.kairos-netboot.site.v1.tar"
FILE_TYPE = "application/octet-stream"
_CONFIG_TYPE = "application/vnd.kairos-netboot.bundle.v1+json"


def export_bundle(
    target: Path,
    site: Mapping[str, str],
    first: str,
    images: Sequence[Image],
    blobs: BlobStore,
    key: PrivateKey | None,
    tell: Tell,
) -> Digest:
    """Write the archive, whole or not at all; its manifest's digest. The same, the same bytes.

    `site`: the texts of the site's files by their paths, `first` the site file itself. Raises
    SiteMistake for what has no place in a bundle, StoreProblem where it cannot be written.
    """
    site_tar = _pack_site(site)
    config = encode({"site": first, "images": {i.name: _row(i) for i in images}})
    manifest = _manifest(config, site_tar, images)
    entries = [_entry(manifest, BUNDLE_TAG)]
    documents = [manifest, config, site_tar]
    if key is not None:
        sealed = sign(BUNDLE_TAG, Digest.of(manifest), key)
        entries.append(_entry(sealed.manifest, sealed.tag))
        documents += [sealed.manifest, *sealed.blobs.values()]
    entries += [_content_entry(image) for image in images if image.content]
    index = encode({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": entries})
    for data in (index, *documents):
        _require_room(data)
    files = {
        "oci-layout": encode({"imageLayoutVersion": "1.0.0"}),
        "index.json": index,
        **{_blob_path(Digest.of(data)): data for data in documents},
    }
    wanted = {blob.digest: blob for image in images for blob in image.blobs()}
    with _written(target) as out, tarfile.TarFile(fileobj=out, mode="w", copybufsize=CHUNK) as tar:
        for name, data in files.items():
            tar.addfile(_member(name, len(data)), io.BytesIO(data))
        _add_blobs(tar, list(wanted.values()), blobs, tell)
    return Digest.of(manifest)


def site_path(name: str) -> str:
    """Where a file is within the site's folder; empty if it is outside, or may be."""
    path = PurePosixPath(name)
    inside = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
    return str(path) if inside and name.isprintable() else ""


def _pack_site(site: Mapping[str, str]) -> bytes:
    for name in site:
        if not site_path(name):
            raise SiteMistake(
                f"{name} is outside of the site file's folder: move it in, so that it can be"
                " part of a bundle, and name it without '..'"
            )
    files = {site_path(name): text.encode() for name, text in site.items()}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in sorted(files.items()):
            tar.addfile(_member(name, len(data)), io.BytesIO(data))
    return out.getvalue()


def _row(image: Image) -> dict[str, object]:
    """Without where it came from: the site file says that, and paths here are not theirs."""
    left_out = ("source", "imported")
    return {key: value for key, value in from_image(image).items() if key not in left_out}


def _manifest(config: bytes, site_tar: bytes, images: Sequence[Image]) -> bytes:
    files = {blob.digest: blob for image in images for blob in image.files}
    layers = [entry(SITE_TYPE, Blob.of(site_tar)), *(entry(FILE_TYPE, b) for b in files.values())]
    if len(layers) > MAX_LAYERS:
        raise SiteMistake(f"{len(images)} images are too many for one bundle: make several sites")
    return encode_manifest(entry(_CONFIG_TYPE, Blob.of(config)), layers, artifactType=BUNDLE_TYPE)


def _require_room(data: bytes) -> None:
    if len(data) > MAX_DOCUMENT:
        raise SiteMistake(
            f"the site and its templates, or its list of images, take {len(data) / 1e6:.1f} MB,"
            f" and a bundle has room for {MAX_DOCUMENT >> 20} MiB: make several sites"
        )


def _entry(data: bytes, tag: str) -> dict[str, object]:
    return entry(MANIFEST_TYPES[0], Blob.of(data), annotations={REF_NAME: tag})


def _content_entry(image: Image) -> dict[str, object]:
    assert image.content is not None
    if image.name.rpartition(":")[2] == BUNDLE_TAG:
        raise SiteMistake(f"an image in a bundle cannot be called '{image.name}': call it another")
    annotations = {REF_NAME: image.name}
    return entry(image.content.media_type, image.content.manifest, annotations=annotations)


def _blob_path(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


def _member(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


def _add_blobs(tar: tarfile.TarFile, wanted: Sequence[Blob], blobs: BlobStore, tell: Tell) -> None:
    total, done = sum(blob.size for blob in wanted), 0
    for blob in wanted:
        with blobs.path(blob.digest).open("rb") as file:
            if os.fstat(file.fileno()).st_size != blob.size:
                raise StoreProblem(f"{file.name} is damaged: add its image again")
            tar.addfile(_member(_blob_path(blob.digest), blob.size), file)
        done += blob.size
        tell(Progress(step="write bundle", done=done, total=total))


@contextmanager
def _written(target: Path) -> Iterator[IO[bytes]]:
    """A file beside `target` that takes its place only when it is whole and on the disk.

    Readable for its owner alone: cloud-configs hold passwords.
    """
    if target.exists() and not target.is_file():
        raise StoreProblem(f"cannot write {target}: it is there, and no file")
    try:
        with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as out:
            part = Path(out.name)
            try:
                yield out
                out.flush()
                os.fsync(out.fileno())
                part.replace(target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise StoreProblem(f"cannot write {target}: {error.strerror or error}") from error
