"""What DHCP and TFTP saw, as sentences on the nodes' timelines."""

from __future__ import annotations

import logging

from ..boot.fleet import Node
from ..boot.lifecycle import Kind
from ..boot.place import place_of
from ..boot.respond import Asked, Response, describe_client, facts_of
from ..boot.respond6 import Asked6, Response6
from ..dhcp.answer import Service
from ..dhcp.client import Client, describe_options
from ..store.index import Index
from ..tftp.names import Ask, read_name
from ..tftp.transfer import End
from ..values import printable
from .quiet import Quiet
from .tftp import Finished

log = logging.getLogger(__name__)


class Journal:
    """Nothing here waits: the index queues what is noted."""

    def __init__(self, index: Index) -> None:
        self._index = index
        # Apart: whoever makes noise must not hide what is said of the site's own machines.
        self._named, self._others = Quiet(log), Quiet(log)

    def heard(self, asked: Asked, response: Response) -> None:
        """One DHCP request, and what came of it. Only firmware's is news of a machine."""
        if asked.client is None:
            who = str(asked.request.mac or asked.request.hardware_address.hex())
            self._others.info(who, f"DHCP: {who} on {asked.interface}: {response.reason}")
            return
        mac = asked.client.mac
        self._index.reached_at(asked.urls.base)
        node = self._index.fleet.by_mac.get(mac)
        self._index.seen(mac, facts_heard(asked, asked.client, node))
        if node is None or node.spec is None:
            log.debug("%s asked: %s", mac, response.reason)
            return
        if response.decision is not None and response.decision.brake:
            self._index.brake(node, response.reason)
        kind, text = _sentence(asked, asked.client, response)
        self._named.info(node.name, f"{node.name}: {text}")
        # A client repeats its request with the same transaction id until somebody answers.
        once = f"dhcp:{asked.service}:{asked.request.xid:08x}:{kind}"
        self._index.note(node, kind, text, once)

    def heard6(self, asked: Asked6, response: Response6) -> None:
        """As `heard`, over IPv6."""
        client = asked.client
        if client is None:
            sentence = f"DHCPv6 on {asked.interface}: {response.reason}"
            self._others.info(asked.interface, sentence)
            return
        self._index.seen(client.mac, facts_of(client))
        node = self._index.fleet.by_mac.get(client.mac)
        if node is None or node.spec is None:
            log.debug("%s asked: %s", client.mac, response.reason)
            return
        if response.decision is not None and response.decision.brake:
            self._index.brake(node, response.reason)
        kind, text = _sentence6(asked, client, response)
        self._named.info(node.name, f"{node.name}: {text}")
        self._index.note(node, kind, text, f"dhcp6:{asked.service}:{asked.request.xid:06x}:{kind}")

    def transferred(self, finished: Finished) -> None:
        """One TFTP request that is over."""
        asked = read_name(finished.name)
        node = self._index.fleet.by_mac.get(asked.mac) if asked.mac else None
        if node is None or node.spec is None:
            return
        if finished.outcome.end in (End.SIZE_ASKED, End.REFUSED):
            return  # UEFI first asks for the size alone; anybody can ask for what is not here
        name, kind = printable(finished.name.rpartition("/")[2]), Kind.LOADER
        size = f"{finished.size / 1000:.0f} kB"
        if asked.ask is Ask.BLOB:
            kind, size = Kind.FILE, f"{finished.size / 1e6:.1f} MB"
        if finished.outcome.end is End.DONE:
            text = f"TFTP: fetched {name} ({size})"
        else:
            text = f"TFTP: {name} did not arrive: {printable(finished.outcome.reason)}"
        self._index.note(node, kind, text)


def facts_heard(asked: Asked, client: Client, node: Node | None) -> dict[str, str]:
    """What a request tells of its machine, and where it came from. What `doctor` shows of firmware
    that asks in a way not known here is all it said."""
    facts = {**facts_of(client), **place_of(asked.request, asked.broadcast_on, asked.interface)}
    if not client.known:
        facts["unknown"] = describe_options(asked.request)
    elif node is not None and node.facts.get("unknown"):
        facts["unknown"] = ""  # that was another card, or the firmware before its update
    return facts


def _sentence(asked: Asked, client: Client, response: Response) -> tuple[Kind, str]:
    who = describe_client(client)
    if not client.known and response.reply is None:
        text = f"DHCP: {who} asked in a way not known here, and got no answer"
        return Kind.LEFT_ALONE, f"{text}; it said {describe_options(asked.request)}"
    if response.reply is None:
        return Kind.LEFT_ALONE, f"DHCP: {who} asked; no answer: {response.reason}"
    where = response.boot_file.rpartition("/")[2]
    if asked.service is Service.BOOT_SERVER:
        return Kind.BOOT_SERVER, f"port 4011: {who} asked again and was sent to {where}"
    if not where:
        return Kind.DHCP_OFFER, f"DHCP: {who} asked: {response.reason}"
    remark = f"; {response.remark}" if response.remark else ""
    return Kind.DHCP_OFFER, f"DHCP: {who} asked and was sent to {where}{remark}"


def _sentence6(asked: Asked6, client: Client, response: Response6) -> tuple[Kind, str]:
    who = describe_client(client)
    if response.reply is None:
        return Kind.LEFT_ALONE, f"DHCPv6: {who} asked; no answer: {response.reason}"
    where = response.boot_file.rpartition("/")[2]
    if asked.service is Service.BOOT_SERVER:
        return Kind.BOOT_SERVER, f"port 4011, IPv6: {who} asked again and was sent to {where}"
    return Kind.DHCP_OFFER, f"DHCPv6: {who} asked and was sent to {where}"
