"""OVMF's two reads of one file, captured in the lab."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kairos_netboot.tftp.packet import ReadRequest, decode
from kairos_netboot.tftp.transfer import Limits, Terms, negotiate

CORPUS = Path(__file__).parent / "corpus"
SIZE = 173_792


def captured(name: str) -> ReadRequest:
    packet = decode(bytes.fromhex((CORPUS / f"{name}.hex").read_text()))
    assert isinstance(packet, ReadRequest)
    return packet


@pytest.mark.parametrize(
    ("name", "options", "acknowledged"),
    [
        (
            "ovmf-size",
            {"tsize": "0", "blksize": "1468", "windowsize": "4"},
            {"tsize": str(SIZE), "blksize": "1468", "windowsize": "4"},
        ),
        (
            "ovmf-read",
            {"blksize": "1468", "windowsize": "4"},
            {"blksize": "1468", "windowsize": "4"},
        ),
    ],
)
def test_ovmf_gets_the_block_size_and_the_window_it_asks_for(
    name: str, options: Mapping[str, str], acknowledged: Mapping[str, str]
) -> None:
    request = captured(name)
    assert (request.name, request.mode) == ("52-54-00-77-00-02/snponly.efi", "octet")
    assert request.options == options
    terms = negotiate(request.options, SIZE, Limits())
    assert isinstance(terms, Terms)
    assert (terms.block_size, terms.window) == (1468, 4)
    assert terms.acknowledged == acknowledged
