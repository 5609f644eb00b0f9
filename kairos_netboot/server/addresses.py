"""The IPv4 addresses of this host, as the kernel has them."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Interface

from .netlink import attributes, dump

log = logging.getLogger(__name__)

_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix, flags, scope, interface
_RTM_NEWADDR, _RTM_GETADDR = 20, 22
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
# An address that was added counts after this long; a storm of requests asks once a second.
_KEPT_SECONDS = 1.0

Own = tuple[int, IPv4Interface]  # the interface's index, and an address with its network


class Addresses:
    """Those of each interface in the kernel's order, primary ones first."""

    def __init__(
        self,
        read: Callable[[], Sequence[Own]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read or read_addresses
        self._clock = clock
        self._known: Sequence[Own] = ()
        self._until = float("-inf")

    def of(self, interface: int) -> tuple[IPv4Interface, ...]:
        return tuple(address for index, address in self._all() if index == interface)

    def are_ours(self, address: IPv4Address) -> bool:
        return address.is_loopback or any(own.ip == address for _, own in self._all())

    def reach(self, interface: int, address: IPv4Address) -> bool:
        """Whether the address is of a network that the interface is in."""
        return any(address in own.network for own in self.of(interface))

    def _all(self) -> Sequence[Own]:
        now = self._clock()
        if now >= self._until:
            self._until = now + _KEPT_SECONDS
            try:
                self._known = self._read()
            except OSError as error:  # out of memory or files: what was known is likely still so
                log.warning("the addresses of this host cannot be read: %s", error)
        return self._known


def read_addresses() -> list[Own]:
    """All of this network namespace; raises OSError."""
    request = _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)
    entries = (body for kind, body in dump(_RTM_GETADDR, request) if kind == _RTM_NEWADDR)
    return [own for body in entries for own in addresses_in(body)]


def addresses_in(body: bytes) -> Iterator[Own]:
    """The one of an RTM_NEWADDR message, or none."""
    family, prefix, _, _, index = _ADDRESS.unpack_from(body)
    if family != socket.AF_INET:
        return
    values = attributes(body[_ADDRESS.size :])
    # On a point-to-point link IFA_ADDRESS is the other end's, IFA_LOCAL ours.
    raw = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS)
    with contextlib.suppress(ValueError):
        yield index, IPv4Interface((raw or b"", prefix))
