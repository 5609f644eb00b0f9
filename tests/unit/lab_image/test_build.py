"""The builder's pure parts: which package sources it takes, and the archive that it writes."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from pathlib import Path

from tests.lab.image import apt, build, layers, oci

DEB822 = """# a comment
Types: deb
URIs: http://mirror.invalid/debian
Suites: trixie trixie-updates
Components: main
Signed-By: /keys/debian.gpg

Types: deb
URIs: http://other.invalid/
Suites: trixie-vendor
Components: main
"""


def _etc(folder: Path, name: str) -> Path:
    (folder / "apt/sources.list.d").mkdir(parents=True)
    (folder / "os-release").write_text(f'ID={name}\nVERSION_CODENAME="trixie"\n')
    (folder / "apt/sources.list.d/debian.sources").write_text(DEB822)
    (folder / "apt/sources.list").write_text(
        "deb [signed-by=/keys/a.gpg arch=amd64] http://s.invalid/ trixie-security main contrib\n"
        "deb http://third.invalid/ trixie stable\n"
        "deb-src http://s.invalid/ trixie main\n"
    )
    return folder


def test_debians_own_entries_are_taken_and_turned_to_our_suite(tmp_path: Path) -> None:
    found = apt.debian_sources(_etc(tmp_path, "debian"))
    assert [(source.suite, source.signed_by) for source in found] == [
        ("bookworm-security", "/keys/a.gpg"),
        ("bookworm", "/keys/debian.gpg"),
        ("bookworm-updates", "/keys/debian.gpg"),
    ]
    assert found[1].stanza().startswith("Types: deb\nURIs: http://mirror.invalid/debian\n")


def test_another_distribution_has_no_debian_sources(tmp_path: Path) -> None:
    assert apt.debian_sources(_etc(tmp_path, "ubuntu")) == []


def _archive(folder: Path) -> Path:
    tar = folder / "identity.tar"
    layers.write_identity(tar, 1)
    layer = oci.compress_layer(tar, folder / "identity.gz", comment="c", level=1)
    out = folder / "image.oci.tar"
    oci.write_archive(out, [layer], created="1970-01-01T00:00:01Z", ref="a:b", epoch=1)
    return out


def test_every_blob_has_its_digest_for_a_name(tmp_path: Path) -> None:
    with tarfile.open(_archive(tmp_path)) as archive:
        blobs = {i.name: archive.extractfile(i).read() for i in archive}  # type: ignore[union-attr]
    index = json.loads(blobs["index.json"])
    for name, data in blobs.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
    manifest = json.loads(_blob(blobs, index["manifests"][0]["digest"]))
    config = json.loads(_blob(blobs, manifest["config"]["digest"]))
    plain = gzip.decompress(_blob(blobs, manifest["layers"][0]["digest"]))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(plain).hexdigest()}"]


def test_equal_inputs_give_equal_archives(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert _archive(tmp_path / "a").read_bytes() == _archive(tmp_path / "b").read_bytes()


def test_the_upper_layer_has_what_is_hard_to_merge(tmp_path: Path) -> None:
    layers.write_identity(tmp_path / "l.tar", 1)
    with tarfile.open(tmp_path / "l.tar") as tar:
        members = {info.name: info for info in tar}
    assert f"{layers.CHECKS}/.wh.removed-by-whiteout" in members
    assert f"{layers.CHECKS}/opaque/.wh..wh..opq" in members
    assert members[f"{layers.CHECKS}/hard-link"].islnk()
    capable = members[f"{layers.CHECKS}/with-capability"]
    assert capable.pax_headers["SCHILY.xattr.security.capability"].encode() == layers.CAPABILITY
    assert members["system"].isdir()


def _blob(blobs: dict[str, bytes], digest: str) -> bytes:
    return blobs["blobs/" + digest.replace(":", "/")]


def test_a_second_call_leaves_what_is_there(tmp_path: Path) -> None:
    stored, out = tmp_path / "stored", tmp_path / "out"
    stored.write_bytes(b"image")
    for _ in range(3):
        build._copy(stored, out)
    assert out.samefile(stored)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "stored"]
