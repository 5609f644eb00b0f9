"""Machines that a person names, refuses or forgets by hand.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, delete, update
from sqlalchemy.dialects.sqlite import insert

from ..boot.fleet import Event, Fleet, Node
from ..boot.hostnames import is_host_name
from ..boot.lifecycle import MAY_WIPE, Kind, State
from ..boot.matching import match_nodes
from ..boot.select import choice_for
from ..boot.site import NodeSpec, Origin, Profile
from ..cloudconfig.spelling import hint_or_known
from ..errors import InvalidValue, UnknownName
from ..values import Mac
from .adoption import Adoption, adoption, name_for
from .given import holder_of
from .nodes import append, close_document, read_node, read_nodes, set_order
from .schema import nodes, settled_macs
from .vendors import with_vendor

# Whoever is past these has been handed an installer or worse: its cards are remembered.
_UNTOUCHED = (State.DISCOVERED, State.IDLE, State.ARMED)


def find_machine(fleet: Fleet, text: str) -> Node:
    """By MAC, `#id`, name, or the unambiguous beginning of a MAC or a serial number; raises
    UnknownName."""
    exact = [n for n in fleet.nodes if text in (n.name, f"#{n.id}", *n.macs)]
    found = exact or [n for n in fleet.nodes if n.spec is None and _begins(n, text)]
    found = found or [n for n in fleet.nodes if _begins(n, text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UnknownName(f"no machine '{text}' here: see `kairos-netboot nodes discovered`")
    shown = ", ".join(node.name for node in found[:5])
    raise UnknownName(f"'{text}' is the beginning of {len(found)} machines: {shown}: say more")


def _begins(node: Node, text: str) -> bool:
    bare = re.sub(r"[.:-]", "", text.strip().lower())
    by_card = re.fullmatch(r"[0-9a-f]{2,12}", bare) is not None
    if by_card and any(mac.replace(":", "").startswith(bare) for mac in node.macs):
        return True
    return bool(text) and node.facts.get("serial", "").lower().startswith(text.strip().lower())


def approve(
    connection: Connection,
    machine: str,
    at: datetime,
    *,
    profile: str = "",
    name: str = "",
    labels: Mapping[str, str] | None = None,
) -> list[str]:
    """Name a machine; what changed, a sentence each. A denied one may boot again. Raises
    UnknownName and InvalidValue."""
    work = adoption(connection, at)
    node = find_machine(work.fleet, machine)
    if node.spec is not None and not node.denied:
        raise InvalidValue(
            f"{node.name} is named already: its profile is '{node.spec.profile}', see "
            f"`kairos-netboot nodes show {node.name}`"
        )
    if not node.macs:
        raise InvalidValue(f"{node.name} has no network card any more: `nodes forget` it")
    lines = _undeny(connection, node, at)
    if node.spec is not None:
        return lines
    said = NodeSpec(name=name, macs=node.macs, labels=labels or {}, origin=Origin.APPROVED)
    chosen = _profile(work.fleet, replace(node, spec=said), profile)
    given = _free_name(connection, node, chosen, name, said.labels)
    append(connection, Event(node=node.id, at=at, kind=Kind.APPROVED, text="approved by hand"))
    spec = replace(said, name=given, profile=chosen.name)
    return [*lines, *work.with_places(work.name(node, spec, ""))]


def _undeny(connection: Connection, node: Node, at: datetime) -> list[str]:
    if not node.denied:
        return []
    connection.execute(update(nodes).where(nodes.c.id == node.id).values(denied=False))
    sentence = "approved by hand: denied no more"
    append(connection, Event(node=node.id, at=at, kind=Kind.APPROVED, text=sentence))
    return [f"node {node.name}: {sentence}"]


def _profile(fleet: Fleet, node: Node, wanted: str) -> Profile:
    """The one that was said, or the one that it would be given by itself."""
    if wanted:
        if wanted not in fleet.profiles:
            raise UnknownName(f"no profile '{wanted}'{hint_or_known(wanted, fleet.profiles)}")
        return fleet.profiles[wanted]
    best = choice_for(fleet, with_vendor(fleet, node))
    if best is None:
        known = ", ".join(fleet.profiles) or "none"
        raise InvalidValue(f"no selector fits {node.macs[0]}: say --profile (known: {known})")
    return fleet.profiles[best.profile]


def _free_name(
    connection: Connection, node: Node, profile: Profile, wanted: str, labels: Mapping[str, str]
) -> str:
    if not wanted:
        return name_for(connection, node, profile, labels)
    if not is_host_name(wanted):
        raise InvalidValue(f"'{wanted}' is no host name: small letters, digits, - and .")
    if holder_of(connection, wanted) not in (None, node.id):
        raise InvalidValue(f"another machine is '{wanted}': `kairos-netboot nodes show {wanted}`")
    return wanted


def deny(connection: Connection, machine: str, at: datetime) -> Node:
    """It gets nothing until it is approved. Raises UnknownName."""
    node = find_machine(Fleet(read_nodes(connection)), machine)
    if not node.denied:
        sentence = f"denied by hand: gets nothing until `kairos-netboot nodes approve {node.name}`"
        append(connection, Event(node=node.id, at=at, kind=Kind.DENIED, text=sentence))
        connection.execute(update(nodes).where(nodes.c.id == node.id).values(denied=True))
        if node.state in MAY_WIPE:
            # Whoever approves it some day must not find its disks erased.
            said = "taken back with that: its disks are not to be erased"
            append(connection, Event(node=node.id, at=at, kind=Kind.DISARMED, text=said))
        close_document(connection, node.id)
        set_order(connection, node.id, None)
    return read_node(connection, node.id)


def import_machines(
    connection: Connection, read: Callable[[Fleet], Sequence[NodeSpec]], at: datetime
) -> list[str]:
    """Name the machines of a table; what changed, a sentence each. `read` checks them against what
    is here, and raises for all that is wrong. Those with no name get one by their pattern."""
    work = adoption(connection, at)
    lines: list[str] = []
    for spec in read(work.fleet):
        lines += _import(work, spec)
    return work.with_places(lines)


def _import(work: Adoption, spec: NodeSpec) -> list[str]:
    known = next((n for mac in spec.macs if (n := work.fleet.by_mac.get(mac))), None)
    node = known or Node(id=0, macs=spec.macs, state=State.DISCOVERED)
    present = known.spec if known and known.spec else NodeSpec(name="")
    chosen = spec.profile or present.profile or _fitting(work.fleet, node, spec)
    profile = work.fleet.profiles.get(chosen, Profile(name="", image=""))
    name = spec.name or present.name or name_for(work.connection, node, profile, spec.labels)
    spec = replace(spec, profile=chosen, name=name)
    match = match_nodes(work.fleet.nodes, {spec.name: spec}).matches[0]
    if match.node and match.node.denied:
        _undeny(work.connection, match.node, work.at)
    lines = work.name_as(match, "imported")
    return lines + work.settle([work.fleet.named(spec.name).id])


def _fitting(fleet: Fleet, node: Node, spec: NodeSpec) -> str:
    best = choice_for(fleet, with_vendor(fleet, replace(node, spec=spec)))
    return best.profile if best else ""


def forget(connection: Connection, name: str) -> Node:
    """Delete what is known of a machine that the site file does not name; what it was. Its name is
    kept for it, and whether it was installed. Raises UnknownName and InvalidValue."""
    node = find_machine(Fleet(read_nodes(connection)), name)
    if node.spec is not None and node.spec.origin is Origin.SITE:
        raise InvalidValue(f"{node.name} is in the site file: take it out there, and apply it")
    if node.state not in _UNTOUCHED:
        _settle(connection, node.macs)
    connection.execute(delete(nodes).where(nodes.c.id == node.id))
    return node


def _settle(connection: Connection, owned: Sequence[Mac]) -> None:
    for mac in owned:
        row = insert(settled_macs).values(mac=mac)
        connection.execute(row.on_conflict_do_nothing())
