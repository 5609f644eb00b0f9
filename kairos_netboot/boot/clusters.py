"""Clusters: who is what in them, and who has to wait for whom."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING

from .lifecycle import State

if TYPE_CHECKING:
    from .fleet import Fleet, Node
    from .site import NodeSpec, Profile


class ClusterKind(StrEnum):
    K3S = "k3s"
    P2P = "p2p"
    K0S = "k0s"
    RKE2 = "rke2"  # by documented templates
    KUBEADM = "kubeadm"  # by documented templates


class Role(StrEnum):
    SERVER = "server"  # control plane: k3s server, k0s controller, p2p master
    AGENT = "agent"  # k3s agent, k0s worker, p2p worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What the site file says of one. `servers`: how many; nodes that it names by role count."""

    name: str
    kind: ClusterKind
    servers: int = 1
    tls_sans: tuple[str, ...] = ()
    vip: str = ""  # kube-vip's address
    vip_interface: str = ""
    vpn: bool = True  # p2p: whether EdgeVPN carries the cluster's traffic, or only its news
    auto: bool = True  # p2p: roles by the nodes themselves; else by us
    network_id: str = "kairos"
    args: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A place in a cluster, given once and kept. `index` counts from 0 in its role."""

    cluster: str
    node: str
    role: Role
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the store keeps of one cluster. `secrets` by name: token, network-token, …"""

    members: tuple[Member, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    # Its first server, once that was ready: from then on nobody makes the cluster anew.
    initialised: str = ""
    # Who told a join token: the digest of its boot's report token, or BY_HAND. One of an earlier
    # life of its server is good no more.
    told_by: Mapping[str, str] = field(default_factory=dict)

    @property
    def servers(self) -> tuple[Member, ...]:
        found = (member for member in self.members if member.role is Role.SERVER)
        return tuple(sorted(found, key=lambda member: member.index))


BY_HAND = "by hand"


def join_secret(what: str) -> str:
    """The name of a secret that the first server tells: of `worker`, `controller`, `ca-hash`."""
    return f"join-token-{what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A node that is to be in a cluster. `role` is None where it goes by count."""

    node: str
    role: Role | None = None


def assign(
    cluster: Cluster, standing: Sequence[Member], wishes: Sequence[Wish]
) -> tuple[Member, ...]:
    """Everybody's place. Who has one keeps it, whatever its wish and the count say now; then those
    whose role is said, then by count in this order. A place that became free is given again."""
    wanted = {wish.node for wish in wishes}
    places = [member for member in standing if member.node in wanted]
    seated = {member.node for member in places}
    fresh = [wish for wish in wishes if wish.node not in seated]
    for wish in sorted(fresh, key=lambda wish: wish.role is None):
        servers = sum(member.role is Role.SERVER for member in places)
        by_count = Role.SERVER if servers < cluster.servers else Role.AGENT
        role = wish.role or by_count
        taken = {member.index for member in places if member.role is role}
        index = next(number for number in count() if number not in taken)
        places.append(Member(cluster=cluster.name, node=wish.node, role=role, index=index))
    return tuple(places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """All that a member's document goes by. `founds`: it makes the cluster; everybody else joins
    it at `first`, an address, empty where nobody told one. `reports`: it tells the join tokens."""

    cluster: Cluster
    member: Member
    standing: Standing
    founds: bool
    reports: bool
    first: str = ""

    @property
    def secrets(self) -> Mapping[str, str]:
        return self.standing.secrets


def member_of(fleet: Fleet, node: Node) -> Member | None:
    """The node's place; None where it is in no cluster."""
    for standing in fleet.standings.values():
        for member in standing.members:
            if node.spec and member.node == node.spec.name:
                return member
    return None


def seat_of(fleet: Fleet, node: Node) -> Seat | None:
    """None for a node that is in no cluster of the site."""
    member = member_of(fleet, node)
    if member is None or member.cluster not in fleet.clusters:
        return None
    cluster, standing = fleet.clusters[member.cluster], fleet.standings[member.cluster]
    others = _others(fleet, standing, member)
    first = first_server(standing, _at_work(fleet, standing))
    leads = first is not None and first.node == member.node
    return Seat(
        cluster=cluster,
        member=member,
        standing=standing,
        founds=leads and (not standing.initialised or len(standing.servers) == 1),
        reports=leads,
        first=cluster.vip or next((address_of(node) for node in others if address_of(node)), ""),
    )


def first_server(standing: Standing, at_work: Container[str]) -> Member | None:
    """The one that made the cluster, or makes it now, or will: `at_work` names the nodes that
    have been handed an installer. The lowest, where nobody has."""
    for is_first in (lambda node: node == standing.initialised, lambda node: node in at_work):
        for member in standing.servers:
            if is_first(member.node):
                return member
    return next(iter(standing.servers), None)


# Handed an installer: what its document said of it then must stay true.
_AT_WORK = (State.BOOTING, State.INSTALLING, State.INSTALLED, State.READY)


def _at_work(fleet: Fleet, standing: Standing) -> set[str]:
    if any(fleet.clusters[m.cluster].kind is ClusterKind.P2P for m in standing.members[:1]):
        return set()  # they all start at once
    named = {member.node for member in standing.servers}
    return {node.name for node in fleet.nodes if node.name in named and node.state in _AT_WORK}


def _others(fleet: Fleet, standing: Standing, member: Member) -> list[Node]:
    """The other servers, ready ones first, then by their places."""
    known = {node.name: node for node in fleet.nodes}
    servers = [known[m.node] for m in standing.servers if m != member and m.node in known]
    return sorted(servers, key=lambda node: node.state is not State.READY)


def address_of(node: Node) -> str:
    """Where the others reach it: its variable `address`, its reservation, what it told."""
    spec = node.spec
    said = spec.variables.get("address") if spec else None
    if isinstance(said, str) and said:
        return said
    return str(spec.address) if spec and spec.address else node.facts.get("address", "")


def waits_for(fleet: Fleet, node: Node) -> str:
    """Why the node cannot be installed yet, as a sentence's end; empty: it can."""
    seat = seat_of(fleet, node)
    # The nodes of a p2p network find each other.
    if seat is None or seat.founds or seat.cluster.kind is ClusterKind.P2P:
        return ""
    others = _others(fleet, seat.standing, seat.member)
    ready = [other for other in others if other.state is State.READY]
    if not ready:
        return _waits_for_server(fleet, seat, others)
    if why := _waits_for_token(fleet, node, seat):
        return why
    if seat.cluster.kind is not ClusterKind.K0S and not seat.first:
        return (
            f"waits for the address of {ready[0].name}: it told none, so say it as its `address` "
            "or as its variable `address`"
        )
    return ""


def _waits_for_server(fleet: Fleet, seat: Seat, others: Sequence[Node]) -> str:
    name = seat.cluster.name
    if not others:
        return f"waits for a server of '{name}': none of its nodes is one"
    if not seat.standing.initialised:
        first = first_server(seat.standing, _at_work(fleet, seat.standing))
        who = first.node if first else others[0].name
        return f"waits for {who}, the first server of '{name}', to be ready"
    if seat.member.role is Role.AGENT:
        return f"waits for a server of '{name}' to be ready"
    return (
        f"waits for another server of '{name}' to be ready: the cluster is there already, and is "
        f"joined, not made anew (if it is lost: `kairos-netboot clusters reset {name}`)"
    )


def _waits_for_token(fleet: Fleet, node: Node, seat: Seat) -> str:
    what = token_needed(fleet, node, seat)
    if not what:
        return ""
    first = first_server(seat.standing, _at_work(fleet, seat.standing))
    teller = next((n for n in fleet.nodes if first and n.name == first.node), None)
    told_by = seat.standing.told_by.get(join_secret(what), "")
    if told_by == BY_HAND or (teller is not None and told_by in teller.report_keys):
        return ""
    name = seat.cluster.name
    if seat.reports:
        return (
            f"waits for a join token of another server of '{name}': "
            f"`kairos-netboot clusters token {name} {what}` takes it"
        )
    return f"waits for {first.node if first else 'a server'} to report its join token ({what})"


def token_needed(fleet: Fleet, node: Node, seat: Seat) -> str:
    """What the first server has to tell before the node can join; empty: nothing."""
    if seat.cluster.kind is ClusterKind.K0S:
        return "controller" if seat.member.role is Role.SERVER else "worker"
    profile = fleet.profile_of(node)
    if seat.cluster.kind is ClusterKind.KUBEADM and profile:
        # Only a template that asks for it has made the first server tell it.
        return "ca-hash" if any("ca_hash" in t.text for t in profile.templates) else ""
    return ""


# What may be told, by kind.
TOLD = {
    ClusterKind.K0S: ("worker", "controller"),
    ClusterKind.KUBEADM: ("ca-hash",),
}


def wishes_of(specs: Iterable[NodeSpec], profiles: Mapping[str, Profile]) -> dict[str, list[Wish]]:
    """Who is to be in which cluster: a node's own word goes over its profile's."""
    wishes: dict[str, list[Wish]] = {}
    for spec in specs:
        profile = profiles.get(spec.profile)
        cluster = spec.cluster or (profile.cluster if profile else "")
        role = spec.role or (profile.role if profile else None)
        if cluster:
            wishes.setdefault(cluster, []).append(Wish(node=spec.name, role=role))
    return wishes
