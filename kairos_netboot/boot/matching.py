"""Which known machine a node of the site file is. A machine is its network cards: its state goes
with them through a change of name, and a new name never arms a machine that has been installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .fleet import Node
from .lifecycle import State
from .site import NodeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """`node` is None for a machine never seen. `absorbed`: rows of other cards of the same
    machine, known before anybody said that they belong together."""

    spec: NodeSpec
    node: Node | None
    absorbed: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    matches: tuple[Match, ...]
    removed: tuple[Node, ...]  # named until now, and no more


def match_nodes(known: tuple[Node, ...], specs: Mapping[str, NodeSpec]) -> Matching:
    """Cards first; a name alone only where no card decides: its card was replaced.

    No machine is matched twice: split into two nodes, it goes on as the one with its name.
    """
    chosen: dict[str, Node] = {}
    taken: set[int] = set()
    for wanted in (_same_name_and_card, _same_card, _same_name):
        for name, spec in specs.items():
            fitting = [n for n in known if n.id not in taken and wanted(n, spec)]
            if name not in chosen and fitting:
                chosen[name] = min(fitting, key=_rank)
                taken.add(chosen[name].id)
    matches = tuple(
        Match(spec=spec, node=chosen.get(name), absorbed=_absorbed(known, spec, taken))
        for name, spec in specs.items()
    )
    taken |= {node.id for match in matches for node in match.absorbed}
    return Matching(
        matches=matches,
        removed=tuple(node for node in known if node.spec and node.id not in taken),
    )


# Of several rows that are one machine, the one that has come furthest goes on.
_FURTHEST_FIRST = (
    State.READY,
    State.INSTALLED,
    State.FAILED,
    State.INSTALLING,
    State.BOOTING,
    State.ARMED,
    State.DISCOVERED,
)


def _rank(node: Node) -> tuple[int, int]:
    return _FURTHEST_FIRST.index(node.state), node.id


def _same_name_and_card(node: Node, spec: NodeSpec) -> bool:
    return _same_name(node, spec) and _same_card(node, spec)


def _same_card(node: Node, spec: NodeSpec) -> bool:
    return not set(node.macs).isdisjoint(spec.macs)


def _same_name(node: Node, spec: NodeSpec) -> bool:
    return node.spec is not None and node.spec.name == spec.name


def _absorbed(known: tuple[Node, ...], spec: NodeSpec, taken: set[int]) -> tuple[Node, ...]:
    """Rows that are left without a card, since all they had are this node's now."""
    return tuple(
        node
        for node in known
        if node.id not in taken and node.macs and set(node.macs) <= set(spec.macs)
    )
