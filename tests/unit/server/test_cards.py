from __future__ import annotations

from ipaddress import IPv4Address

from kairos_netboot.dhcp.leasebook import Hold, Lease
from kairos_netboot.server.cards import card_at
from kairos_netboot.values import Mac

ADDRESS = IPv4Address("203.0.113.9")  # of nobody's here
CARD = bytes.fromhex("01525400000001")


def lease(hold: Hold = Hold.BOUND, hardware: bytes = CARD) -> Lease:
    return Lease(address=ADDRESS, hardware=hardware, hold=hold, ends=100)


def found(known: Lease | None, now: int = 50) -> Mac | None:
    return card_at(str(ADDRESS), {ADDRESS: known}.get, now)


def test_a_live_lease_tells_the_card() -> None:
    assert found(lease()) == "52:54:00:00:00:01"


def test_a_lease_that_ended_or_was_only_offered_tells_nothing() -> None:
    assert found(lease(), now=100) is None
    assert found(lease(Hold.OFFERED)) is None
    assert found(None) is None


def test_hardware_that_is_no_ethernet_tells_nothing() -> None:
    assert found(lease(hardware=b"\x20abc")) is None


def test_an_ipv6_address_has_no_lease() -> None:
    assert card_at("2001:db8::1", {ADDRESS: lease()}.get, 50) is None
