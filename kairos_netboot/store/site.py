"""What the site file says, as rows: profiles, and which machine each node is.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from ..boot.changes import kept_sentence, node_change, profile_changes
from ..boot.fleet import Event
from ..boot.lifecycle import SETTLED, Kind, State
from ..boot.matching import Match, match_nodes
from ..boot.site import NodeSpec, Profile
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


def put_nodes(connection: Connection, wanted: Mapping[str, NodeSpec], at: datetime) -> list[str]:
    """These are named and no others; what changed, a sentence each."""
    matching = match_nodes(read_nodes(connection), wanted)
    # Two nodes may have swapped names: all are taken off before any is put on.
    connection.execute(update(nodes).values(name=None, spec=None))
    lines = [line for match in matching.matches for line in _put(connection, match, at)]
    for node in matching.removed:
        sentence = f"taken out of the site: gets no answers; it was {node.state}"
        append(connection, Event(node=node.id, at=at, kind=Kind.SETTINGS, text=sentence))
        close_document(connection, node.id)
        lines.append(f"node {node.name}: {sentence}")
    return lines


def _put(connection: Connection, match: Match, at: datetime) -> list[str]:
    """Make one node so. A card that was an installed machine's brings no installer with it."""
    spec, known = match.spec, match.node
    node = known.id if known else add_node(connection, spec.macs)
    for other in match.absorbed:
        absorb(connection, node, other.id)
    set_macs(connection, node, spec.macs)
    row = {"name": spec.name, "spec": from_spec(spec)}
    connection.execute(update(nodes).where(nodes.c.id == node).values(row))
    lines = [f"node {o.name}: is part of {spec.name} now" for o in match.absorbed if o.spec]
    kind, sentence = _what_happens(connection, match)
    if sentence:
        append(connection, Event(node=node, at=at, kind=kind, text=sentence))
        lines.append(f"node {spec.name}: {sentence}")
    return lines


def _what_happens(connection: Connection, match: Match) -> tuple[Kind, str]:
    state = match.node.state if match.node else State.DISCOVERED
    fresh = state is State.DISCOVERED
    before = set(match.node.macs) if match.node and not fresh else set()
    if state not in SETTLED and any_settled(connection, set(match.spec.macs) - before):
        return Kind.KEPT, kept_sentence(match.spec)
    return Kind.NAMED if fresh else Kind.SETTINGS, node_change(match)
