"""Clusters: what the site says of them, and what is generated once and kept.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from ..boot.clusters import Cluster, ClusterKind, Member, Role, Standing
from .schema import cluster_secrets, members
from .settings import put_setting, setting


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
    secrets: dict[str, dict[str, str]] = {}
    for row in connection.execute(select(cluster_secrets)):
        secrets.setdefault(row.cluster, {})[row.name] = row.value
    return {
        name: Standing(members=tuple(places.get(name, ())), secrets=secrets.get(name, {}))
        for name in {*places, *secrets}
    }


def put_clusters(connection: Connection, wanted: Mapping[str, Cluster], at: datetime) -> list[str]:
    """These and no others; what changed, a sentence each."""
    put_setting(connection, "clusters", {name: asdict(one) for name, one in wanted.items()})
    return []
