"""Tiny container images, made in memory: entries → layers → OCI layouts, as nasty as needed."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from kairos_netboot.images.manifest import Descriptor, Layer, LayerFormat
from kairos_netboot.images.streams import StoredLayer
from kairos_netboot.values import Digest

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
MTIME = 1_700_000_000
_SUFFIX = {LayerFormat.TAR: "", LayerFormat.GZIP: "+gzip", LayerFormat.ZSTD: "+zstd"}
_PACK: dict[LayerFormat, Callable[[bytes], bytes]] = {
    LayerFormat.TAR: bytes,
    LayerFormat.GZIP: lambda data: gzip.compress(data, mtime=0),
    LayerFormat.ZSTD: zstandard.ZstdCompressor().compress,
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One member of a layer's tar."""

    name: str
    type: bytes = tarfile.REGTYPE
    data: bytes = b""
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = MTIME
    device: tuple[int, int] = (0, 0)
    xattrs: dict[str, bytes] = field(default_factory=dict)


def file(name: str, data: bytes | str = b"", mode: int = 0o644, **more: object) -> Entry:
    body = data.encode() if isinstance(data, str) else data
    return Entry(name=name, data=body, mode=mode, **more)  # type: ignore[arg-type]


def folder(name: str, mode: int = 0o755, **more: object) -> Entry:
    return Entry(name=name, type=tarfile.DIRTYPE, mode=mode, **more)  # type: ignore[arg-type]


def symlink(name: str, target: str) -> Entry:
    return Entry(name=name, type=tarfile.SYMTYPE, link=target, mode=0o777)


def hardlink(name: str, target: str) -> Entry:
    return Entry(name=name, type=tarfile.LNKTYPE, link=target)


def fifo(name: str) -> Entry:
    return Entry(name=name, type=tarfile.FIFOTYPE)


def device(name: str, kind: bytes, major: int, minor: int) -> Entry:
    return Entry(name=name, type=kind, device=(major, minor), mode=0o660)


def whiteout(path: str) -> Entry:
    head, slash, name = path.rpartition("/")
    return file(f"{head}{slash}.wh.{name}")


def opaque(directory: str) -> Entry:
    return file(f"{directory}/.wh..wh..opq")


def tar_of(entries: Iterable[Entry], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for entry in entries:
            tar.addfile(_info(entry), io.BytesIO(entry.data))
    return out.getvalue()


def _info(entry: Entry) -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry.name)
    info.type, info.mode, info.mtime = entry.type, entry.mode, entry.mtime
    info.uid, info.gid, info.size = entry.uid, entry.gid, len(entry.data)
    info.linkname = entry.link
    info.devmajor, info.devminor = entry.device
    info.pax_headers = {
        f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape")
        for name, value in entry.xattrs.items()
    }
    return info


@dataclass(frozen=True, kw_only=True)
class PackedLayer:
    tar: bytes
    blob: bytes
    format: LayerFormat


def layer(entries: Iterable[Entry] | bytes, packing: LayerFormat = LayerFormat.GZIP) -> PackedLayer:
    tar = entries if isinstance(entries, bytes) else tar_of(entries)
    return PackedLayer(tar=tar, blob=_PACK[packing](tar), format=packing)


def stored(*layers: PackedLayer | Iterable[Entry]) -> list[StoredLayer]:
    """Layers as `index_layers` takes them, from memory."""
    packed = [item if isinstance(item, PackedLayer) else layer(item) for item in layers]
    return [_stored(number, item) for number, item in enumerate(packed, 1)]


def _stored(number: int, packed: PackedLayer) -> StoredLayer:
    return StoredLayer(
        layer=Layer(
            number=number,
            descriptor=Descriptor(
                media_type=media_type(packed.format),
                digest=Digest.of(packed.blob),
                size=len(packed.blob),
            ),
            format=packed.format,
            diff_id=Digest.of(packed.tar),
        ),
        open=lambda: io.BytesIO(packed.blob),
    )


def media_type(packing: LayerFormat) -> str:
    return f"application/vnd.oci.image.layer.v1.tar{_SUFFIX[packing]}"


@dataclass(frozen=True, kw_only=True)
class MadeImage:
    """An image's blobs by digest; `top` is its manifest, or index if it has several platforms."""

    top: Digest
    blobs: dict[Digest, bytes]


def image(
    layers: Sequence[PackedLayer], *, arch: str = "amd64", diff_ids: Sequence[str] | None = None
) -> MadeImage:
    listed = [Digest.of(item.tar) for item in layers] if diff_ids is None else diff_ids
    config = encoded(
        {
            "architecture": arch,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": listed},
        }
    )
    manifest = encoded(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(item.blob, media_type(item.format)) for item in layers],
        }
    )
    blobs = [config, manifest, *(item.blob for item in layers)]
    return MadeImage(top=Digest.of(manifest), blobs={Digest.of(blob): blob for blob in blobs})


def index_of(images: dict[str, MadeImage]) -> MadeImage:
    """A multi-platform image from one image for each architecture."""
    entries = [
        descriptor(made.blobs[made.top], "application/vnd.oci.image.manifest.v1+json")
        | {"platform": {"os": "linux", "architecture": arch}}
        for arch, made in images.items()
    ]
    index = encoded(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        }
    )
    blobs = {Digest.of(index): index}
    for made in images.values():
        blobs |= made.blobs
    return MadeImage(top=Digest.of(index), blobs=blobs)


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def descriptor(data: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "digest": Digest.of(data), "size": len(data)}


