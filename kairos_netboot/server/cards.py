"""The card behind an address: as the kernel knows it, else as we have leased it."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address

from ..dhcp.leasebook import Hold, Lease
from ..errors import InvalidValue
from ..values import Mac
from .neighbours import mac_at

LeaseAt = Callable[[IPv4Address], Lease | None]


def card_at(source: str, lease_at: LeaseAt, now: int) -> Mac | None:
    """A lease tells it of a machine behind a router too. `now`: seconds since 1970."""
    found = mac_at(source)
    if found is not None:
        return found
    try:
        lease = lease_at(IPv4Address(source))
    except AddressValueError:
        return None
    if lease is None or lease.hold is not Hold.BOUND or not lease.is_live(now):
        return None
    try:
        return Mac.from_bytes(lease.hardware[1:])
    except InvalidValue:  # it is no Ethernet card's
        return None
