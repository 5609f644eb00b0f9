"""Places and secrets for the documents of a site that is not applied yet: mistakes are found
before a machine meets them."""

from __future__ import annotations

from collections.abc import Iterable

from .clusters import (
    BY_HAND,
    TOLD,
    Cluster,
    ClusterKind,
    Member,
    Role,
    Seat,
    Standing,
    assign,
    join_secret,
    wishes_of,
)
from .clustersecrets import new_secrets
from .site import NodeSpec, Site

_SOMEWHERE = "192.0.2.1"  # RFC 5737: of documentation


def expected_seats(specs: Iterable[NodeSpec], site: Site) -> dict[str, Seat]:
    """By node, as if nobody had a place yet."""
    seats: dict[str, Seat] = {}
    for name, wishes in wishes_of(specs, site.profiles).items():
        cluster = site.clusters[name]
        standing = _standing(cluster, assign(cluster, (), wishes))
        seats |= {member.node: _seat(cluster, member, standing) for member in standing.members}
    return seats


def _standing(cluster: Cluster, members: tuple[Member, ...]) -> Standing:
    told = {join_secret(what): "A" * 64 for what in TOLD.get(cluster.kind, ())}
    return Standing(
        members=members,
        secrets={**new_secrets(cluster.kind, lambda _: 0), **told},
        told_by=dict.fromkeys(told, BY_HAND),
    )


def _seat(cluster: Cluster, member: Member, standing: Standing) -> Seat:
    is_first = member.role is Role.SERVER and member == standing.servers[0]
    first = "" if is_first else _SOMEWHERE
    return Seat(
        cluster=cluster,
        member=member,
        standing=standing,
        founds=is_first,
        reports=is_first,
        first=cluster.vip or first,
    )


def cluster_doubts(site: Site) -> list[str]:
    """What works, and is hardly meant."""
    doubts = []
    wishes = wishes_of(site.nodes.values(), site.profiles)
    for name, cluster in site.clusters.items():
        if cluster.servers > 1 and cluster.servers % 2 == 0:
            doubts.append(
                f"cluster '{name}': of {cluster.servers} servers no more may die than of "
                f"{cluster.servers - 1}: an odd number is usual"
            )
        said = sum(wish.role is Role.SERVER for wish in wishes.get(name, ()))
        if said > cluster.servers:
            doubts.append(f"cluster '{name}': {said} nodes are servers, `servers` says fewer")
        if cluster.vip and cluster.kind is ClusterKind.P2P and cluster.vpn:
            doubts.append(
                f"cluster '{name}': kube-vip announces {cluster.vip} in the nodes' own network, "
                "not over EdgeVPN: `vpn: false` is usual with it"
            )
    return doubts
