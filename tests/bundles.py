"""Images that need no squashfs, and bundles that nobody has exported."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kairos_netboot.boot.site import BootFiles, Content, Image, ImageFacts, ImageSource
from kairos_netboot.images.manifest import Manifest, parse
from kairos_netboot.store.store import Store
from kairos_netboot.values import Blob, Digest
from tests.images_factory import MadeImage, file, image, layer, tar_of

Document = dict[str, Any]


def made_image(number: int) -> MadeImage:
    return image([layer([file("./etc/base", b"same")]), layer([file("./etc/v", b"%d" % number)])])


def keep(store: Store, source: ImageSource, made: MadeImage | None, seed: bytes = b"") -> Image:
    """An image in service: its content as it was made, its boot files of a few bytes."""
    boot = [part * 1000 + seed for part in (b"kernel", b"initrd", b"rootfs")]
    data = [*boot, *(made.blobs.values() if made else ())]
    with store.blobs.scratch() as scratch:
        paths = []
        for each in data:
            paths.append(scratch / Digest.of(each).hex)
            paths[-1].write_bytes(each)
        kernel, initrd, rootfs, *_ = store.blobs.adopt_all(paths)
    kept = Image(
        name=source.name,
        source=source,
        digest=made.top if made else Digest.of(b"".join(boot)),
        facts=ImageFacts(arch=source.arch, flavor="debian", version="v4.2.0", efi_stub=True),
        files=BootFiles(kernel=kernel, initrd=initrd, rootfs=rootfs),
        content=content_of(made) if made else None,
    )
    store.add_image(kept)
    return kept


def content_of(made: MadeImage) -> Content:
    manifest = parse(made.blobs[made.top])
    assert isinstance(manifest, Manifest)
    return Content(
        media_type=manifest.media_type,
        manifest=Blob(digest=made.top, size=len(manifest.data)),
        blobs=tuple(
            Blob(digest=one.digest, size=one.size) for one in (manifest.config, *manifest.layers)
        ),
    )


def files_of(path: Path) -> dict[str, bytes]:
    """What is in a tar."""
    found = {}
    with tarfile.open(path) as tar:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            found[member.name] = content.read()
    return found


def write_files(path: Path, files: dict[str, bytes]) -> Path:
    path.write_bytes(tar_of(file(name, data) for name, data in files.items()))
    return path


def at(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def forge(
    path: Path,
    config: Callable[[Document], object] = lambda document: None,
    site: bytes | None = None,
    manifest: Callable[[Document], object] = lambda document: None,
) -> Path:
    """Change a bundle, and have all its digests right again."""
    files = files_of(path)
    index = json.loads(files["index.json"])
    listed = json.loads(files.pop(at(index["manifests"][0]["digest"])))
    document = json.loads(files.pop(at(listed["config"]["digest"])))
    config(document)
    if site is not None:
        _put(files, listed["layers"][0], site)
    _put(files, listed["config"], json.dumps(document).encode())
    manifest(listed)
    _put(files, index["manifests"][0], json.dumps(listed).encode())
    files["index.json"] = json.dumps(index).encode()
    return write_files(path, files)


def _put(files: dict[str, bytes], descriptor: Document, data: bytes) -> None:
    descriptor |= {"digest": Digest.of(data), "size": len(data)}
    files[at(descriptor["digest"])] = data


def tar_with(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
