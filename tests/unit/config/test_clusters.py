"""The site file's `clusters`: each mistake with its place and the way out."""

from __future__ import annotations

from typing import Any

import pytest

from kairos_netboot.boot.clusters import Cluster, ClusterKind, Role
from kairos_netboot.boot.rehearsal import cluster_doubts, expected_seats
from kairos_netboot.boot.site import NodeSpec, Profile, Site
from kairos_netboot.cloudconfig.yamlnodes import parse
from kairos_netboot.config.clusters import cluster
from kairos_netboot.config.located import Located
from kairos_netboot.errors import SiteMistake


def read(text: str, name: str = "prod") -> Cluster:
    return cluster(
        name, Located(node=parse(text, "site.yaml", SiteMistake), key=f"clusters.{name}")
    )


def test_a_cluster_with_all_that_it_may_have() -> None:
    assert read(
        "kind: k3s\nservers: 3\ntls-sans: [k8s.example, 192.0.2.5]\nvip: 192.0.2.100\n"
        "vip-interface: eth0\nserver-args: [--disable=traefik]\nagent-args: --node-label=a=b\n"
    ) == Cluster(
        name="prod",
        kind=ClusterKind.K3S,
        servers=3,
        tls_sans=("k8s.example", "192.0.2.5"),
        vip="192.0.2.100",
        vip_interface="eth0",
        args={Role.SERVER: ("--disable=traefik",), Role.AGENT: ("--node-label=a=b",)},
    )


def test_a_p2p_cluster_with_roles_of_ours() -> None:
    read_one = read("{kind: p2p, auto: false, vpn: false, network-id: edge, agent-args: [--debug]}")
    assert (read_one.auto, read_one.vpn, read_one.network_id) == (False, False, "edge")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("servers: 1", "1: clusters.prod: 'kind' is missing"),
        ("kind: k8s", "1: clusters.prod.kind: 'k8s' is not known here"),
        ("kind: k3s\nservers: 0", "2: clusters.prod.servers: a number from 1 to 99"),
        ("kind: k3s\nservers: two", "2: clusters.prod.servers: 'two' is no number"),
        ("kind: k3s\nvip: k8s.lan", "2: clusters.prod.vip: 'k8s.lan' is no address"),
        ("kind: k3s\nvip: 127.0.0.1", "2: clusters.prod.vip: 127.0.0.1 is not an address that"),
        ("kind: k3s\nvip-interface: eth0", "2: clusters.prod.vip-interface: for which address?"),
        (
            "kind: k3s\nvip: 192.0.2.1\nvip-interface: 'a b'",
            "3: clusters.prod.vip-interface: 'a b'",
        ),
        ("kind: k0s\nvip: 192.0.2.1", "2: clusters.prod.vip: Kairos' kube-vip does not work"),
        ("kind: k0s\ntls-sans: [a]", "2: clusters.prod.tls-sans: k0s reads them from its own"),
        ("kind: k3s\nvpn: false", "2: clusters.prod.vpn: only a p2p cluster has it"),
        ("kind: rke2\nauto: false", "2: clusters.prod.auto: only a p2p cluster has it"),
        ("kind: p2p\nagent-args: [--a]", "2: clusters.prod.agent-args: who is an agent"),
        ("kind: p2p\nnetwork-id: 'a b'", "2: clusters.prod.network-id: letters, digits"),
        ("kind: k3s\ntls-sans: ['a b']", "2: clusters.prod.tls-sans[0]: 'a b' is neither"),
        ("kind: k3s\nserver-args: [x]", "2: clusters.prod.server-args[0]: an argument is one line"),
        ("kind: k3s\nserver-args: ['--token=x']", "'--token=x' is decided by the node's place"),
        ("kind: k3s\nserver-args: [--cluster-init]", "is decided by the node's place"),
        ("kind: k3s\nmasters: 3", "2: clusters.prod.masters: no such key"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, mistake: str) -> None:
    with pytest.raises(SiteMistake) as caught:
        read(text)
    assert mistake in str(caught.value)


def test_a_name_that_is_none_is_a_mistake() -> None:
    with pytest.raises(SiteMistake, match="a cluster's name is small letters"):
        read("kind: k3s", "My Cluster")


def site(of: Cluster, **roles: Role | None) -> Site:
    nodes = {
        name: NodeSpec(name=name, profile="p", cluster="prod", role=role)
        for name, role in roles.items()
    }
    profiles = {"p": Profile(name="p", image="")}
    return Site(images={}, profiles=profiles, nodes=nodes, clusters={"prod": of})


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"servers": 2}, "cluster 'prod': of 2 servers no more may die than of 1"),
        ({"kind": ClusterKind.P2P, "vip": "192.0.2.1"}, "not over EdgeVPN"),
    ],
)
def test_what_is_hardly_meant_is_a_note(changes: dict[str, Any], doubt: str) -> None:
    of = Cluster(**{"name": "prod", "kind": ClusterKind.K3S, **changes})
    (told,) = cluster_doubts(site(of))
    assert doubt in told


def test_an_odd_number_of_servers_is_no_note_but_more_than_were_said_are() -> None:
    of = Cluster(name="prod", kind=ClusterKind.K3S)
    assert cluster_doubts(site(of, a=None, b=Role.SERVER)) == []
    (told,) = cluster_doubts(site(of, a=Role.SERVER, b=Role.SERVER))
    assert told == "cluster 'prod': 2 nodes are servers, `servers` says fewer"


def test_documents_are_rehearsed_with_the_places_that_apply_would_give() -> None:
    of = Cluster(name="prod", kind=ClusterKind.K3S, servers=2)
    here = site(of, a=None, b=None, c=None)
    seats = expected_seats(here.nodes.values(), here)
    assert [(name, seat.member.role, seat.founds) for name, seat in seats.items()] == [
        ("a", Role.SERVER, True),
        ("b", Role.SERVER, False),
        ("c", Role.AGENT, False),
    ]
    assert seats["c"].first == "192.0.2.1"
