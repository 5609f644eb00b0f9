"""What a node's templates may use."""

from __future__ import annotations

import pytest

from kairos_netboot.boot.site import NodeSpec, Profile, Template
from kairos_netboot.boot.urls import Urls
from kairos_netboot.cloudconfig.for_node import checked_document, variables_of
from kairos_netboot.errors import DocumentProblem
from kairos_netboot.values import Mac

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


@pytest.mark.parametrize("name", ["node", "server"])
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
