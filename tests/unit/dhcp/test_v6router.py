from __future__ import annotations

import contextlib
import struct
from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.dhcp.v6router import (
    Advertisement,
    Prefix,
    address_in,
    decode_advertisement,
    mac_in,
)
from kairos_netboot.errors import MalformedPacket
from kairos_netboot.values import Mac

NETWORK = IPv6Network("fd00:77::/64")
MAC = Mac("52:54:00:77:06:01")
LENT = IPv6Address("fd00:77::5054:ff:fe77:601")
MANAGED, ON_LINK_AND_AUTONOMOUS = 0x80, 0xC0


def prefix_option(
    prefix: str = "fd00:77::",
    *,
    length: int = 64,
    flags: int = ON_LINK_AND_AUTONOMOUS,
    valid: int = 7200,
    preferred: int = 3600,
) -> bytes:
    raw = IPv6Address(prefix).packed
    return struct.pack("!BBBBII4x16s", 3, 4, length, flags, valid, preferred, raw)


def advertisement(*options: bytes, flags: int = 0) -> bytes:
    header = struct.pack("!BBHBBHII", 134, 0, 0, 64, flags, 1800, 0, 0)
    return header + b"".join(options)


def test_a_prefix_that_hosts_make_addresses_in_is_read() -> None:
    source_link_layer = bytes((1, 1, 2, 0, 0, 0x77, 0, 1))
    assert decode_advertisement(advertisement(source_link_layer, prefix_option())) == Advertisement(
        managed=False, prefixes=(Prefix(network=NETWORK, preferred=3600, valid=7200),)
    )


def test_flag_m_says_that_dhcpv6_gives_addresses() -> None:
    assert decode_advertisement(advertisement(flags=MANAGED)).managed
    assert not decode_advertisement(advertisement(flags=0x40)).managed  # O: other things only


@pytest.mark.parametrize(
    "option",
    [
        prefix_option(flags=0x80),  # on this link, but nobody makes addresses in it
        prefix_option(length=48),
        prefix_option("fe80::"),
        prefix_option("ff02::"),
        prefix_option(preferred=0),  # deprecated
        prefix_option(valid=10, preferred=20),  # RFC 4862, section 5.5.3: to be ignored
    ],
)
def test_a_prefix_that_is_of_no_use_is_passed_over(option: bytes) -> None:
    assert decode_advertisement(advertisement(option)).prefixes == ()


@given(st.binary(max_size=120))
@example(b"")
@example(advertisement()[:-1])
@example(advertisement(b"\3"))
@example(advertisement(b"\3\0"))
@example(advertisement(b"\3\4" + bytes(20)))
def test_arbitrary_bytes_raise_malformed_packet_only(data: bytes) -> None:
    for each in (data, advertisement() + data):
        with contextlib.suppress(MalformedPacket):
            decode_advertisement(each)


def test_another_icmp_message_is_malformed() -> None:
    with pytest.raises(MalformedPacket):
        decode_advertisement(b"\x85" + advertisement()[1:])


def test_a_card_makes_its_address_of_a_prefix_and_its_mac() -> None:
    assert address_in(NETWORK, MAC) == LENT


@given(st.binary(min_size=6, max_size=6).filter(lambda raw: not raw[0] & 1))
def test_the_mac_is_found_in_the_address_made_of_it(raw: bytes) -> None:
    mac = Mac.from_bytes(raw)
    assert mac_in(address_in(NETWORK, mac)) == mac


@pytest.mark.parametrize(
    "address",
    [
        "fd00:77::146",
        "fe80::a1b2:c3d4:e5f6:1",
        "fe80::5354:ff:fe77:601",  # would be a group's MAC
    ],
)
def test_an_address_made_in_another_way_has_no_mac(address: str) -> None:
    assert mac_in(IPv6Address(address)) is None
