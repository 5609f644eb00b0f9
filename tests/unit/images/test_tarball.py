"""An image as one tar: what an agent downloads to upgrade from."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.boot.site import Content, Image
from kairos_netboot.errors import InvalidValue
from kairos_netboot.images.tarball import Tarball, tarball
from kairos_netboot.values import Blob, Digest
from tests.unit.boot.sample import IMAGE

TYPE = "application/vnd.oci.image.manifest.v1+json"


def image(*layers: bytes) -> tuple[Image, dict[Digest, bytes]]:
    """And its blobs."""
    contents = [b'{"architecture": "amd64"}', *layers]
    entries = [{"digest": Digest.of(c), "size": len(c)} for c in contents]
    manifest = json.dumps({"config": entries[0], "layers": entries[1:]}).encode()
    kept = {Digest.of(content): content for content in [manifest, *contents]}
    blobs = [Blob(digest=Digest.of(c), size=len(c)) for c in contents]
    whole = Blob(digest=Digest.of(manifest), size=len(manifest))
    content = Content(media_type=TYPE, manifest=whole, blobs=tuple(blobs))
    return replace(IMAGE, digest=whole.digest, content=content), kept


def written(made: Tarball, kept: dict[Digest, bytes]) -> bytes:
    """Its pieces, each at its offset."""
    whole = bytearray(made.size)
    end = 0
    for piece in made.pieces:
        assert piece.offset == end
        content = piece.content
        data = content if isinstance(content, bytes) else kept[content.digest]
        assert len(data) == piece.size
        whole[piece.offset : piece.offset + piece.size] = data
        end = piece.offset + piece.size
    assert end == made.size
    return bytes(whole)


def files(*layers: bytes) -> dict[str, bytes]:
    of, kept = image(*layers)
    read = {}
    with tarfile.open(fileobj=io.BytesIO(written(tarball(of, kept.__getitem__), kept))) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            read[member.name] = file.read()
    return read


def test_readers_of_oci_layouts_find_theirs() -> None:
    found = files(b"one", b"two")
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(found["index.json"])["manifests"]
    path = f"blobs/sha256/{Digest(entry['digest']).hex}"
    assert (entry["mediaType"], entry["size"]) == (TYPE, len(found[path]))
    assert {name for name in found if name.startswith("blobs/")} == {
        f"blobs/sha256/{Digest.of(data).hex}"
        for name, data in found.items()
        if name.startswith("blobs/")
    }


def test_readers_of_docker_save_find_theirs_with_the_layers_in_order() -> None:
    found = files(b"one", b"two", b"three")
    (entry,) = json.loads(found["manifest.json"])
    assert [found[layer] for layer in entry["Layers"]] == [b"one", b"two", b"three"]
    assert found[entry["Config"]] == b'{"architecture": "amd64"}'
    assert entry["RepoTags"] == ["kairos-netboot/debian:latest"]


def test_what_is_small_comes_first_so_that_a_reader_need_not_look_through_layers() -> None:
    assert list(files(b"one"))[:3] == ["oci-layout", "index.json", "manifest.json"]


def test_a_layer_that_is_there_twice_is_stored_once() -> None:
    found = files(b"same", b"same")
    (entry,) = json.loads(found["manifest.json"])
    assert len(entry["Layers"]) == 2
    assert len([name for name in found if name.startswith("blobs/")]) == 3


@given(st.lists(st.binary(max_size=2000), max_size=5))
def test_whatever_the_sizes_are_it_is_a_tar_of_just_these_blobs(layers: list[bytes]) -> None:
    found = files(*layers)
    for layer in layers:
        assert found[f"blobs/sha256/{Digest.of(layer).hex}"] == layer


def test_a_layer_of_many_gigabytes_has_its_size() -> None:
    """More than the eleven octal digits of a plain header hold. Only the header is made here."""
    of, kept = image(b"x")
    assert of.content is not None
    small = of.content.blobs[1]
    large = replace(small, size=9 << 30)
    content = replace(of.content, blobs=(of.content.blobs[0], large))
    made = tarball(replace(of, content=content), kept.__getitem__)
    (piece,) = [p for p in made.pieces if p.content == large]
    (header,) = [p for p in made.pieces if p.offset == piece.offset - 512]
    assert isinstance(header.content, bytes)
    info = tarfile.TarInfo.frombuf(header.content, "utf-8", "strict")
    assert (info.size, info.name) == (9 << 30, f"blobs/sha256/{small.digest.hex}")


def test_gnu_tar_takes_it(tmp_path: Path) -> None:
    of, kept = image(b"one" * 500)
    path = tmp_path / "image.tar"
    path.write_bytes(written(tarball(of, kept.__getitem__), kept))
    listed = subprocess.run(["tar", "-tf", str(path)], capture_output=True, text=True, check=True)
    assert listed.stderr == ""
    assert len(listed.stdout.splitlines()) == 6


def test_what_came_as_boot_files_is_no_image_to_upgrade_to() -> None:
    with pytest.raises(InvalidValue, match="'debian' has no layers here"):
        tarball(IMAGE, lambda digest: b"")
