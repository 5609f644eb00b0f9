"""What a node's templates may use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kairos_netboot.boot.actions import Action, Order
from kairos_netboot.boot.clusters import Member, Role, Standing
from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.site import NodeSpec, Profile, Template
from kairos_netboot.boot.urls import Urls
from kairos_netboot.cloudconfig.for_node import checked_document, document_for, variables_of
from kairos_netboot.errors import DocumentProblem
from kairos_netboot.values import Mac
from tests.unit.boot import sample

URLS = Urls("http://192.0.2.1:8080")
SPEC = NodeSpec(
    name="alpha",
    macs=(Mac("52:54:00:00:00:01"), Mac("52:54:00:00:00:02")),
    profile="server",
    variables={"role": "worker"},
)
PROFILE = Profile(name="server", image="debian", variables={"role": "none", "zone": 1})


def test_the_nodes_variables_are_over_the_profiles() -> None:
    variables = variables_of(PROFILE, SPEC, URLS)
    assert (variables["role"], variables["zone"]) == ("worker", 1)


def test_templates_know_the_node_and_the_server() -> None:
    variables = variables_of(PROFILE, SPEC, URLS)
    assert variables["node"] == {
        "name": "alpha",
        "mac": "52:54:00:00:00:01",
        "macs": ["52:54:00:00:00:01", "52:54:00:00:00:02"],
        "profile": "server",
        "image": "debian",
        "labels": {},
    }
    assert variables["server"] == {"url": "http://192.0.2.1:8080", "registry": "192.0.2.1:8080"}


@pytest.mark.parametrize(
    ("base", "registry"),
    [
        ("http://192.0.2.1", "192.0.2.1:80"),
        ("https://netboot.lan", "netboot.lan:443"),
        ("http://netboot:8080", "netboot:8080"),
        ("http://netboot", "netboot:80"),  # netboot/debian would be an image of Docker's
        ("http://[2001:db8::1]", "[2001:db8::1]:80"),
        ("http://[2001:db8::1]:8080", "[2001:db8::1]:8080"),
    ],
)
def test_the_registry_has_its_port_always(base: str, registry: str) -> None:
    server = variables_of(PROFILE, SPEC, Urls(base))["server"]
    assert server == {"url": base, "registry": registry}


@pytest.mark.parametrize("name", ["node", "server", "cluster"])
def test_a_variable_of_our_names_is_a_mistake_wherever_it_is(name: str) -> None:
    there = Profile(name="server", image="debian", variables={name: "x"})
    with pytest.raises(DocumentProblem, match=f"profile 'server' sets the variable '{name}'"):
        variables_of(there, SPEC, URLS)
    here = NodeSpec(name="alpha", macs=SPEC.macs, profile="server", variables={name: "x"})
    with pytest.raises(DocumentProblem, match=f"node 'alpha' sets the variable '{name}'"):
        checked_document(PROFILE, here, URLS, "token")


def test_a_document_can_install_from_this_servers_registry() -> None:
    text = """#cloud-config
users: [{name: kairos, groups: [admin]}]
install:
  auto: true
  reboot: true
  device: /dev/vda
  source: "oci:{{ server.registry }}/{{ node.image }}:latest"
"""
    profile = Profile(
        name="server", image="debian", templates=(Template(name="a.yaml", text=text),)
    )
    built = checked_document(profile, SPEC, URLS, "token")
    assert "source: oci:192.0.2.1:8080/debian:latest" in built.text.replace('"', "")


# By action

RAM_DOCUMENT = "#cloud-config\nhostname: {{ node.name }}\nstages: {}\n"


def _fleet(text: str, order: Order | None = None) -> tuple[Fleet, Node]:
    profile = replace(sample.PROFILE, templates=(Template(name="a.yaml", text=text),))
    node = sample.node(order=order)
    return sample.fleet(node, profile=profile), node


def test_what_runs_from_memory_needs_no_install_in_its_document() -> None:
    fleet, node = _fleet(RAM_DOCUMENT)
    text = document_for(fleet, node, URLS, "token", Action.RAM).text
    assert "hostname: alpha" in text
    assert "/reports/token/ready" in text
    with pytest.raises(DocumentProblem, match="install"):
        document_for(fleet, node, URLS, "token", Action.INSTALL)


@pytest.mark.parametrize("action", [Action.RESCUE, Action.RECOVERY, Action.WIPE, Action.SHELL])
def test_a_live_system_knows_nothing_of_the_installs_document(action: Action) -> None:
    secret = "#cloud-config\nstages: {boot: [{name: hunter2}]}\n"
    fleet, node = _fleet(secret, Order(action=action, disks=("/dev/vdb",)))
    assert "hunter2" not in document_for(fleet, node, URLS, "token", action).text


def test_a_wipe_erases_what_was_ordered() -> None:
    fleet, node = _fleet(RAM_DOCUMENT, Order(action=Action.WIPE, disks=("/dev/vdb",)))
    assert "set -- /dev/vdb\n" in document_for(fleet, node, URLS, "token", Action.WIPE).text


def test_a_recovery_has_the_token_of_its_p2p_network() -> None:
    fleet, node = _fleet(RAM_DOCUMENT)
    member = Member(cluster="prod", node="alpha", role=Role.SERVER, index=0)
    standing = Standing(members=(member,), secrets={"network-token": "b3Rw", "token": "hunter2"})
    fleet = replace(fleet, standings={"prod": standing})
    text = document_for(fleet, node, URLS, "token", Action.RECOVERY).text
    assert 'network_token: "b3Rw"' in text
    assert "hunter2" not in text
