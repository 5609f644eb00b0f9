"""What is wrong with what machines are to get: their boot loaders, and those nobody understands."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from ..boot.advice import advice
from ..boot.chains import COMPANIONS, Chain, Row, chain_for, row_of
from ..boot.fleet import Fleet, Node
from ..boot.lifecycle import State
from ..values import Stage
from .findings import Finding, broken, doubtful, fine


def check_machines(
    fleet: Fleet, loaders: Container[str], missing: Mapping[str, str]
) -> Iterator[Finding]:
    """`missing`: a boot loader's name → how to get it."""
    yield from check_loaders(fleet, loaders, missing)
    yield from check_unknown(fleet)
    for node in fleet.nodes:
        if node.spec is not None:
            yield from _advice(fleet, node)


def check_loaders(
    fleet: Fleet, loaders: Container[str], missing: Mapping[str, str]
) -> Iterator[Finding]:
    wanted = _wanted(fleet)
    for file, who in wanted.items():
        if file in loaders:
            yield fine("loaders", f"{file} is here, for {_some(who)}")
            continue
        remedy = missing.get(file, f"put {file} into a folder and `serve --loaders` it")
        named = [node for node in who if node.spec is not None]
        if named:
            text = f"{file} is not here: {_some(named)} will get no answer"
            yield broken("loaders", text, remedy)
        else:
            text = f"{file} is not here: {_some(who)} would get no answer once named"
            yield doubtful("loaders", text, remedy)
    if not wanted:
        yield fine("loaders", "no machine that needs one has asked yet")


def _wanted(fleet: Fleet) -> dict[str, list[Node]]:
    """Each file that firmware which has asked is sent to, and whose firmware it is."""
    found: dict[str, list[Node]] = {}
    for node in fleet.nodes:
        for chain in _chains(fleet, node):
            for file in (chain.first, *COMPANIONS.get(chain.first, ())):
                found.setdefault(file, []).append(node)
    return found


def _chains(fleet: Fleet, node: Node) -> Iterator[Chain]:
    """By PXE; by HTTP Boot too where it has asked in that way."""
    profile = fleet.profiles.get(node.spec.profile) if node.spec else None
    own = node.spec.boot if node.spec else {}
    for row in _rows(node):
        yield chain_for(row, own, profile.boot if profile else {}, fleet.boot)


def _rows(node: Node) -> Iterator[Row]:
    # What asked last says by its class how it boots.
    by_http = node.facts.get("vendor-class", "").startswith("HTTPClient")
    row = row_of(Stage.HTTP if by_http else Stage.PXE, node.firmware, node.arch)
    if row is not None:
        yield row


def _some(nodes: list[Node]) -> str:
    names = sorted({node.name for node in nodes})
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def check_unknown(fleet: Fleet) -> Iterator[Finding]:
    """Firmware that asks in a way nobody here knows, with all it said."""
    for node in fleet.nodes:
        if said := node.facts.get("unknown"):
            yield doubtful(
                "machines",
                f"{node.name} asks in a way that is not known here, and is not answered: {said}",
                "tell us what machine it is, with this line",
            )
    strangers = [n for n in fleet.nodes if n.spec is None and n.state is State.DISCOVERED]
    if strangers:
        yield fine("machines", f"asked, and nobody named them: {_some(strangers)}")


def _advice(fleet: Fleet, node: Node) -> Iterator[Finding]:
    for chain in _chains(fleet, node):
        for sentence in advice(chain, node, fleet):
            yield doubtful("machines", f"{node.name}: {sentence}")
