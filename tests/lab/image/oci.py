"""Write an OCI archive: a tar of an OCI layout, the same bytes for the same layers."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

CHUNK = 1 << 20
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A gzip-compressed layer in a file, with both of its digests."""

    path: Path
    digest: str
    diff_id: str
    size: int
    comment: str


class _Hashing:
    """A writable that hashes what passes through it."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()

    def write(self, data: Any) -> int:
        self._hash.update(data)
        return self._sink.write(data)

    def flush(self) -> None:
        self._sink.flush()

    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def compress_layer(tar: Path, into: Path, *, comment: str, level: int) -> Layer:
    """Gzip a layer tar; the header has no name and no time, so equal tars give equal bytes."""
    plain = hashlib.sha256()
    with tar.open("rb") as source, into.open("wb") as target:
        sink = _Hashing(target)
        packed = gzip.GzipFile("", "wb", level, sink, mtime=0)
        while chunk := source.read(CHUNK):
            plain.update(chunk)
            packed.write(chunk)
        packed.close()
    return Layer(
        path=into,
        digest=sink.digest(),
        diff_id=f"sha256:{plain.hexdigest()}",
        size=into.stat().st_size,
        comment=comment,
    )


def write_archive(out: Path, layers: list[Layer], *, created: str, ref: str, epoch: int) -> None:
    """Write layers, config, manifest and index as one tar."""
    config = _json(_config(layers, created))
    manifest = _json(_manifest(layers, config))
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}), epoch)
        _add(archive, "index.json", _json(_index(manifest, ref)), epoch)
        for data in (manifest, config):
            _add(archive, _blob_name(_digest(data)), data, epoch)
        for layer in layers:
            info = _entry(_blob_name(layer.digest), layer.size, epoch)
            with layer.path.open("rb") as source:
                archive.addfile(info, source)


def _config(layers: list[Layer], created: str) -> dict[str, Any]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": created,
        "config": {"Labels": {"org.opencontainers.image.title": "kairos-standin"}},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": created, "created_by": layer.comment} for layer in layers],
    }


def _manifest(layers: list[Layer], config: bytes) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": _digest(config), "size": len(config)},
        "layers": [
            {"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in layers
        ],
    }


def _index(manifest: bytes, ref: str) -> dict[str, Any]:
    descriptor = {
        "mediaType": MANIFEST,
        "digest": _digest(manifest),
        "size": len(manifest),
        "platform": {"architecture": "amd64", "os": "linux"},
        "annotations": {"org.opencontainers.image.ref.name": ref},
    }
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor],
    }


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _blob_name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _entry(name: str, size: int, epoch: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, epoch, 0o644
    return info


def _add(archive: tarfile.TarFile, name: str, data: bytes, epoch: int) -> None:
    archive.addfile(_entry(name, len(data), epoch), io.BytesIO(data))
