"""What the site file says, as rows: profiles, and which machine each node is.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from ..boot.changes import (
    disarmed_sentence,
    disputed_sentence,
    kept_sentence,
    node_change,
    profile_changes,
    waiting_sentence,
)
from ..boot.fleet import Event, Node
from ..boot.identity import shows
from ..boot.lifecycle import MAY_INSTALL, MAY_WIPE, SETTLED, Kind, State
from ..boot.matching import Match, match_nodes
from ..boot.site import NodeSpec, Origin, Profile
from ..errors import SiteMistake
from .nodes import (
    absorb,
    add_node,
    any_settled,
    append,
    close_document,
    read_nodes,
    set_facts,
    set_macs,
)
from .rows import from_profile, from_spec, to_profile
from .schema import nodes, profiles


def read_profiles(connection: Connection) -> dict[str, Profile]:
    rows = connection.execute(select(profiles).order_by(profiles.c.name))
    return {row.name: to_profile(row.name, row.spec) for row in rows}


def put_profiles(connection: Connection, wanted: Mapping[str, Profile]) -> list[str]:
    """These and no others; what changed, a sentence each."""
    lines = profile_changes(read_profiles(connection), wanted)
    connection.execute(delete(profiles))
    for profile in wanted.values():
        row = {"name": profile.name, "spec": from_profile(profile)}
        connection.execute(insert(profiles).values(row))
    return lines


@dataclass(frozen=True, slots=True)
class Profiles:
    """Before and after an `apply`."""

    before: Mapping[str, Profile]
    after: Mapping[str, Profile]

    def arms(self, spec: NodeSpec) -> bool:
        return spec.profile in self.after and self.after[spec.profile].arms

    def disarms(self, before: NodeSpec, after: NodeSpec) -> bool:
        """Whether a node that was armed for one thing would now do another."""
        old, new = self.before.get(before.profile), self.after.get(after.profile)
        return old is not None and new is not None and old.action is not new.action


def put_nodes(
    connection: Connection, wanted: Mapping[str, NodeSpec], profiles: Profiles, at: datetime
) -> list[str]:
    """These are named, and the machines that were approved or selected; what changed, a sentence
    each. Raises SiteMistake where one of those has a name that the site gives to another."""
    known = tuple(_of_the_site(node, wanted) for node in read_nodes(connection))
    matching = match_nodes(known, {**wanted, **_adopted(known)})
    # Two nodes may have swapped names: all are taken off before any is put on.
    connection.execute(update(nodes).values(name=None, spec=None))
    lines = [line for m in matching.matches for line in put_node(connection, m, profiles, at)]
    lines += [_take_out(connection, node, at) for node in matching.removed]
    return lines + [disputed_sentence(wanted[name], n) for name, n in matching.disputed.items()]


def _take_out(connection: Connection, node: Node, at: datetime) -> str:
    if not node.macs and node.state in (State.DISCOVERED, State.IDLE, State.ARMED):
        connection.execute(delete(nodes).where(nodes.c.id == node.id))
        return f"node {node.name}: taken out of the site, before its machine was seen"
    sentence = f"taken out of the site: gets no answers; it was {node.state}"
    append(connection, Event(node=node.id, at=at, kind=Kind.SETTINGS, text=sentence))
    close_document(connection, node.id)
    return f"node {node.name}: {sentence}"


def _is_adopted(node: Node) -> bool:
    return node.spec is not None and node.spec.origin is not Origin.SITE


def _of_the_site(node: Node, wanted: Mapping[str, NodeSpec]) -> Node:
    """An adopted machine that the site file names now is the site's."""
    if node.spec is None or not _is_adopted(node):
        return node
    for spec in wanted.values():
        if not set(spec.macs).isdisjoint(node.macs):
            return replace(node, spec=replace(node.spec, origin=Origin.SITE))
        if shows(node.facts, spec):
            return replace(node, spec=None)
    if node.spec.name in wanted and not node.macs:
        return replace(node, spec=replace(node.spec, origin=Origin.SITE))
    if node.spec.name in wanted:
        raise SiteMistake(
            f"node '{node.name}' of the site file is another machine than the one with MAC "
            f"{', '.join(node.macs)}, which was given that name here: write this MAC into the "
            f"site file, or rename the node, or `kairos-netboot nodes forget {node.name}`"
        )
    return node


def _adopted(known: Iterable[Node]) -> dict[str, NodeSpec]:
    """Machines that the site file does not name."""
    return {node.spec.name: node.spec for node in known if node.spec and _is_adopted(node)}


def put_node(
    connection: Connection, match: Match, profiles: Profiles, at: datetime, because: str = ""
) -> list[str]:
    """Make one node so. A card that was an installed machine's brings no installer with it.
    `because`: why it happens, where no site file says so."""
    match = _with_kept_profile(match, profiles)
    spec, known = match.spec, match.node
    node = known.id if known else add_node(connection, match.cards)
    for other in match.absorbed:
        set_facts(connection, node, other.facts)
        absorb(connection, node, other.id)
    set_macs(connection, node, match.cards)
    row = {"name": spec.name, "spec": from_spec(spec)}
    connection.execute(update(nodes).where(nodes.c.id == node).values(row))
    lines = [
        f"node {o.name}: is part of {spec.name} now" for o in match.absorbed if _is_other(o, spec)
    ]
    kind, sentence = _what_happens(connection, match, profiles)
    if sentence or not known or set(known.macs) != set(match.cards):
        sentence = ": ".join(part for part in (because, sentence) if part)
    if sentence:
        append(connection, Event(node=node, at=at, kind=kind, text=sentence))
        lines.append(f"node {spec.name}: {sentence}")
    return lines


def _is_other(node: Node, spec: NodeSpec) -> bool:
    return node.spec is not None and node.spec.name != spec.name


def _with_kept_profile(match: Match, profiles: Profiles) -> Match:
    """What the selectors chose for a node of the site file stays so."""
    before = match.node.spec.profile if match.node and match.node.spec else ""
    if match.spec.profile or before not in profiles.after:
        return match
    return replace(match, spec=replace(match.spec, profile=before))


def _what_happens(connection: Connection, match: Match, profiles: Profiles) -> tuple[Kind, str]:
    state = match.node.state if match.node else State.DISCOVERED
    fresh = state is State.DISCOVERED
    old = match.node.spec if match.node else None
    if fresh and not match.spec.profile:
        return Kind.SETTINGS, "" if old == match.spec else waiting_sentence(match.spec)
    before = set(match.node.macs) if match.node and not fresh else set()
    if state not in SETTLED and any_settled(connection, set(match.cards) - before):
        return Kind.KEPT, kept_sentence(match.spec)
    if fresh and not profiles.arms(match.spec):
        return Kind.LISTED, f"named, profile '{match.spec.profile}'"
    if old and state in (*MAY_INSTALL, *MAY_WIPE) and profiles.disarms(old, match.spec):
        return Kind.DISARMED, disarmed_sentence(match.spec)
    profile = profiles.after.get(match.spec.profile)
    return Kind.NAMED if fresh else Kind.SETTINGS, node_change(match, profile)
