"""Clusters: what the site says of them, and what is generated once and kept.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

import secrets as system_random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..boot.clusters import (
    Cluster,
    ClusterKind,
    Member,
    Role,
    Standing,
    Wish,
    assign,
    join_secret,
    wishes_of,
)
from ..boot.clustersecrets import new_secrets
from ..boot.fleet import Event, Node
from ..boot.lifecycle import Kind, State
from ..errors import InvalidValue, SiteMistake
from .nodes import append, read_nodes
from .schema import cluster_secrets, members
from .settings import put_setting, setting
from .site import read_profiles

# Beside the secrets, in their table: names that no secret has.
_INITIALISED = ".initialised"
_TOLD_BY = ".told-by "
# In these nothing of a cluster is on a disk yet.
_UNTOUCHED = (State.DISCOVERED, State.IDLE, State.ARMED)


def read_clusters(connection: Connection) -> dict[str, Cluster]:
    rows: Mapping[str, Any] = setting(connection, "clusters", {})
    return {name: _to_cluster(name, row) for name, row in rows.items()}


def _to_cluster(name: str, row: Mapping[str, Any]) -> Cluster:
    args = {Role(role): tuple(words) for role, words in row["args"].items()}
    known = {**row, "kind": ClusterKind(row["kind"]), "args": args}
    return Cluster(**{**known, "name": name, "tls_sans": tuple(row["tls_sans"])})


def read_standings(connection: Connection) -> dict[str, Standing]:
    """By cluster; also of clusters that the site does not name any more."""
    places: dict[str, list[Member]] = {}
    for row in connection.execute(select(members).order_by(members.c.role, members.c.place)):
        member = Member(cluster=row.cluster, node=row.node, role=Role(row.role), index=row.place)
        places.setdefault(row.cluster, []).append(member)
    kept: dict[str, dict[str, str]] = {}
    for row in connection.execute(select(cluster_secrets).order_by(cluster_secrets.c.name)):
        kept.setdefault(row.cluster, {})[row.name] = row.value
    return {name: _standing(places.get(name, ()), kept.get(name, {})) for name in {*places, *kept}}


def _standing(places: Sequence[Member], kept: Mapping[str, str]) -> Standing:
    told_by = {k.removeprefix(_TOLD_BY): v for k, v in kept.items() if k.startswith(_TOLD_BY)}
    return Standing(
        members=tuple(places),
        secrets={name: value for name, value in kept.items() if not name.startswith(".")},
        initialised=kept.get(_INITIALISED, ""),
        told_by=told_by,
    )


def put_clusters(connection: Connection, wanted: Mapping[str, Cluster], at: datetime) -> list[str]:
    """These and no others; what changed, a sentence each. Raises SiteMistake for another kind of a
    cluster that is there."""
    before = read_clusters(connection)
    put_setting(connection, "clusters", {name: asdict(one) for name, one in wanted.items()})
    lines = [f"cluster {name}: removed; its secrets are kept" for name in before.keys() - wanted]
    for name, cluster in wanted.items():
        _check_kind(connection, cluster)
        lines += _generate(connection, cluster)
        if name in before and before[name] != cluster:
            lines.append(f"cluster {name}: changed, for nodes that are installed from now on")
    return lines + place(connection, at)


def _check_kind(connection: Connection, cluster: Cluster) -> None:
    """Its secrets and what is on its disks are one kind's."""
    kinds: dict[str, str] = setting(connection, "cluster-kinds", {})
    known = kinds.get(cluster.name, cluster.kind)
    if known != cluster.kind:
        standing = read_standings(connection).get(cluster.name, Standing())
        seated = {member.node for member in standing.members}
        touched = [n.name for n in read_nodes(connection) if n.state not in _UNTOUCHED]
        if standing.initialised or seated.intersection(touched):
            raise SiteMistake(
                f"cluster '{cluster.name}' is there already, as {known}: its nodes cannot become "
                f"{cluster.kind} by an edit; give the new one another name, or first "
                f"`kairos-netboot nodes reinstall` its nodes and "
                f"`kairos-netboot clusters reset {cluster.name}`"
            )
        _forget(connection, cluster.name)
    put_setting(connection, "cluster-kinds", {**kinds, cluster.name: cluster.kind})


def _forget(connection: Connection, cluster: str) -> None:
    connection.execute(delete(cluster_secrets).where(cluster_secrets.c.cluster == cluster))


def _generate(connection: Connection, cluster: Cluster) -> list[str]:
    """What it lacks; what it has is kept for ever."""
    standing = read_standings(connection).get(cluster.name, Standing())
    made = new_secrets(cluster.kind, system_random.randbelow)
    missing = {name: value for name, value in made.items() if name not in standing.secrets}
    for name, value in missing.items():
        put_secret(connection, cluster.name, name, value)
    names = ", ".join(missing)
    return [f"cluster {cluster.name}: generated its {names}"] if missing else []


def put_secret(connection: Connection, cluster: str, name: str, value: str) -> None:
    row = {"cluster": cluster, "name": name, "value": value}
    anew = sqlite_insert(cluster_secrets).values(row)
    by = ["cluster", "name"]
    connection.execute(anew.on_conflict_do_update(index_elements=by, set_={"value": value}))


def put_told(connection: Connection, cluster: str, secret: str, value: str, by: str) -> None:
    """A secret that its first server, or a person, told."""
    put_secret(connection, cluster, secret, value)
    put_secret(connection, cluster, f"{_TOLD_BY}{secret}", by)


