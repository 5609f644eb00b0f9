from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.boot.place import network_of, place_of
from kairos_netboot.dhcp.options import Option
from kairos_netboot.dhcp.packet import Op, Packet

OURS, RELAY = IPv4Address("192.168.77.2"), IPv4Address("10.1.0.1")


def request(
    agent: bytes = b"", relay: IPv4Address | str = "0.0.0.0", client: str = "0.0.0.0"
) -> Packet:
    return Packet(
        op=Op.REQUEST,
        xid=1,
        hardware_address=bytes(6),
        relay=IPv4Address(relay),
        client_address=IPv4Address(client),
        options={Option.RELAY_AGENT: agent} if agent else {},
    )


def test_a_broadcast_comes_from_our_own_network() -> None:
    assert network_of(request(), OURS) == OURS


def test_a_relays_word_counts_more_than_ours() -> None:
    assert network_of(request(relay=RELAY), OURS) == RELAY


def test_what_came_through_a_router_alone_tells_no_network() -> None:
    assert network_of(request(), None) is None
    assert network_of(request(client="10.7.0.5"), None) is None


def test_switch_and_port_are_the_relays_words() -> None:
    agent = bytes([1, 7]) + b"Gi1/0/7" + bytes([2, 6]) + bytes.fromhex("001122334455")
    assert place_of(request(agent, relay=RELAY), None, "eth0") == {
        "network": "10.1.0.1",
        "interface": "eth0",
        "switch-port": "Gi1/0/7",
        "switch": "001122334455",
    }


def test_option_82_of_a_client_is_not_believed() -> None:
    agent = bytes([1, 2]) + b"1a"
    assert place_of(request(agent), OURS, "eth0") == {"network": str(OURS), "interface": "eth0"}


@given(st.binary(max_size=255))
def test_any_option_82_makes_texts_that_can_be_printed(agent: bytes) -> None:
    facts = place_of(request(agent, relay=RELAY), None, "")
    assert all(text.isprintable() for text in facts.values())
