from __future__ import annotations

import pytest

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.manifest import MAX_DOCUMENT, Descriptor
from kairos_netboot.images.source import read_bounded, read_whole
from kairos_netboot.values import Digest


def about(data: bytes) -> Descriptor:
    return Descriptor(media_type="", digest=Digest.of(data), size=len(data))


def test_a_document_as_announced_is_read() -> None:
    assert read_whole([b"ab", b"c"], about(b"abc")) == b"abc"


@pytest.mark.parametrize("sent", [b"abX", b"ab", b"abcd", b""])
def test_a_document_not_as_announced_is_refused(sent: bytes) -> None:
    with pytest.raises(ImageProblem, match=str(Digest.of(b"abc"))):
        read_whole([sent], about(b"abc"))


def test_an_endless_document_is_cut() -> None:
    with pytest.raises(ImageProblem, match="more than 4 MiB"):
        read_bounded(bytes(MAX_DOCUMENT // 2) for _ in range(1_000_000))
