from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kairos_netboot.boot.site import ImageSource
from kairos_netboot.errors import ImageProblem, InvalidValue, NetbootError
from kairos_netboot.images.manifest import LayerFormat
from kairos_netboot.images.progress import Progress
from kairos_netboot.images.pull import add_image
from kairos_netboot.store.store import Store
from kairos_netboot.values import Digest
from tests.images_factory import (
    Entry,
    MadeImage,
    PackedLayer,
    file,
    image,
    kairos_entries,
    layer,
    tar_of,
    write_archive,
    write_layout,
)

pytestmark = pytest.mark.skipif(
    not (shutil.which("tar2sqfs") or shutil.which("mksquashfs")),
    reason="no squashfs builder: apt-get install squashfs-tools-ng",
)


def add(tmp_path: Path, reference: str, heard: list[Progress | str] | None = None) -> Store:
    store = Store(tmp_path / "state")
    try:
        wanted = ImageSource(name="x", reference=reference)
        add_image(wanted, store, {}, (heard if heard is not None else []).append)
    finally:
        store.close()
    return store


def refused(tmp_path: Path, made: MadeImage, words: str) -> None:
    """Adding this image fails with these words and leaves the store as it was."""
    archive = write_archive(tmp_path / "image.tar", {"": made})
    with pytest.raises(ImageProblem, match=words) as caught:
        add(tmp_path, f"oci-archive:{archive}")
    assert str(caught.value).startswith(f"oci-archive:{archive}: ")
    assert "\n" not in str(caught.value)
    store = Store(tmp_path / "state")
    assert store.fleet().images == {}
    assert [path for path in store.blobs.root.rglob("*") if path.is_file()] == []
    store.close()


def without(name: str) -> list[Entry]:
    return [entry for entry in kairos_entries() if name not in entry.name]


def test_an_image_without_a_kernel_leaves_nothing(tmp_path: Path) -> None:
    refused(tmp_path, image([layer(without("vmlinuz"))]), "it has no kernel")


def test_an_image_without_an_initrd_leaves_nothing(tmp_path: Path) -> None:
    refused(tmp_path, image([layer(without("initrd"))]), "no /boot/initrd, as images for trusted")


def test_an_image_for_another_platform_leaves_nothing(tmp_path: Path) -> None:
    refused(tmp_path, image([layer(kairos_entries())], arch="arm64"), "not linux/amd64")


def test_a_layer_with_a_wrong_diff_id_leaves_nothing(tmp_path: Path) -> None:
    made = image([layer(kairos_entries())], diff_ids=[Digest.of(b"other")])
    refused(tmp_path, made, "layer 1: .* came with other content")


def test_a_layer_whose_bytes_were_changed_leaves_nothing(tmp_path: Path) -> None:
    good = layer(kairos_entries(), LayerFormat.TAR)
    made = image([good])
    changed = bytearray(good.blob)
    changed[700] ^= 1
    lied = MadeImage(top=made.top, blobs=made.blobs | {Digest.of(good.blob): bytes(changed)})
    refused(tmp_path, lied, "layer 1")


def test_a_layer_that_leads_out_of_the_image_leaves_nothing(tmp_path: Path) -> None:
    made = image([layer(kairos_entries()), layer([file("../../etc/passwd")])])
    refused(tmp_path, made, r"layer 2: '\.\./\.\./etc/passwd' leads out of the image")


def test_a_truncated_tar_leaves_nothing(tmp_path: Path) -> None:
    tar = tar_of(kairos_entries())[:2000]
    refused(tmp_path, image([PackedLayer(tar=tar, blob=tar, format=LayerFormat.TAR)]), "layer 1")


def test_a_bad_reference_is_told_first(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue):
        add(tmp_path, "No Such Thing")


def test_progress_names_each_step_and_ends_at_its_total(tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", {"": image([layer(kairos_entries())])})
    heard: list[Progress | str] = []
    add(tmp_path, f"oci:{layout}", heard)
    last = {told.step: told for told in heard if isinstance(told, Progress)}
    assert sorted(last) == ["fetch 1 layer", "read 1 layer"]
    assert all(told.done == told.total for told in last.values())


def test_a_missing_archive_is_a_netboot_error(tmp_path: Path) -> None:
    with pytest.raises(NetbootError, match="no such file"):
        add(tmp_path, f"oci-archive:{tmp_path / 'none.tar'}")
