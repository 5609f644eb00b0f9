"""A whole image as one tar, for `kairos-agent upgrade --source ocifile:`: an OCI image layout and,
in the same files, what `docker save` writes. Readers of either find theirs."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

from ..boot.site import Image
from ..errors import InvalidValue
from ..values import Blob, Digest

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of our own, or a blob, at `offset` of the tar."""

    offset: int
    content: bytes | Blob

    @property
    def size(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.size


@dataclass(frozen=True, slots=True)
class Tarball:
    pieces: tuple[Piece, ...]
    size: int


def tarball(image: Image, read: Callable[[Digest], bytes]) -> Tarball:
    """`read` gives a small blob's content. Raises InvalidValue for an image without layers."""
    if image.content is None:
        raise InvalidValue(
            f"image '{image.name}' has no layers here, so nothing can be upgraded to it: "
            "it came as boot files"
        )
    manifest = json.loads(read(image.content.manifest.digest))
    files: list[tuple[str, bytes | Blob]] = [
        ("oci-layout", _json({"imageLayoutVersion": "1.0.0"})),
        ("index.json", _json(_index(image))),
        ("manifest.json", _json(_docker(image, manifest))),
    ]
    blobs = {blob.digest: blob for blob in (image.content.manifest, *image.content.blobs)}
    files += [(_path(digest), blob) for digest, blob in blobs.items()]
    return _laid_out(files)


def _index(image: Image) -> object:
    assert image.content is not None
    entry = {
        "mediaType": image.content.media_type,
        "digest": image.content.manifest.digest,
        "size": image.content.manifest.size,
    }
    return {"schemaVersion": 2, "manifests": [entry]}


def _docker(image: Image, manifest: dict[str, object]) -> object:
    config, layers = manifest["config"], manifest["layers"]
    assert isinstance(config, dict)
    assert isinstance(layers, list)
    entry = {
        "Config": _path(Digest(config["digest"])),
        "RepoTags": [f"kairos-netboot/{image.name}:latest"],
        "Layers": [_path(Digest(layer["digest"])) for layer in layers],
    }
    return [entry]


def _path(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _laid_out(files: list[tuple[str, bytes | Blob]]) -> Tarball:
    """Headers, contents, and the zeros between them."""
    pieces: list[Piece] = []
    at = 0

    def put(content: bytes | Blob) -> None:
        nonlocal at
        piece = Piece(at, content)
        if piece.size:
            pieces.append(piece)
            at += piece.size

    for name, content in files:
        info = tarfile.TarInfo(name)
        info.size = len(content) if isinstance(content, bytes) else content.size
        put(info.tobuf(tarfile.USTAR_FORMAT if info.size < 1 << 33 else tarfile.GNU_FORMAT))
        put(content)
        put(b"\0" * (-info.size % _BLOCK))
    put(b"\0" * 2 * _BLOCK)
    return Tarball(tuple(pieces), at)
