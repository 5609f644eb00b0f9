"""Hears what the site's DHCP server offers, for machines that take all from one server."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import TypeVar

from ..boot.respond import Asked
from ..dhcp import packet
from ..dhcp.answer import Reply
from ..dhcp.borrow import accepts_ours, borrowed, is_offer_of_address
from ..dhcp.packet import MessageType, Packet
from ..errors import MalformedPacket
from .wire import Wire

log = logging.getLogger(__name__)
K = TypeVar("K")

# dnsmasq offers after a ping of 3 s; EDK2 collects offers for 3.8 s before it chooses.
_PATIENCE_SECONDS = 3.5
_REMEMBERED = 1024


class Borrower:
    """`wire` hears port 68: answers that are broadcast, as EDK2 asks for."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._offers: OrderedDict[tuple[bytes, int], Packet] = OrderedDict()
        self._chosen: OrderedDict[bytes, Packet] = OrderedDict()
        self._news = asyncio.Condition()

    async def run(self) -> None:
        """Listen until cancelled."""
        async for datagram in self._wire.arrivals():
            try:
                heard = packet.decode(datagram.data)
            except MalformedPacket:
                continue
            if is_offer_of_address(heard):
                async with self._news:
                    _remember(self._offers, (heard.hardware_address, heard.xid), heard)
                    self._news.notify_all()

    async def answer(self, asked: Asked) -> tuple[Reply | None, bool]:
        """Our lease of the address that the site has offered, None where there is none or for what
        is not addressed to us; and whether the machine is led here all the same."""
        request = asked.request
        if request.message_type is MessageType.DISCOVER:
            offer = await self._offer_for(request)
            if offer is None or offer.next_server == asked.server:
                return None, offer is not None  # its own lease names us
            _remember(self._chosen, request.hardware_address, offer)
            return borrowed(request, offer, MessageType.OFFER, asked.server), True
        chosen = self._chosen.get(request.hardware_address)
        if chosen is None or not accepts_ours(request, asked.server):
            return None, True
        return borrowed(request, chosen, MessageType.ACK, asked.server), True

    async def _offer_for(self, request: Packet) -> Packet | None:
        key = request.hardware_address, request.xid
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), self._news:
                await self._news.wait_for(lambda: key in self._offers)
                return self._offers[key]
        except TimeoutError:
            return None


def _remember(known: OrderedDict[K, Packet], key: K, value: Packet) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
