"""Requests of real firmware and our answers, as files; and the answers as scapy reads them."""

from __future__ import annotations

import os
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from scapy.layers.dhcp import BOOTP, DHCP, DHCPOptions

from kairos_netboot.config.resources import load_recipes
from kairos_netboot.dhcp.packet import Packet, decode, encode, room_for
from kairos_netboot.values import Arch, Firmware, Stage
from tests.corpus.add import add
from tests.corpus.entry import Entry, answer_to, describe, entries, read, write

CORPUS = entries()
NAMES = [entry.path.stem for entry in CORPUS]
ANSWERED = [entry for entry in CORPUS if entry.answer]


@pytest.mark.parametrize("entry", CORPUS, ids=NAMES)
def test_a_request_says_and_is_answered_what_its_file_has(entry: Entry) -> None:
    if os.environ.get("UPDATE_CORPUS"):
        write(entry)
        entry = read(entry.path)
    assert describe(entry.packet, entry.client) == entry.says
    answer = answer_to(entry)
    assert answer == entry.answer
    assert (describe(decode(answer)) if answer else "") == entry.answer_says


@pytest.mark.parametrize("entry", CORPUS, ids=NAMES)
def test_a_request_is_the_same_after_a_round_trip(entry: Entry) -> None:
    assert decode(encode(entry.packet)) == entry.packet


@pytest.mark.parametrize("entry", ANSWERED, ids=[entry.path.stem for entry in ANSWERED])
def test_no_answer_is_longer_than_its_client_takes(entry: Entry) -> None:
    assert len(entry.answer) <= room_for(entry.packet)


@pytest.mark.parametrize("entry", ANSWERED, ids=[entry.path.stem for entry in ANSWERED])
def test_scapy_reads_our_answer_as_we_mean_it(entry: Entry) -> None:
    ours, theirs = decode(entry.answer), BOOTP(entry.answer)
    assert (theirs.op, theirs.xid, theirs.flags) == (2, ours.xid, ours.flags)
    assert theirs.chaddr[: theirs.hlen] == ours.hardware_address
    addresses = (ours.client_address, ours.your_address, ours.next_server, ours.relay)
    assert (theirs.ciaddr, theirs.yiaddr, theirs.siaddr, theirs.giaddr) == tuple(
        map(str, addresses)
    )
    found = _read_by_scapy(theirs)
    overload = found.pop(52, b"\0")[0]
    for bit, field, text in ((1, theirs.file, ours.boot_file), (2, theirs.sname, ours.server_name)):
        if overload & bit:  # scapy looks for no options there
            found |= _read_by_scapy(BOOTP(entry.answer[:240] + field))
        else:
            assert field.rstrip(b"\0") == text
    assert found == dict(ours.options)


def _read_by_scapy(message: BOOTP) -> dict[int, bytes]:
    codes = {getattr(o, "name", o): code for code, o in DHCPOptions.items()}
    found = {}
    for option in message[DHCP].options:
        if isinstance(option, tuple):
            name, *values = option
            code = name if isinstance(name, int) else codes[name]
            found[code] = b"".join(_raw(code, value) for value in values)
    return found


def _raw(code: int, value: object) -> bytes:
    """scapy gives addresses as text and numbers as numbers."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return value.to_bytes(4 if code == 51 else 1, "big")
    return IPv4Address(str(value)).packed


def _stages() -> set[tuple[Stage, Firmware | None, Arch | None]]:
    clients = [entry.client for entry in CORPUS]
    return {(c.stage, c.firmware, c.arch) for c in clients if c is not None and c.known}


def test_the_corpus_has_each_kind_of_client_and_each_recipe() -> None:
    assert {stage for stage, _, _ in _stages()} == set(Stage)
    assert {firmware for _, firmware, _ in _stages()} == {*Firmware, None}
    assert {arch for _, _, arch in _stages()} == {*Arch, None}
    rules = load_recipes().rules
    used = {rule for rule in rules for entry in CORPUS if (c := entry.client) and rule.fits(c)}
    assert used == set(rules)


def test_the_corpus_has_requests_that_get_no_answer() -> None:
    silent = {entry.path.stem: entry.client for entry in CORPUS if not entry.answer}
    assert silent["dhclient-discover"] is None
    assert silent["powerpc-discover"] is not None
    assert not silent["powerpc-discover"].known


def test_a_capture_adds_what_the_corpus_lacks(tmp_path: Path) -> None:
    known, new = CORPUS[0].packet, _new_request()
    capture = tmp_path / "some.pcap"
    _write_capture(capture, [encode(known), encode(new), encode(new), b"no DHCP"])
    written = add(capture, tmp_path / "made", "about it", "captured: here")
    assert [path.name for path in written] == ["made-pxe-discover.toml"]
    made = read(written[0])
    assert made.packet == new
    assert (made.about, made.source) == ("about it", "captured: here")
    assert made.answer == answer_to(made) != b""


def _new_request() -> Packet:
    vendor_class = b"PXEClient:Arch:00007:UNDI:003999"
    options = {53: b"\1", 60: vendor_class, 93: b"\0\7"}
    return Packet(op=decode(CORPUS[0].request).op, xid=1, hardware_address=b"RT\0\0\0\1",
                  options=options)  # fmt: skip


def _write_capture(path: Path, payloads: list[bytes]) -> None:
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.utils import wrpcap

    frames = [
        Ether(src="52:54:00:00:00:01", dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / payload
        for payload in payloads
    ]
    wrpcap(str(path), frames)
