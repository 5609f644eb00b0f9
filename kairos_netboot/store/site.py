"""What the site file says, as rows: profiles, and which machine each node is.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from ..boot.changes import disarmed_sentence, kept_sentence, node_change, profile_changes
from ..boot.fleet import Event, Node
from ..boot.lifecycle import MAY_INSTALL, MAY_WIPE, SETTLED, Kind, State
from ..boot.matching import Match, match_nodes
from ..boot.site import NodeSpec, Origin, Profile
from .nodes import absorb, add_node, any_settled, append, close_document, read_nodes, set_macs
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
    each."""
    known = read_nodes(connection)
    matching = match_nodes(known, {**wanted, **_adopted(known, wanted)})
    # Two nodes may have swapped names: all are taken off before any is put on.
    connection.execute(update(nodes).values(name=None, spec=None))
    lines = [line for match in matching.matches for line in _put(connection, match, profiles, at)]
    for node in matching.removed:
        sentence = f"taken out of the site: gets no answers; it was {node.state}"
        append(connection, Event(node=node.id, at=at, kind=Kind.SETTINGS, text=sentence))
        close_document(connection, node.id)
        lines.append(f"node {node.name}: {sentence}")
    return lines


def _adopted(known: Iterable[Node], wanted: Mapping[str, NodeSpec]) -> dict[str, NodeSpec]:
    """Machines that the site file never named, and does not name now either."""
    named = {mac for spec in wanted.values() for mac in spec.macs}
    return {
        node.spec.name: node.spec
        for node in known
        if node.spec and node.spec.origin is not Origin.SITE
        if node.spec.name not in wanted and named.isdisjoint(node.macs)
    }


def _put(connection: Connection, match: Match, profiles: Profiles, at: datetime) -> list[str]:
    """Make one node so. A card that was an installed machine's brings no installer with it."""
    spec, known = match.spec, match.node
    node = known.id if known else add_node(connection, spec.macs)
    for other in match.absorbed:
        absorb(connection, node, other.id)
    set_macs(connection, node, spec.macs)
    row = {"name": spec.name, "spec": from_spec(spec)}
    connection.execute(update(nodes).where(nodes.c.id == node).values(row))
    lines = [f"node {o.name}: is part of {spec.name} now" for o in match.absorbed if o.spec]
    kind, sentence = _what_happens(connection, match, profiles)
    if sentence:
        append(connection, Event(node=node, at=at, kind=kind, text=sentence))
        lines.append(f"node {spec.name}: {sentence}")
    return lines


def _what_happens(connection: Connection, match: Match, profiles: Profiles) -> tuple[Kind, str]:
    state = match.node.state if match.node else State.DISCOVERED
    fresh = state is State.DISCOVERED
    before = set(match.node.macs) if match.node and not fresh else set()
    if state not in SETTLED and any_settled(connection, set(match.spec.macs) - before):
        return Kind.KEPT, kept_sentence(match.spec)
    if fresh and not profiles.arms(match.spec):
        return Kind.LISTED, f"named, profile '{match.spec.profile}'"
    old = match.node.spec if match.node else None
    if old and state in (*MAY_INSTALL, *MAY_WIPE) and profiles.disarms(old, match.spec):
        return Kind.DISARMED, disarmed_sentence(match.spec)
    return Kind.NAMED if fresh else Kind.SETTINGS, node_change(match)
