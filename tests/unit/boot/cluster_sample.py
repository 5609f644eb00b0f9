"""A cluster's fleet, as small as a test wants it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kairos_netboot.boot.clusters import Cluster, ClusterKind, Member, Role, Standing
from kairos_netboot.boot.clustersecrets import new_secrets
from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.site import NodeSpec, Profile
from kairos_netboot.values import Mac
from tests.unit.boot.sample import IMAGE, PROFILE


def cluster(kind: str = "k3s", **changes: Any) -> Cluster:
    return Cluster(**{"name": "prod", "kind": ClusterKind(kind), "servers": 1, **changes})


def node(number: int, name: str, state: State, **changes: Any) -> Node:
    mac = Mac(f"52:54:00:00:01:{number:02x}")
    spec = NodeSpec(name=name, macs=(mac,), profile="server", cluster="prod")
    facts = {"address": f"192.0.2.{number}"} if state is State.READY else {}
    known: dict[str, Any] = {"id": number, "macs": (mac,), "state": state, "spec": spec}
    return Node(**{**known, "facts": facts, **changes})


def members(**roles: str) -> tuple[Member, ...]:
    """`k1="server"`: places in the order given."""
    counts: dict[str, int] = {}
    made = []
    for name, role in roles.items():
        index = counts.get(role, 0)
        counts[role] = index + 1
        made.append(Member(cluster="prod", node=name, role=Role(role), index=index))
    return tuple(made)


def standing(kind: str = "k3s", changes: Mapping[str, Any] | None = None, **roles: str) -> Standing:
    made = new_secrets(ClusterKind(kind), lambda below: 0)
    known: dict[str, Any] = {"members": members(**roles), "secrets": made}
    return Standing(**{**known, **(changes or {})})


def fleet(
    *nodes: Node, of: Cluster | None = None, at: Standing, profile: Profile = PROFILE
) -> Fleet:
    of = of or cluster()
    return Fleet(
        nodes,
        {profile.name: profile},
        {IMAGE.name: IMAGE},
        clusters={of.name: of},
        standings={of.name: at},
    )
