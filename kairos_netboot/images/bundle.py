"""A site and all its images in one OCI archive, for places without a network.

Its index names the bundle's manifest, which holds the site and the boot files, and under each
image's name the container image it came from, so that other tools can take those out too. The
bundle's config lists every blob by digest: a signature of the manifest covers all of it.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import IO, Any

from ..boot.site import Image
from ..errors import ImageProblem, SiteMistake, StoreProblem
from ..store.blobs import BlobStore
from ..store.rows import from_image, to_image
from ..store.store import Store
from ..values import Arch, Blob, Digest
from .layout import open_archive
from .manifest import INDEX_TYPES, MANIFEST_TYPES, REF_NAME, Descriptor, Manifest
from .progress import Progress, Tell
from .reference import LocalReference, Scheme
from .signature import PublicKey, check_signature
from .signing import Sealed
from .source import Source, read_whole, resolve
from .spool import Spool

BUNDLE_TYPE = "application/vnd.kairos-netboot.bundle.v1"
_CONFIG_TYPE = "application/vnd.kairos-netboot.bundle.v1+json"
_SITE_TYPE = "application/vnd.kairos-netboot.site.v1.tar"
_FILE_TYPE = "application/octet-stream"
_TAG = "kairos-netboot.bundle"
_MAX_SITE = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """An opened one. `site` is the files of the site's folder; `first` the site file's name."""

    source: Source
    first: str
    site: Mapping[str, bytes]
    images: tuple[Image, ...]


def export_bundle(
    target: Path,
    site: Mapping[str, str],
    first: str,
    images: Sequence[Image],
    blobs: BlobStore,
    sign: Callable[[bytes], Sealed] | None,
    tell: Tell,
) -> Digest:
    """Write the archive, whole or not at all; its manifest's digest. The same, the same bytes.

    `site`: the texts of the site's files by their paths, `first` the site file itself.
    """
    site_tar = _pack_site(site)
    config = _encoded({"site": first, "images": {i.name: from_image(i) for i in images}})
    documents = {Digest.of(data): data for data in (site_tar, config)}
    manifest = _manifest(config, site_tar, images)
    entries = [_entry(manifest, _TAG, MANIFEST_TYPES[0])]
    documents[Digest.of(manifest)] = manifest
    if sign is not None:
        sealed = sign(manifest)
        entries.append(_entry(sealed.manifest, sealed.tag, MANIFEST_TYPES[0]))
        documents |= {Digest.of(sealed.manifest): sealed.manifest, **sealed.blobs}
    for image in images:
        if image.content is not None:
            entries.append(_content_entry(image))
    index = _encoded({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": entries})
    files = {blob.digest: blob for image in images for blob in image.blobs()}
    with _written(target) as out, tarfile.open(fileobj=out, mode="w|") as tar:
        _add(tar, "oci-layout", _encoded({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", index)
        for digest, data in documents.items():
            _add(tar, f"blobs/sha256/{digest.hex}", data)
        _add_blobs(tar, list(files.values()), blobs, tell)
    return Digest.of(manifest)


def open_bundle(path: Path, key: PublicKey | None) -> Bundle:
    """Read what a bundle holds, and check its signature where there is a key; ImageProblem."""
    reference = LocalReference(scheme=Scheme.ARCHIVE, path=path, tag=_TAG)
    source = open_archive(reference)
    resolved = resolve(source, Arch.AMD64)  # a bundle has no platform; its images have
    manifest = resolved.manifest
    if manifest.artifact_type != BUNDLE_TYPE:
        raise ImageProblem("it is no bundle of `kairos-netboot bundle export`")
    if key is not None:
        check_signature(source, resolved.chain, key)
    return _read(source, manifest)


def import_images(bundle: Bundle, store: Store, tell: Tell) -> None:
    """Take over all its images, each blob checked; what is here already is not read again."""
    blobs = store.blobs
    with blobs.guard(), blobs.scratch() as scratch:
        wanted = {blob.digest: blob for image in bundle.images for blob in image.blobs()}
        missing = [blob for blob in wanted.values() if not blobs.has(blob.digest)]
        blobs.require(sum(blob.size for blob in missing))

        def report(descriptor: Descriptor, count: int) -> None:
            step = f"take {descriptor.digest.hex[:12]}"
            tell(Progress(step=step, done=count, total=descriptor.size))

        with Spool(bundle.source.blob, scratch, report) as spool:
            for blob in missing:
                spool.add(Descriptor(media_type=_FILE_TYPE, digest=blob.digest, size=blob.size))
            checked = spool.finish()
        blobs.adopt_all(list(checked), checked)
        for image in bundle.images:
            store.add_image(image)


def _read(source: Source, manifest: Manifest) -> Bundle:
    site = [layer for layer in manifest.layers if layer.media_type == _SITE_TYPE]
    if len(site) != 1:
        raise ImageProblem("it holds no site: export it again")
    document = _parse(read_whole(source.blob(manifest.config), manifest.config))
    try:
        images = tuple(to_image(name, row) for name, row in document["images"].items())
        first = str(document["site"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ImageProblem("its list of images cannot be read: export it again") from None
    files = _unpack_site(read_whole(source.blob(site[0]), site[0]))
    if first not in files:
        raise ImageProblem(f"it holds no {first}: export it again")
    return Bundle(source=source, first=first, site=files, images=images)


def _parse(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ImageProblem("its config is not a JSON object: export it again")
    return document


def _pack_site(site: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in sorted(site):
            if not _is_inside(name):
                raise SiteMistake(
                    f"{name} is outside of the site file's folder: move it in, so that it can be"
                    " part of a bundle"
                )
            _add(tar, name, site[name].encode())
    return out.getvalue()


def _unpack_site(data: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for member in tar:
                if not member.isreg() or not _is_inside(member.name):
                    raise ImageProblem(f"its site holds '{member.name}', which is no file in it")
                file = tar.extractfile(member)
                files[member.name] = file.read() if file else b""
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise ImageProblem(f"its site cannot be read: {error}") from None
    return files


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _manifest(config: bytes, site_tar: bytes, images: Sequence[Image]) -> bytes:
    files = {blob.digest: blob for image in images for blob in image.files}
    return _encoded(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPES[0],
            "artifactType": BUNDLE_TYPE,
            "config": _descriptor(config, _CONFIG_TYPE),
            "layers": [
                _descriptor(site_tar, _SITE_TYPE),
                *(
                    {"mediaType": _FILE_TYPE, "digest": blob.digest, "size": blob.size}
                    for blob in files.values()
                ),
            ],
        }
    )


def _entry(data: bytes, tag: str, media_type: str) -> dict[str, object]:
    return _descriptor(data, media_type) | {"annotations": {REF_NAME: tag}}


def _content_entry(image: Image) -> dict[str, object]:
    assert image.content is not None
    return {
        "mediaType": image.content.media_type,
        "digest": image.content.manifest.digest,
        "size": image.content.manifest.size,
        "annotations": {REF_NAME: image.name},
    }


def _descriptor(data: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": Digest.of(data), "size": len(data)}


def _encoded(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def _add_blobs(tar: tarfile.TarFile, wanted: Sequence[Blob], blobs: BlobStore, tell: Tell) -> None:
    total, done = sum(blob.size for blob in wanted), 0
    for blob in wanted:
        info = tarfile.TarInfo(f"blobs/sha256/{blob.digest.hex}")
        info.size, info.mode = blob.size, 0o644
        with blobs.path(blob.digest).open("rb") as file:
            tar.addfile(info, file)
        done += blob.size
        tell(Progress(step="write bundle", done=done, total=total))


@contextmanager
def _written(target: Path) -> Iterator[IO[bytes]]:
    """A file beside `target` that takes its place only when it is whole and on the disk."""
    try:
        with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as out:
            part = Path(out.name)
            try:
                yield out
                out.flush()
                os.fsync(out.fileno())
                part.chmod(0o644)
                part.replace(target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise StoreProblem(f"cannot write {target}: {error.strerror or error}") from error
