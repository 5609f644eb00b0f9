"""What `bundle export` has written, on the box that takes it over.

Nothing in it is believed, signed or not: every blob is checked, every value is one that this
program could have written, and no path leads out of the site's folder.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..boot.site import Content, Image
from ..errors import ImageProblem
from ..store.blobs import BlobStore
from ..store.rows import to_image
from ..values import Arch, Blob, Digest, printable
from .bundle import BUNDLE_TAG, BUNDLE_TYPE, FILE_TYPE, SITE_TYPE, site_path
from .keys import PublicKey
from .layout import open_archive
from .manifest import MAX_DOCUMENT, Descriptor, Manifest, parse
from .progress import Tell, count_of, summed
from .reference import LocalReference, Scheme
from .signature import check_signature
from .source import Source, read_whole, resolve
from .spool import Spool

_MAX_TEXT = 200  # of a name or a fact, as they are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """An opened one. `site` is the files of the site's folder; `first` the site file's name.

    Its images are as the site file says only when they are given that source.
    """

    source: Source
    first: str
    site: Mapping[str, bytes]
    images: tuple[Image, ...]


def open_bundle(path: Path, key: PublicKey | None) -> Bundle:
    """Read what a bundle holds, and check its signature where there is a key; ImageProblem."""
    reference = LocalReference(scheme=Scheme.ARCHIVE, path=path, tag=BUNDLE_TAG)
    source = open_archive(reference)
    manifest = resolve(source, Arch.AMD64).manifest  # a bundle has no platform; its images have
    if manifest.artifact_type != BUNDLE_TYPE:
        raise ImageProblem("it is no bundle of `kairos-netboot bundle export`")
    if key is not None:
        check_signature(source, [manifest.digest], key)
    document = _parse(read_whole(source.blob(manifest.config), manifest.config))
    first, rows = document.get("site"), document.get("images")
    if not isinstance(first, str) or not isinstance(rows, dict):
        raise ImageProblem("its list of images cannot be read: export it again")
    site = _read_site(source, manifest)
    if first not in site:
        raise ImageProblem(f"it holds no '{printable(first)}': export it again")
    images = tuple(_image(name, row, source) for name, row in rows.items())
    return Bundle(source=source, first=first, site=site, images=images)


def take_blobs(bundle: Bundle, blobs: BlobStore, tell: Tell) -> None:
    """Place all blobs of its images, each checked; what is here already is not read again.

    If it raises (ImageProblem, StoreProblem), the store is as it was. They stay as long as the
    caller holds `blobs.guard()`, and then if an image names them.
    """
    wanted = _distinct(bundle.images)
    missing = [blob for blob in wanted if not _is_here(blob, blobs)]
    total = sum(blob.size for blob in missing)
    blobs.require(total)
    heard = summed(tell, f"take {count_of(len(missing), 'file')}", total)
    with (
        blobs.scratch() as scratch,
        Spool(bundle.source.blob, scratch, heard) as spool,
    ):
        for blob in missing:
            spool.add(Descriptor(media_type=FILE_TYPE, digest=blob.digest, size=blob.size))
        checked = spool.finish()
        blobs.adopt_all(list(checked), checked)


def _distinct(images: tuple[Image, ...]) -> list[Blob]:
    found: dict[Digest, Blob] = {}
    for blob in (blob for image in images for blob in image.blobs()):
        if found.setdefault(blob.digest, blob) != blob:
            raise ImageProblem(f"it gives {blob.digest} two sizes: export it again")
    return list(found.values())


def _is_here(blob: Blob, blobs: BlobStore) -> bool:
    if not blobs.has(blob.digest):
        return False
    if blobs.path(blob.digest).stat().st_size != blob.size:
        raise ImageProblem(f"it gives {blob.digest} a wrong size: export it again")
    return True


def _image(name: str, row: Any, source: Source) -> Image:
    try:
        facts = row["facts"]
        image = to_image(name, {**row, "source": {"reference": "", "arch": facts["arch"]}})
        well_formed = _is_well_formed(image)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        well_formed = False
    if not well_formed:
        raise ImageProblem(f"its image '{printable(name)}' cannot be read: export it again")
    if image.content is not None:
        _check_content(image, image.content, source)
    return image


def _is_well_formed(image: Image) -> bool:
    """May raise ValueError or TypeError as well."""
    facts = asdict(image.facts)
    stub, made_of = facts.pop("efi_stub"), facts["made_of"]
    if made_of:
        Digest(made_of)
    return (
        bool(image.name)
        and all(
            isinstance(text, str) and text == printable(text, _MAX_TEXT)
            for text in (image.name, *facts.values())
        )
        and isinstance(stub, bool | None)
        and all(blob.size >= 0 for blob in image.blobs())
    )


def _check_content(image: Image, content: Content, source: Source) -> None:
    """A registry serves what its manifests list: they must be the blobs that are listed here."""
    kept = content.manifest
    wanted = Descriptor(media_type=content.media_type, digest=kept.digest, size=kept.size)
    if kept.size > MAX_DOCUMENT or kept.digest != image.digest:
        raise ImageProblem(f"its image '{image.name}' has no manifest: export it again")
    manifest = parse(read_whole(source.document(wanted), wanted))
    named = (manifest.config, *manifest.layers) if isinstance(manifest, Manifest) else ()
    listed = tuple(one.blob for one in named)
    if not isinstance(manifest, Manifest) or (listed, manifest.media_type) != (
        content.blobs,
        content.media_type,
    ):
        raise ImageProblem(f"its image '{image.name}' is not what its manifest says: do not use it")


def _parse(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ImageProblem("its config is not a JSON object: export it again")
    return document


def _read_site(source: Source, manifest: Manifest) -> dict[str, bytes]:
    found = [layer for layer in manifest.layers if layer.media_type == SITE_TYPE]
    if len(found) != 1:
        raise ImageProblem("it holds no site: export it again")
    data = read_whole(source.blob(found[0]), found[0])
    try:
        return dict(_members(data))
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError) as error:
        raise ImageProblem(f"its site cannot be read: {error}") from None


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for member in tar:
            path, file = site_path(member.name), None
            # No sparse ones: a few bytes of them are a file of any size.
            if path and member.isreg() and not member.issparse():
                file = tar.extractfile(member)
            if file is None or path in seen:
                name = printable(member.name)
                raise ImageProblem(f"its site holds '{name}', which is no file of a site")
            seen.add(path)
            yield path, file.read()
