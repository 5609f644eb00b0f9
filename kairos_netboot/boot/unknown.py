"""Machines that nobody named: what is done about them, and which profile picks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fleet import Node

IGNORE, INVENTORY = "ignore", "inventory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Facts that a machine must all have. `facts`: name → pattern (`*` and `?` stand for letters);
    `subnet` is the network it asks from; `labels` are the node's own."""

    facts: Mapping[str, str] = field(default_factory=dict)
    subnet: IPv4Network | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """`others` and each network's word: `ignore`, `inventory` or a profile's name. `approval`:
    whether a person has to say yes even where a selector, or a profile named here, fits."""

    others: str = IGNORE
    networks: Mapping[IPv4Network, str] = field(default_factory=dict)
    approval: bool = False


def word_for(unknown: Unknown, node: Node | None, network: IPv4Address | None = None) -> str:
    """What is done about a machine of nobody's; its narrowest network says so. `network`: an
    address of the one it asks from, where it asks now."""
    told = node.facts.get("network", "") if node else ""
    asked_from = network or (IPv4Address(told) if told else None)
    if asked_from is not None:
        fitting = [known for known in unknown.networks if asked_from in known]
        if fitting:
            return unknown.networks[max(fitting, key=lambda known: known.prefixlen)]
    return unknown.others
