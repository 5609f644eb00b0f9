"""Boot files into a registry, for other kairos-netboots to take as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..boot.site import Image, RegistryHost
from ..errors import InvalidValue, StoreProblem
from ..store.blobs import BlobStore
from ..values import Blob, Digest
from .artifact import BOOT_PARTS, pack
from .keys import PrivateKey
from .manifest import MANIFEST_TYPES
from .progress import Progress, Tell
from .reference import RegistryReference, parse
from .registry import open_repository
from .signing import sign
from .source import naming


def publish_image(
    image: Image,
    reference: RegistryReference,
    blobs: BlobStore,
    *,
    hosts: Mapping[str, RegistryHost],
    insecure: bool,
    key: PrivateKey | None,
    tell: Tell,
) -> Digest:
    """Push the artifact, and its signature if there is a key; the manifest's digest.

    The tag is set last: who follows it finds everything there.
    """
    if not all(blobs.has(blob.digest) for blob in image.files):
        raise StoreProblem(f"files of image '{image.name}' are not here any more: add it again")
    packed = pack(image)
    digest = Digest.of(packed.manifest)
    with (
        naming(str(reference)),
        open_repository(reference, insecure=insecure, hosts=hosts, tell=tell) as repository,
    ):
        repository.push_blob(packed.config, Blob.of(packed.config))
        # The largest, and last, first.
        for name, blob in reversed([*zip(BOOT_PARTS, image.files, strict=False)]):
            repository.push_blob(blobs.path(blob.digest), blob, _report(tell, name, blob))
        if key is not None:
            sealed = sign(str(reference), digest, key)
            for data in sealed.blobs.values():
                repository.push_blob(data, Blob.of(data))
            repository.push_manifest(packed.manifest, MANIFEST_TYPES[0], digest)
            repository.push_manifest(sealed.manifest, MANIFEST_TYPES[0], sealed.tag)
        repository.push_manifest(packed.manifest, MANIFEST_TYPES[0], reference.tag)
    return digest


def registry_reference(text: str) -> RegistryReference:
    """Where something can be pushed: a registry, a name and a tag; or InvalidValue."""
    reference = parse(text)
    if not isinstance(reference, RegistryReference) or reference.digest or not reference.tag:
        raise InvalidValue(f"'{text}' is nothing to push to: write HOST/NAME:TAG")
    return reference


def _report(tell: Tell, name: str, blob: Blob) -> Callable[[int], None]:
    return lambda done: tell(Progress(step=f"push {name}", done=done, total=blob.size))
