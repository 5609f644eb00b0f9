"""Wake-on-LAN: a packet that a sleeping card knows its own address in. Nobody answers it."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address

from ..errors import PowerProblem
from ..values import Mac
from .switch import NetworkBoot, Status, Supply

_PORT = 9  # discard: whoever else gets it throws it away
_TIMES = 3  # no one says that it arrived


def magic_packet(mac: Mac) -> bytes:
    """Six times FF, then sixteen times the address (AMD publication 20213)."""
    return b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) * 16


class Wake:
    def __init__(
        self, macs: Sequence[Mac], broadcasts: Sequence[IPv4Address], port: int = _PORT
    ) -> None:
        self._macs, self._broadcasts, self._port = macs, broadcasts, port

    async def on(self) -> str:
        if not self._macs:
            raise PowerProblem("none of its cards is known: write its `macs` into the site file")
        _send([magic_packet(mac) for mac in self._macs], self._broadcasts, self._port)
        where = ", ".join(map(str, self._broadcasts))
        return f"woken: packets sent to {where}; no machine answers them"

    async def off(self, *, graceful: bool = False) -> str:
        raise PowerProblem("wake-on-lan only switches on: switch it off by hand")

    async def cycle(self, *, graceful: bool = False) -> str:
        raise PowerProblem("wake-on-lan only switches on: restart it by hand")

    async def status(self) -> Status:
        return Status(Supply.UNKNOWN, "wake-on-lan does not tell")

    async def boot_from_network_once(self, how: NetworkBoot) -> str:
        raise PowerProblem(
            "wake-on-lan only switches on: put the network first in its firmware's boot order"
        )


def _send(packets: Iterable[bytes], broadcasts: Sequence[IPv4Address], port: int) -> None:
    """To as many of the networks as take it."""
    if not broadcasts:
        raise PowerProblem("this host is in no network with a broadcast address: give an `address`")
    errors: list[OSError] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        channel.setblocking(False)
        for packet in [*packets] * _TIMES:
            for where in broadcasts:
                try:
                    channel.sendto(packet, (str(where), port))
                except OSError as error:
                    errors.append(error)
    if len(errors) >= len([*packets]) * _TIMES * len(broadcasts) > 0:
        raise PowerProblem(f"the packet cannot be sent: {errors[0].strerror}")
