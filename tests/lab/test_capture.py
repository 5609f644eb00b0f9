"""Captures forged with scapy, read back as values. Needs no lab."""

from __future__ import annotations

from pathlib import Path

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.tftp import TFTP, TFTP_RRQ, TFTP_Option, TFTP_Options
from scapy.utils import wrpcap

from kairos_netboot.values import Mac
from tests.lab.capture import read_captures

NODE = Mac("52:54:00:00:00:01")
OTHER = Mac("52:54:00:00:00:02")
SERVER_MAC = Mac("02:00:00:00:00:02")
SERVER = "192.0.2.2"

_BROADCAST = {"dst": "ff:ff:ff:ff:ff:ff"}
_DISCOVER = (
    Ether(src=NODE, **_BROADCAST)
    / IP(src="0.0.0.0", dst="255.255.255.255")
    / UDP(sport=68, dport=67)
    / BOOTP(chaddr=bytes.fromhex("525400000001"))
    / DHCP(options=[("message-type", "discover"), ("pxe_client_architecture", b"\0\7"), "end"])
)
_OFFER = (
    Ether(src=SERVER_MAC, **_BROADCAST)
    / IP(src=SERVER, dst="255.255.255.255")
    / UDP(sport=67, dport=68)
    / BOOTP(op=2, chaddr=bytes.fromhex("525400000001"), siaddr=SERVER, file=b"snponly.efi")
    / DHCP(options=[("message-type", "offer"), "end"])
)
_READ = (
    Ether(src=NODE, dst=SERVER_MAC)
    / IP(src="192.0.2.9", dst=SERVER)
    / UDP(sport=2000, dport=69)
    / TFTP()
    / TFTP_RRQ(filename=b"snponly.efi", mode=b"octet")
    / TFTP_Options(options=[TFTP_Option(oname=b"blksize", value=b"1468")])
)
_GET = (
    Ether(src=NODE, dst=SERVER_MAC)
    / IP(src="192.0.2.9", dst=SERVER)
    / TCP(sport=3000, dport=80, flags="PA")
    / b"GET /boot.ipxe HTTP/1.1\r\nHost: x\r\n\r\n"
)
_ARP = Ether(src=OTHER, **_BROADCAST) / ARP()


def test_dhcp_packets_are_found_by_client(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "a.pcap"), [_ARP, _DISCOVER, _OFFER])
    capture = read_captures([tmp_path / "a.pcap"])

    discover, offer = capture.dhcp(NODE)
    assert (discover.kind, discover.arch, discover.is_ipxe) == ("discover", 7, False)
    assert (offer.kind, offer.file, offer.next_server) == ("offer", "snponly.efi", SERVER)
    assert capture.dhcp(OTHER) == []


def test_tftp_requests_carry_their_options(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "a.pcap"), [_READ])
    (request,) = read_captures([tmp_path / "a.pcap"]).tftp(NODE)
    assert (request.file, dict(request.options)) == ("snponly.efi", {"blksize": "1468"})


def test_http_lines_are_found(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "a.pcap"), [_GET])
    capture = read_captures([tmp_path / "a.pcap"])
    assert [h.line for h in capture.http()] == ["GET /boot.ipxe HTTP/1.1"]
    assert capture.http(OTHER) == []


def test_broadcast_answers_count_as_sent_to_the_machine_they_name(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "a.pcap"), [_DISCOVER, _OFFER])
    capture = read_captures([tmp_path / "a.pcap"])
    assert len(capture.sent_to(NODE, by=SERVER)) == 1
    assert capture.sent_to(OTHER, by=SERVER) == []


def test_a_broadcast_in_two_captures_is_one_frame(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "a.pcap"), [_DISCOVER, _DISCOVER, _GET])
    wrpcap(str(tmp_path / "b.pcap"), [_DISCOVER, _DISCOVER, _ARP])
    capture = read_captures([tmp_path / "a.pcap", tmp_path / "b.pcap"])
    assert len(capture.frames) == 4


def test_a_capture_still_being_written_is_read_up_to_its_end(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "a.pcap"), [_DISCOVER, _GET])
    whole = (tmp_path / "a.pcap").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "a.pcap").write_bytes(whole[:size])
        assert len(read_captures([tmp_path / "a.pcap"]).frames) <= 2


def test_the_timeline_reads_top_down(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "a.pcap"), [_DISCOVER, _OFFER, _READ, _GET])
    lines = read_captures([tmp_path / "a.pcap"]).timeline(NODE)
    assert [line.split("  ")[-1].strip() for line in lines] == [
        "DHCP DISCOVER arch=7",
        "DHCP OFFER file=snponly.efi",
        "TFTP read snponly.efi {'blksize': '1468'}",
        "GET /boot.ipxe HTTP/1.1",
    ]
