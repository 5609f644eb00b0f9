from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.errors import InvalidValue
from kairos_netboot.values import Digest, Mac, printable


@pytest.mark.parametrize(
    "text",
    [
        "52:54:00:AB:cd:01",
        "52-54-00-ab-cd-01",
        "5254.00ab.cd01",
        "5254:00ab:cd01",
        "5254-00AB-CD01",
        "525400abcd01",
        "  52:54:00:ab:cd:01\n",
    ],
)
def test_every_usual_spelling_is_one_mac(text: str) -> None:
    assert Mac(text) == "52:54:00:ab:cd:01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "52:54:00:ab:cd",
        "52:54:0:ab:cd:01",
        "52:54-00:ab:cd:01",
        "52:54:00:ab:cd:0g",
        "52:54:00:ab:cd:01:02",
        "01-52-54-00-ab-cd-01",
    ],
)
def test_what_is_no_mac_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="is no MAC address"):
        Mac(text)


@given(st.binary(max_size=16))
@example(b"")
@example(bytes(6))
def test_six_bytes_are_a_mac_and_nothing_else_is(raw: bytes) -> None:
    if len(raw) == 6:
        mac = Mac.from_bytes(raw)
        assert bytes.fromhex(mac.replace(":", "")) == raw
        assert Mac(mac.hyphens) == mac
    else:
        with pytest.raises(InvalidValue):
            Mac.from_bytes(raw)


def test_a_digest_is_sha256_in_small_letters() -> None:
    assert Digest.of(b"") == "sha256:" + Digest.of(b"").hex
    for text in ("", "sha256:" + "A" * 64, "sha512:" + "a" * 128, "sha256:" + "a" * 63):
        with pytest.raises(InvalidValue, match="is no digest"):
            Digest(text)


@given(st.text(max_size=500))
@example("\x1b[2J\r\nname")
def test_text_from_the_network_is_one_bounded_line_without_control_characters(text: str) -> None:
    safe = printable(text, 20)
    assert safe.isprintable()
    assert len(safe) <= 20


def test_printable_keeps_ordinary_words() -> None:
    assert printable("node-1  rack\t2") == "node-1 rack 2"
