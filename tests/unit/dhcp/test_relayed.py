from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.dhcp.packet import MessageType, Packet
from kairos_netboot.dhcp.relayed import identifier_of, link_of, relay_suboptions
from tests.unit.dhcp.lease_sample import SERVER, address, request

RELAY = IPv4Address("198.51.100.1")
LINK = IPv4Address("203.0.113.0")
SELECTED = IPv4Address("10.0.0.0")


def relayed(agent: bytes = b"", **changes: object) -> Packet:
    packet = request(MessageType.DISCOVER)
    options = {**packet.options, **({82: agent} if agent else {})}
    return replace(packet, **{"relay": RELAY, "options": options, **changes})  # type: ignore[arg-type]


def suboption(code: int, value: bytes) -> bytes:
    return bytes([code, len(value)]) + value


def test_a_client_without_a_relay_is_on_our_network() -> None:
    assert link_of(request(MessageType.DISCOVER), SERVER) == SERVER


def test_a_client_with_a_relay_is_on_the_relays_network() -> None:
    assert link_of(relayed(), SERVER) == RELAY


def test_a_relay_may_say_another_network_than_its_own() -> None:
    agent = suboption(1, b"eth7") + suboption(5, LINK.packed)
    assert link_of(relayed(agent), SERVER) == LINK


def test_a_client_may_say_its_network() -> None:
    packet = relayed()
    assert link_of(replace(packet, options={**packet.options, 118: SELECTED.packed}), SERVER) == (
        SELECTED
    )


def test_a_client_that_renews_is_where_its_address_is() -> None:
    assert link_of(request(MessageType.REQUEST, has=address(10)), SERVER) == address(10)


def test_a_broadcast_is_of_the_network_that_it_was_heard_on() -> None:
    """A machine that rebinds may have been moved; nothing but its address says otherwise."""
    moved = request(MessageType.REQUEST, has=IPv4Address("10.0.0.1"))
    assert link_of(moved, SERVER, address(3)) == address(3)
    assert link_of(moved, SERVER) == IPv4Address("10.0.0.1")
    assert link_of(relayed(), SERVER, address(3)) == RELAY


def test_a_relay_may_want_to_be_taken_for_the_server() -> None:
    assert identifier_of(relayed(suboption(11, RELAY.packed)), SERVER) == RELAY
    assert identifier_of(relayed(), SERVER) == SERVER


@pytest.mark.parametrize("code", [5, 11])
def test_what_only_relays_say_is_not_taken_from_a_client(code: int) -> None:
    packet = relayed(suboption(code, LINK.packed), relay=IPv4Address(0))
    assert link_of(packet, SERVER) == SERVER
    assert identifier_of(packet, SERVER) == SERVER


@pytest.mark.parametrize("value", [b"", b"\1\2\3", bytes(4), bytes(5)])
def test_an_address_that_is_none_counts_for_nothing(value: bytes) -> None:
    assert link_of(relayed(suboption(5, value)), SERVER) == RELAY


@given(agent=st.binary(max_size=80))
@example(agent=b"\x05")
@example(agent=b"\x05\x04\x01\x02\x03")
@example(agent=b"\x05\x00\x01\x00")
def test_any_bytes_may_be_in_option_82(agent: bytes) -> None:
    found = relay_suboptions(relayed(agent))
    assert sum(2 + len(value) for value in found.values()) <= len(agent)
