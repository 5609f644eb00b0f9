"""The docs' templates for rke2 and kubeadm, for each role."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kairos_netboot.boot.actions import Action
from kairos_netboot.boot.clusters import BY_HAND, join_secret
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.site import Profile, Template
from kairos_netboot.boot.urls import Urls
from kairos_netboot.cloudconfig.for_node import document_for
from tests.unit.boot.cluster_sample import cluster, fleet, node, standing

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
URLS, TOKEN = Urls("http://192.0.2.9:8080"), "f" * 32
HASH = "sha256:" + "0" * 64


def documents(kind: str, k1: State) -> dict[str, Any]:
    """By node, of those that can be installed now."""
    name = f"{kind}/{kind}.yaml"
    template = Template(name=name, text=(EXAMPLES / name).read_text())
    profile = Profile(name="server", image="debian", templates=(template,))
    secrets = {**standing(kind).secrets, join_secret("ca-hash"): HASH}
    told = {join_secret("ca-hash"): BY_HAND}
    changes = {"secrets": secrets, "told_by": told}
    at = standing(kind, changes=changes, k1="server", k2="server", a1="agent")
    nodes = (node(1, "k1", k1), node(2, "k2", State.ARMED), node(3, "a1", State.ARMED))
    of = cluster(kind, servers=3, tls_sans=("k8s.example",))
    known = fleet(*nodes, of=of, at=at, profile=profile)
    names = ("k1",) if k1 is State.ARMED else ("k2", "a1")
    built = {
        name: document_for(known, known.named(name), URLS, TOKEN, Action.INSTALL) for name in names
    }
    assert not [finding for one in built.values() for finding in one.findings]
    return {name: yaml.safe_load(one.text) for name, one in built.items()}


def config(document: Any) -> list[Any]:
    (file,) = document["write_files"]
    assert file["permissions"] == "0600"
    return list(yaml.safe_load_all(file["content"]))


def commands(document: Any) -> str:
    entry = document["stages"]["network"][0]
    text = "\n".join(entry["commands"])
    subprocess.run(["sh", "-n", "-c", text], check=True)
    return text


def test_rke2_makes_a_cluster_and_joins_it() -> None:
    token, sans = "a" * 48, ["k8s.example"]
    (first,) = documents("rke2", State.ARMED).values()
    assert config(first) == [{"token": token, "node-name": "k1", "tls-san": sans}]
    assert "rke2-server" in commands(first)
    others = documents("rke2", State.READY)
    joins = {"token": token, "server": "https://192.0.2.1:9345"}
    assert config(others["k2"]) == [{**joins, "node-name": "k2", "tls-san": sans}]
    assert config(others["a1"]) == [{**joins, "node-name": "a1"}]
    assert "rke2-agent" in commands(others["a1"])


def test_kubeadm_makes_a_cluster_and_tells_its_hash() -> None:
    (first,) = documents("kubeadm", State.ARMED).values()
    init, whole = config(first)
    assert init["bootstrapTokens"] == [{"token": "aaaaaa." + "a" * 16, "ttl": "0s"}]
    assert whole["controlPlaneEndpoint"] == "k8s.example:6443"
    told = commands(first)
    assert "kubeadm init --upload-certs" in told
    assert f"http://192.0.2.9:8080/reports/{TOKEN}/join/ca-hash" in told


def test_kubeadm_joins_with_the_hash() -> None:
    others = documents("kubeadm", State.READY)
    (server,), (agent,) = config(others["k2"]), config(others["a1"])
    assert server["discovery"]["bootstrapToken"] == {
        "apiServerEndpoint": "192.0.2.1:6443",
        "token": "aaaaaa." + "a" * 16,
        "caCertHashes": [HASH],
    }
    assert server["controlPlane"] == {"certificateKey": "0" * 64}
    assert "controlPlane" not in agent
    for one in others.values():
        assert "kubeadm join" in commands(one)
        assert "/join/ca-hash" not in commands(one)


@pytest.mark.parametrize("kind", ["rke2", "kubeadm"])
def test_they_start_nothing_in_the_installers_live_system(kind: str) -> None:
    (first,) = documents(kind, State.ARMED).values()
    assert "grep -q ' netboot' /proc/cmdline" in commands(first)
