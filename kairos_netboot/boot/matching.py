"""Which known machine a node of the site file is. A machine is its network cards: its state goes
with them through a change of name, and a new name never arms a machine that has been installed."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from ..values import Mac
from .fleet import Node
from .identity import identity_of, shows
from .lifecycle import State
from .site import NodeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """`node` is None for a machine never seen. `absorbed`: rows of other cards of the same
    machine, known before anybody said that they belong together. `learnt`: cards that nobody
    listed, of a machine that tells what the node is known by."""

    spec: NodeSpec
    node: Node | None
    absorbed: tuple[Node, ...] = ()
    learnt: tuple[Mac, ...] = ()

    @property
    def cards(self) -> tuple[Mac, ...]:
        return (*self.spec.macs, *self.learnt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    matches: tuple[Match, ...]
    removed: tuple[Node, ...]  # named until now, and no more
    # Machines that tell what a node is known by, by its name, where they are several.
    disputed: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)


def match_nodes(known: tuple[Node, ...], specs: Mapping[str, NodeSpec]) -> Matching:
    """Cards first, then what firmware tells; a name alone only where neither decides: its card
    was replaced. No machine is matched twice: split into two nodes, it goes on as the one with
    its name."""
    claimed = {mac for spec in specs.values() for mac in spec.macs}
    shown = {name: shown_by(known, spec, claimed) for name, spec in specs.items()}

    def is_shown(node: Node, spec: NodeSpec) -> bool:
        return shown[spec.name] == (node,) or _waits(node, spec)

    chosen: dict[str, Node] = {}
    taken: set[int] = set()
    for wanted in (_same_name_and_card, _same_card, is_shown, _same_name):
        for name, spec in specs.items():
            fitting = [n for n in known if n.id not in taken and wanted(n, spec)]
            if name not in chosen and fitting:
                chosen[name] = min(fitting, key=_rank)
                taken.add(chosen[name].id)
    free = [node for node in known if node.id not in taken]
    matches = []
    for name, spec in specs.items():
        absorbed = tuple(n for n in free if _is_part(n, spec) or is_shown(n, spec))
        matches.append(_made(spec, chosen.get(name), absorbed, claimed))
    taken |= {node.id for match in matches for node in match.absorbed}
    return Matching(
        matches=tuple(matches),
        removed=tuple(node for node in known if node.spec and node.id not in taken),
        disputed={name: nodes for name, nodes in shown.items() if len(nodes) > 1},
    )


def _made(
    spec: NodeSpec, node: Node | None, absorbed: tuple[Node, ...], claimed: Container[Mac]
) -> Match:
    rows = (node, *absorbed) if node else absorbed
    learnt = tuple(mac for row in rows for mac in _learnt(row, spec, claimed))
    return Match(spec=spec, node=node, absorbed=absorbed, learnt=learnt)


def shown_by(known: tuple[Node, ...], spec: NodeSpec, claimed: Container[Mac]) -> tuple[Node, ...]:
    """The machines that tell what `spec` is known by: the node itself, if it is one of them.
    Several are nobody's: whole batches of mainboards share one UUID. So are those that were
    denied. `claimed`: cards that are listed somewhere."""
    if not identity_of(spec):
        return ()
    telling = [
        node
        for node in known
        if any(mac not in claimed for mac in node.macs) and shows(node.facts, spec)
    ]
    own = [node for node in telling if _same_name(node, spec)]
    return tuple(own[:1] or [n for n in telling if n.spec is None and not n.denied])


def _learnt(node: Node, spec: NodeSpec, claimed: Container[Mac]) -> tuple[Mac, ...]:
    if not identity_of(spec) or not shows(node.facts, spec):
        return ()
    return tuple(mac for mac in node.macs if mac not in claimed)


# Of several rows that are one machine, the one that has come furthest goes on.
_FURTHEST_FIRST = (
    State.READY,
    State.INSTALLED,
    State.LIVE,
    State.WIPED,
    State.FAILED,
    State.WIPING,
    State.CONDEMNED,
    State.INSTALLING,
    State.BOOTING,
    State.ARMED,
    State.IDLE,
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


def _waits(node: Node, spec: NodeSpec) -> bool:
    """Whether it is the node's row from before its machine was seen."""
    return bool(identity_of(spec)) and not node.macs and _same_name(node, spec)


def _is_part(node: Node, spec: NodeSpec) -> bool:
    """A row that is left without a card, since all it had are this node's now."""
    return bool(node.macs) and set(node.macs) <= set(spec.macs)
