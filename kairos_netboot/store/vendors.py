"""Who made a network card."""

from __future__ import annotations

from dataclasses import replace

from ..boot.fleet import Fleet, Node
from ..boot.select import wants_vendor
from ..values import Mac


def vendor_of(mac: Mac) -> str:
    """From the IEEE's registry; empty for a card that is in none."""
    import netaddr  # its registry takes a moment to load

    try:
        return str(netaddr.EUI(mac).oui.registration().org)
    except netaddr.NotRegisteredError:
        return ""


def with_vendor(fleet: Fleet, node: Node) -> Node:
    """The machine with the fact `vendor`, where any selector asks for it."""
    if not wants_vendor(fleet):
        return node
    known = next(filter(None, map(vendor_of, node.macs)), "")
    return replace(node, facts={**node.facts, "vendor": known})