def layout_files(tagged: dict[str, MadeImage]) -> dict[str, bytes]:
    """The files of an OCI layout that holds these images; the tag '' writes none."""
    entries = []
    files: dict[str, bytes] = {"oci-layout": encoded({"imageLayoutVersion": "1.0.0"})}
    for tag, made in tagged.items():
        top = made.blobs[made.top]
        entry = descriptor(top, json.loads(top)["mediaType"])
        if tag:
            entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
        entries.append(entry)
        files |= {f"blobs/sha256/{digest.hex}": blob for digest, blob in made.blobs.items()}
    return files | {"index.json": encoded({"schemaVersion": 2, "manifests": entries})}


def write_layout(directory: Path, tagged: dict[str, MadeImage]) -> Path:
    for name, data in layout_files(tagged).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory


def write_archive(path: Path, tagged: dict[str, MadeImage]) -> Path:
    path.write_bytes(tar_of(file(name, data) for name, data in layout_files(tagged).items()))
    return path


RELEASE = """\
KAIROS_FLAVOR="debian"
KAIROS_FLAVOR_RELEASE=bookworm
KAIROS_VARIANT='core'
KAIROS_MODEL="generic"
KAIROS_VERSION="v4.2.0"
KAIROS_ARCH="amd64"
"""


def kairos_entries(version: str = "6.1.0-10-amd64") -> list[Entry]:
    """The least that is a Kairos image."""
    return [
        folder("./"),
        folder("./boot"),
        file(f"./boot/vmlinuz-{version}", b"kernel " * 100),
        file(f"./boot/config-{version}", "CONFIG_SQUASHFS=m\nCONFIG_SQUASHFS_ZSTD=y\n"),
        symlink("./boot/vmlinuz", f"/boot/vmlinuz-{version}"),
        file("./boot/initrd", b"initrd " * 500),
        folder("./etc"),
        file("./etc/kairos-release", RELEASE),
        folder("./system"),
        folder("./usr"),
        folder("./usr/lib"),
        folder("./usr/lib/modules"),
        folder(f"./usr/lib/modules/{version}"),
    ]


def nasty_layers() -> list[PackedLayer]:
    """Every case of merging that is known to go wrong, on top of a Kairos image."""
    base = [
        *kairos_entries(),
        folder("./keep", mode=0o1777, uid=70000, gid=4_000_000),
        file("./keep/setuid", b"su" * 700, mode=0o4755),
        file("./keep/capable", b"cap", xattrs={"security.capability": CAPABILITY}),
        file("./keep/user", b"", xattrs={"user.note": "grün\n=".encode(), "user.raw": b"\xff\0"}),
        device("./keep/null", tarfile.CHRTYPE, 1, 3),
        device("./keep/disk", tarfile.BLKTYPE, 8, 0),
        fifo("./keep/pipe"),
        file("./keep/" + "long" * 50, b"long name"),
        file("./keep/grüße 'n' \"spaces\"", b"name"),
        symlink("./keep/dangling", "/nowhere/" + "far/" * 40 + "x"),
        symlink("./keep/out", "../../../../etc/passwd"),
        file("./gone", b"gone"),
        folder("./gonedir"),
        file("./gonedir/a", b"a"),
        folder("./opaque", mode=0o700),
        file("./opaque/lower", b"lower"),
        folder("./opaque/sub"),
        file("./opaque/sub/lower", b"lower"),
        file("./file-to-dir", b"file"),
        folder("./dir-to-file"),
        file("./dir-to-file/x", b"x"),
        folder("./there-and-back"),
        file("./there-and-back/x", b"1"),
        file("./linked", b"shared inode"),
        hardlink("./linked-too", "./linked"),
        file("./replaced", b"old inode"),
        hardlink("./kept-by-link", "./replaced"),
        symlink("./lib", "usr/lib"),
        symlink("./etc/alias", "/usr/lib"),
        folder("./becomes-link"),
        symlink("./becomes-dir", "keep"),
    ]
    middle = [
        whiteout("./gone"),
        whiteout("./gonedir"),
        opaque("./opaque"),
        file("./opaque/upper", b"upper"),
        whiteout("./file-to-dir"),
        folder("./file-to-dir"),
        file("./file-to-dir/inside", b"inside"),
        file("./dir-to-file", b"now a file"),
        file("./there-and-back", b"a file for now"),
        file("./replaced", b"new inode"),
        hardlink("./linked-above", "./linked"),
        file("./lib/through-link", b"lands in usr/lib"),
        file("./etc/alias/absolute", b"lands in usr/lib too"),
        symlink("./becomes-link", "keep"),
        folder("./becomes-dir", mode=0o711),
        file("./becomes-dir/own", b"own"),
        folder("./keep", mode=0o750, uid=1, gid=2),
    ]
    top = [
        whiteout("./there-and-back"),
        folder("./there-and-back", mode=0o711),
        file("./there-and-back/y", b"2"),
        whiteout("./never-was"),
        file("./dir-to-file", b"again", mtime=1_600_000_000),
        file("./big", bytes(range(256)) * 5000),
    ]
    return [
        layer(base),
        layer(middle, LayerFormat.ZSTD),
        layer(tar_of(top, tarfile.GNU_FORMAT), LayerFormat.TAR),
    ]
