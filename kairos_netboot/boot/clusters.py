"""Clusters: who is what in them, and who has to wait for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fleet import Fleet, Node


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


def member_of(fleet: Fleet, node: Node) -> Member | None:
    """The node's place; None where it is in no cluster."""
    for standing in fleet.standings.values():
        for member in standing.members:
            if node.spec and member.node == node.spec.name:
                return member
    return None


def waits_for(fleet: Fleet, node: Node) -> str:
    """Why the node cannot be installed yet, as a sentence's end; empty: it can."""
    return ""
