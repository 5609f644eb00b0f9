from __future__ import annotations

from pathlib import Path

import pytest

from kairos_netboot.config.installed import name_in
from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.picked import pick
from kairos_netboot.images.progress import Progress
from kairos_netboot.values import Digest
from tests.images_factory import (
    MadeImage,
    descriptor,
    encoded,
    file,
    image,
    layer,
    write_archive,
    write_layout,
)


def _silent(progress: Progress | str) -> None:
    pass


def picked(reference: str) -> dict[str, bytes]:
    return pick(reference, lambda path: bool(name_in(path)), {}, _silent)


def test_the_topmost_layers_file_counts_and_others_are_left(tmp_path: Path) -> None:
    lower = layer([file("ipxe/snponly.efi", b"old"), file("ipxe/ipxe.efi", b"only below")])
    upper = layer([file("ipxe/snponly.efi", b"new"), file("etc/passwd", b"x")])
    write_layout(tmp_path / "made", {"v1": image([lower, upper])})
    assert picked(f"oci:{tmp_path / 'made'}") == {
        "ipxe/snponly.efi": b"new",
        "ipxe/ipxe.efi": b"only below",
    }


def test_an_archive_is_read_as_well(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.tar", {"v1": image([layer([file("undionly.kpxe", b"bios")])])})
    assert picked(f"oci-archive:{tmp_path / 'a.tar'}") == {"undionly.kpxe": b"bios"}


def artifact(files: dict[str, bytes], *, wrong: bool = False) -> MadeImage:
    """What `oras push` makes of files: each a layer with its name for a title."""
    config = b"{}"
    layers = [
        {
            **descriptor(data, "application/octet-stream"),
            "annotations": {"org.opencontainers.image.title": name},
        }
        for name, data in files.items()
    ]
    manifest = encoded(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(config, "application/vnd.oci.empty.v1+json"),
            "layers": layers,
        }
    )
    blobs = {Digest.of(data): b"other" if wrong else data for data in files.values()}
    blobs |= {Digest.of(data): data for data in (config, manifest)}
    return MadeImage(top=Digest.of(manifest), blobs=blobs)


def test_of_an_artifact_the_titled_files_are_taken(tmp_path: Path) -> None:
    files = {"snponly.efi": b"efi", "README": b"text"}
    write_layout(tmp_path / "made", {"v1": artifact(files)})
    assert picked(f"oci:{tmp_path / 'made'}") == {"snponly.efi": b"efi"}


def test_a_file_that_is_not_what_its_digest_says_is_refused(tmp_path: Path) -> None:
    write_layout(tmp_path / "made", {"v1": artifact({"snponly.efi": b"efi"}, wrong=True)})
    with pytest.raises(ImageProblem):
        picked(f"oci:{tmp_path / 'made'}")


def test_what_holds_no_container_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageProblem, match="boot loaders come from a folder"):
        picked(f"iso:{tmp_path / 'x.iso'}")
