"""What DHCP and TFTP saw, as sentences on the nodes' timelines."""

from __future__ import annotations

import logging

from ..boot.lifecycle import Kind
from ..boot.respond import Asked, Response, describe_client, facts_of
from ..dhcp.answer import Service
from ..errors import InvalidValue
from ..store.index import Index
from ..tftp.transfer import End
from ..values import Mac, printable
from .tftp import Finished

log = logging.getLogger(__name__)


class Journal:
    """Nothing here waits: the index queues what is noted."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def heard(self, asked: Asked, response: Response) -> None:
        """One DHCP request of firmware, and what came of it."""
        mac = asked.client.mac
        self._index.reached_at(asked.urls.base)
        self._index.seen(mac, facts_of(asked.client))
        node = self._index.fleet.by_mac.get(mac)
        if node is None or node.spec is None:
            log.debug("%s asked: %s", mac, response.reason)
            return
        if response.decision.brake:
            self._index.brake(node, response.reason)
        kind, text = _sentence(asked, response)
        log.info("%s: %s", node.name, text)
        # A client repeats its request with the same transaction id until somebody answers.
        once = f"dhcp:{asked.service}:{asked.request.xid:08x}:{kind}"
        self._index.note(node, kind, text, once)

    def transferred(self, finished: Finished) -> None:
        """One TFTP request that is over."""
        node = self._index.fleet.by_mac.get(mac) if (mac := _mac_in(finished.name)) else None
        if node is None or node.spec is None:
            return
        if finished.outcome.end in (End.SIZE_ASKED, End.REFUSED):
            return  # UEFI first asks for the size alone; anybody can ask for what is not here
        name = printable(finished.name.rpartition("/")[2])
        if finished.outcome.end is End.DONE:
            text = f"TFTP: fetched {name} ({finished.size / 1000:.0f} kB)"
        else:
            text = f"TFTP: {name} did not arrive: {printable(finished.outcome.reason)}"
        self._index.note(node, Kind.LOADER, text)


def _sentence(asked: Asked, response: Response) -> tuple[Kind, str]:
    who = describe_client(asked.client)
    if response.reply is None:
        return Kind.LEFT_ALONE, f"DHCP: {who} asked; no answer: {response.reason}"
    where = response.boot_file.rpartition("/")[2]
    if asked.service is Service.BOOT_SERVER:
        return Kind.BOOT_SERVER, f"port 4011: {who} asked again and was sent to {where}"
    return Kind.DHCP_OFFER, f"DHCP: {who} asked and was sent to {where}"


def _mac_in(name: str) -> Mac | None:
    try:
        return Mac(name.partition("/")[0])
    except InvalidValue:
        return None