def place(connection: Connection, at: datetime) -> list[str]:
    """Give every named node that is in a cluster its place there, and free the places of those
    that left; what changed, a sentence each."""
    nodes = {node.name: node for node in read_nodes(connection) if node.spec is not None}
    specs = [node.spec for node in nodes.values() if node.spec]
    wishes = wishes_of(specs, read_profiles(connection))
    clusters, standings = read_clusters(connection), read_standings(connection)
    before = {m.node: m for standing in standings.values() for m in standing.members}
    after: dict[str, Member] = {}
    lines: list[str] = []
    for name, cluster in clusters.items():
        seated = standings.get(name, Standing()).members
        wanted = wishes.get(name, [])
        after |= {member.node: member for member in assign(cluster, seated, wanted)}
        lines += _kept_roles(after, wanted)
    return lines + _write(connection, nodes, before, after, at)


def _kept_roles(after: Mapping[str, Member], wanted: Iterable[Wish]) -> list[str]:
    """Who was given another role than the site file says now."""
    return [
        f"node {wish.node}: stays {after[wish.node].role} of '{after[wish.node].cluster}', not "
        f"{wish.role}: a place is kept; take the node out of the cluster and apply, to free it"
        for wish in wanted
        if wish.role and after[wish.node].role is not wish.role
    ]


def _write(
    connection: Connection,
    nodes: Mapping[str, Node],
    before: Mapping[str, Member],
    after: Mapping[str, Member],
    at: datetime,
) -> list[str]:
    lines = []
    gone = [member for name, member in before.items() if after.get(name) != member]
    fresh = [member for name, member in after.items() if before.get(name) != member]
    connection.execute(delete(members).where(members.c.node.in_([m.node for m in gone])))
    for member in gone:
        said = f"left cluster '{member.cluster}': its place, {_seat(member)}, is free"
        lines.append(_tell(connection, nodes, member.node, said, at))
    for member in fresh:
        row: dict[str, object] = {"node": member.node, "cluster": member.cluster}
        row |= {"role": member.role, "place": member.index}
        connection.execute(insert(members).values(row))
        said = f"has a place in cluster '{member.cluster}': {_seat(member)}"
        lines.append(_tell(connection, nodes, member.node, said, at))
    return lines


def _seat(member: Member) -> str:
    return f"{member.role} {member.index}"


def _tell(
    connection: Connection, nodes: Mapping[str, Node], name: str, said: str, at: datetime
) -> str:
    if name in nodes:
        append(connection, Event(node=nodes[name].id, at=at, kind=Kind.SETTINGS, text=said))
    return f"node {name}: {said}"


def rename_members(connection: Connection, before: Mapping[int, str]) -> None:
    """A place goes with its machine through a change of its name. `before`: names by node."""
    after = {node.id: node.name for node in read_nodes(connection) if node.spec is not None}
    known = {row.node: row for row in connection.execute(select(members))}
    moved = {
        before[number]: name
        for number, name in after.items()
        if number in before and before[number] != name and before[number] in known
    }
    rows = [{**known[old]._mapping, "node": new} for old, new in moved.items()]
    connection.execute(delete(members).where(members.c.node.in_([*moved, *moved.values()])))
    if rows:
        connection.execute(insert(members).values(rows))
    for old, new in moved.items():
        was = (cluster_secrets.c.name == _INITIALISED, cluster_secrets.c.value == old)
        connection.execute(update(cluster_secrets).where(*was).values(value=f"\0{new}"))
    # In two steps: two nodes may have swapped their names.
    for new in moved.values():
        now = cluster_secrets.c.value == f"\0{new}"
        connection.execute(update(cluster_secrets).where(now).values(value=new))


def names_of(connection: Connection) -> dict[int, str]:
    return {node.id: node.name for node in read_nodes(connection) if node.spec is not None}


def mark_ready(connection: Connection, nodes: Iterable[Node]) -> None:
    """A cluster whose first server was ready is there: nobody makes it anew."""
    ready = {node.name for node in nodes if node.spec and node.state is State.READY}
    if not ready:
        return
    clusters = read_clusters(connection)
    for name, standing in read_standings(connection).items():
        servers = [member.node for member in standing.servers]
        if name in clusters and clusters[name].kind is ClusterKind.P2P:
            servers = servers[:1]  # the others wait for nobody, and may well be ready before
        founder = next((server for server in servers if server in ready), "")
        if founder and not standing.initialised:
            put_secret(connection, name, _INITIALISED, founder)


def reset_cluster(connection: Connection, name: str) -> None:
    """Its first server makes it anew; what it told before is forgotten. Raises InvalidValue while
    a server of it runs."""
    standing = read_standings(connection).get(name, Standing())
    servers = {member.node for member in standing.servers}
    running = [n.name for n in read_nodes(connection) if n.name in servers and _runs(n)]
    if running:
        raise InvalidValue(
            f"cluster '{name}' lives on {', '.join(sorted(running))}: a second one would be made "
            "beside it; first `kairos-netboot nodes reinstall` its servers, all of them"
        )
    column = cluster_secrets.c.name
    gone = column.startswith(".") | column.startswith(join_secret(""))
    connection.execute(delete(cluster_secrets).where(cluster_secrets.c.cluster == name, gone))


def _runs(node: Node) -> bool:
    return node.state in (State.READY, State.INSTALLED, State.LIVE)
