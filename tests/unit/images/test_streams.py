from __future__ import annotations

import gzip
import io
from dataclasses import replace

import pytest
import zstandard

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images import streams
from kairos_netboot.images.manifest import LayerFormat
from kairos_netboot.images.streams import StoredLayer, unverified, verified
from kairos_netboot.values import Digest
from tests.images_factory import PackedLayer, file, layer, stored, tar_of

TAR = tar_of([file("f", b"content" * 5000)])


def only(packed: PackedLayer) -> StoredLayer:
    return stored(packed)[0]


def read(stored_layer: StoredLayer) -> bytes:
    with verified(stored_layer) as tar:
        return tar.read()


@pytest.mark.parametrize("packing", list(LayerFormat))
def test_every_packing_gives_the_tar_back(packing: LayerFormat) -> None:
    one = only(layer(TAR, packing))
    assert read(one) == TAR
    with unverified(one) as tar:
        assert tar.read(100) == TAR[:100]


def test_a_gzip_of_several_members_is_one_tar() -> None:
    blob = gzip.compress(TAR[:1000]) + gzip.compress(TAR[1000:])
    assert read(only(PackedLayer(tar=TAR, blob=blob, format=LayerFormat.GZIP))) == TAR


def test_a_zstd_of_several_frames_is_one_tar() -> None:
    pack = zstandard.ZstdCompressor().compress
    blob = pack(TAR[:1000]) + pack(TAR[1000:])
    assert read(only(PackedLayer(tar=TAR, blob=blob, format=LayerFormat.ZSTD))) == TAR


def test_what_the_reader_leaves_unread_is_checked_too() -> None:
    with verified(only(layer(TAR))) as tar:
        tar.read(10)


@pytest.mark.parametrize("packing", list(LayerFormat))
def test_a_blob_that_was_changed_is_refused(packing: LayerFormat) -> None:
    good = only(layer(TAR, packing))
    with good.open() as file_:
        data = bytearray(file_.read())
    data[len(data) // 2] ^= 1
    with pytest.raises(ImageProblem, match=r"^layer 1"):
        read(replace(good, open=lambda: io.BytesIO(data)))


@pytest.mark.parametrize("packing", list(LayerFormat))
def test_a_blob_that_was_cut_is_refused(packing: LayerFormat) -> None:
    good = only(layer(TAR, packing))
    with good.open() as file_:
        data = file_.read()[:-7]
    with pytest.raises(ImageProblem, match=r"^layer 1"):
        read(replace(good, open=lambda: io.BytesIO(data)))


@pytest.mark.parametrize("packing", list(LayerFormat))
def test_bytes_after_the_end_are_refused(packing: LayerFormat) -> None:
    good = only(layer(TAR, packing))
    with good.open() as file_:
        data = file_.read() + bytes(512)
    with pytest.raises(ImageProblem, match=r"^layer 1"):
        read(replace(good, open=lambda: io.BytesIO(data)))


def test_a_tar_that_is_not_the_one_of_the_config_is_refused() -> None:
    good = only(layer(TAR))
    lied = replace(good, layer=replace(good.layer, diff_id=Digest.of(b"other")))
    with pytest.raises(ImageProblem, match=r"layer 1: sha256:.* came with other content"):
        read(lied)


def test_a_blob_of_another_kind_than_announced_is_refused() -> None:
    good = only(layer(TAR, LayerFormat.ZSTD))
    lied = replace(good, layer=replace(good.layer, format=LayerFormat.GZIP))
    with pytest.raises(ImageProblem, match="layer 1 cannot be read"):
        read(lied)


def test_a_bomb_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_UNPACKED", 1 << 20)
    with pytest.raises(ImageProblem, match="layer 1: more than 0 GiB"):
        read(only(layer(bytes(2 << 20))))


def test_progress_counts_the_stored_bytes() -> None:
    one, heard = only(layer(TAR)), list[int]()
    with verified(one, heard.append) as tar:
        tar.read()
    assert heard[-1] == one.layer.descriptor.size
