"""What the documents of a cluster's members hold besides their templates."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from kairos_netboot.boot.actions import Action
from kairos_netboot.boot.clusters import BY_HAND, Cluster, Role, join_secret, seat_of
from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.site import Profile, Template
from kairos_netboot.boot.urls import Urls
from kairos_netboot.cloudconfig.cluster import cluster_variables
from kairos_netboot.cloudconfig.for_node import document_for
from kairos_netboot.cloudconfig.mask import mask
from kairos_netboot.errors import DocumentProblem
from tests.unit.boot.cluster_sample import cluster, fleet, node, standing

URLS, TOKEN = Urls("http://192.0.2.9:8080"), "f" * 32
T, KEY = "a" * 48, "a" * 43
BASE = """#cloud-config
users: [{name: kairos, groups: [admin]}]
install: {auto: true, reboot: true, device: /dev/vda}
"""


def profile(text: str = "", **variables: object) -> Profile:
    templates = (Template(name="base.yaml", text=BASE + text),)
    return Profile(name="server", image="debian", templates=templates, variables=variables)


def text_of(known: Fleet, one: Node) -> str:
    return document_for(known, one, URLS, TOKEN, Action.INSTALL).text


def added(known: Fleet, name: str) -> dict[str, Any]:
    """What is in a node's document and neither in its template nor in everybody's."""
    text = text_of(known, known.named(name))
    assert text.startswith("#cloud-config\n")
    loaded = yaml.safe_load(text)
    own = {key: loaded.pop(key) for key in ("users", "install", "config_url", "stages")}
    assert own["install"]["device"] == "/dev/vda"
    return dict(loaded)


def three(of: Cluster, *, k1: State = State.READY, text: str = "", **changes: Any) -> Fleet:
    at = standing(of.kind, changes=changes, k1="server", k2="server", a1="agent")
    nodes = (node(1, "k1", k1), node(2, "k2", State.ARMED), node(3, "a1", State.ARMED))
    return fleet(*nodes, of=of, at=at, profile=profile(text))


HA = cluster(servers=3, tls_sans=("k8s.example",), args={Role.SERVER: ("--disable=traefik",)})


def test_a_single_k3s_server_has_its_token_and_nothing_to_join() -> None:
    known = fleet(node(1, "k1", State.ARMED), at=standing(k1="server"), profile=profile())
    assert added(known, "k1") == {"k3s": {"enabled": True, "env": {"K3S_TOKEN": T}}}


def test_the_first_of_several_k3s_servers_makes_the_cluster() -> None:
    assert added(three(HA, k1=State.ARMED), "k1") == {
        "k3s": {
            "enabled": True,
            "args": ["--cluster-init", "--tls-san=k8s.example", "--disable=traefik"],
            "env": {"K3S_TOKEN": T},
        }
    }


def test_further_k3s_servers_join_it() -> None:
    assert added(three(HA), "k2") == {
        "k3s": {
            "enabled": True,
            "args": [
                "--server https://192.0.2.1:6443",
                "--tls-san=k8s.example",
                "--disable=traefik",
            ],
            "env": {"K3S_TOKEN": T},
        }
    }


def test_a_k3s_agent_has_the_address_and_the_token() -> None:
    of = cluster(servers=3, args={Role.AGENT: ("--node-label=a=b",)})
    assert added(three(of), "a1") == {
        "k3s-agent": {
            "enabled": True,
            "args": ["--node-label=a=b"],
            "env": {"K3S_URL": "https://192.0.2.1:6443", "K3S_TOKEN": T},
        }
    }


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    known = three(cluster(servers=3, vip="2001:db8::1"))
    assert added(known, "a1")["k3s-agent"]["env"]["K3S_URL"] == "https://[2001:db8::1]:6443"


def test_a_replaced_first_server_joins_and_never_makes_the_cluster_anew() -> None:
    at = standing(changes={"initialised": "k1"}, k1="server", k2="server")
    nodes = (node(1, "k1", State.ARMED), node(2, "k2", State.READY))
    args = added(fleet(*nodes, of=HA, at=at, profile=profile()), "k1")["k3s"]["args"]
    assert args[0] == "--server https://192.0.2.2:6443"
    assert "--cluster-init" not in args


def test_kube_vip_is_a_manifest_of_k3s_servers_and_its_address_is_joined() -> None:
    known = three(cluster(servers=3, vip="192.0.2.100", vip_interface="eth0"), k1=State.ARMED)
    first = added(known, "k1")
    assert first["k3s"]["args"] == ["--cluster-init", "--tls-san=192.0.2.100"]
    (file,) = first["write_files"]
    assert file["path"].startswith("/var/lib/rancher/k3s/server/manifests/")
    parts = list(yaml.safe_load_all(file["content"]))
    kinds = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "DaemonSet"]
    assert [part["kind"] for part in parts] == kinds
    (container,) = parts[3]["spec"]["template"]["spec"]["containers"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert (env["address"], env["vip_interface"], env["vip_subnet"]) == (
        "192.0.2.100",
        "eth0",
        "32",
    )
    assert container["image"] == "ghcr.io/kube-vip/kube-vip:v1.0.1"
    agent = added(known, "a1")
    assert agent["k3s-agent"]["env"]["K3S_URL"] == "https://192.0.2.100:6443"
    assert "write_files" not in agent


def test_kube_vips_image_is_a_variable_and_must_be_one() -> None:
    of, at = cluster(vip="192.0.2.100"), standing(k1="server")
    k1 = node(1, "k1", State.ARMED)
    known = fleet(k1, of=of, at=at, profile=profile(kube_vip_image="mirror.lan/kube-vip:v1"))
    assert 'image: "mirror.lan/kube-vip:v1"' in added(known, "k1")["write_files"][0]["content"]
    wrong = fleet(k1, of=of, at=at, profile=profile(kube_vip_image="a b"))
    with pytest.raises(DocumentProblem, match="kube_vip_image"):
        text_of(wrong, k1)


def test_a_p2p_node_has_the_networks_token_and_agrees_on_its_role() -> None:
    known = three(cluster("p2p", servers=3, network_id="edge"), k1=State.ARMED)
    for name in ("k1", "a1"):
        ours = added(known, name)
        token = ours["p2p"].pop("network_token")
        assert token == known.standings["prod"].secrets["network-token"]
        assert ours == {
            "p2p": {
                "network_id": "edge",
                "minimum_nodes": 3,
                "vpn": {"create": True, "use": True},
                "auto": {"enable": True, "ha": {"enable": True, "master_nodes": 2}},
            },
            "k3s": {"enabled": True},
        }


def test_p2p_roles_of_ours_are_said_and_auto_stays_on() -> None:
    known = three(cluster("p2p", servers=2, auto=False, vpn=False), k1=State.ARMED)
    roles = {}
    for name in ("k1", "k2", "a1"):
        ours = added(known, name)
        roles[name] = ours["p2p"]["role"]
        assert ours["p2p"]["auto"] == {"enable": True}
        assert ours["p2p"]["vpn"] == {"create": False, "use": False}
        assert ("k3s-agent" in ours) is (name == "a1")
    assert roles == {"k1": "master/clusterinit", "k2": "master/ha", "a1": "worker"}


def test_p2p_has_kairos_own_kube_vip() -> None:
    known = three(cluster("p2p", vip="192.0.2.100", vip_interface="eth1"), k1=State.ARMED)
    ours = added(known, "k1")
    assert ours["kubevip"] == {"eip": "192.0.2.100", "interface": "eth1"}
    assert "write_files" not in ours


K0S = cluster("k0s", servers=2)
TOLD = {join_secret("worker"): "W" * 40, join_secret("controller"): "C" * 40}


def test_the_first_k0s_controller_reports_tokens() -> None:
    known = three(K0S, k1=State.ARMED)
    assert added(known, "k1") == {"k0s": {"enabled": True}}
    stages = yaml.safe_load(text_of(known, known.named("k1")))["stages"]["network"]
    assert any("k0s token create" in command for s in stages for command in s["commands"])
    assert "k0s token create" not in text_of(
        three(K0S, secrets=TOLD, told_by=dict.fromkeys(TOLD, BY_HAND)), known.named("k2")
    )


def test_further_controllers_and_workers_have_their_tokens_in_a_file() -> None:
    known = three(K0S, secrets=TOLD)
    for name, block, token in (("k2", "k0s", "C" * 40), ("a1", "k0s-worker", "W" * 40)):
        assert added(known, name) == {
            block: {"enabled": True, "args": ["--token-file /etc/k0s/token"]},
            "write_files": [
                {"path": "/etc/k0s/token", "permissions": "0600", "content": token},
            ],
        }


def test_a_member_that_nobody_told_how_to_join_gets_no_document() -> None:
    known = three(K0S)
    with pytest.raises(DocumentProblem, match=r"no join token \(worker\)"):
        text_of(known, known.named("a1"))
    lost = three(HA, k1=State.ARMED)
    with pytest.raises(DocumentProblem, match="no server of cluster 'prod' has told an address"):
        text_of(lost, lost.named("a1"))


@pytest.mark.parametrize("kind", ["rke2", "kubeadm"])
def test_rke2_and_kubeadm_are_left_to_templates(kind: str) -> None:
    text = "write_files: [{path: /a, content: '{{ cluster.token }} {{ cluster.first }}'}]\n"
    known = three(cluster(kind, servers=3), text=text)
    token = known.standings["prod"].secrets["token"]
    file = {"path": "/a", "content": f"{token} 192.0.2.1"}
    assert added(known, "a1") == {"write_files": [file]}


def test_a_templates_own_scalars_win_and_its_lists_are_joined() -> None:
    text = "k3s: {enabled: false, args: [--debug], env: {GODEBUG: x}}\n"
    ours = added(three(HA, text=text), "k2")["k3s"]
    assert ours["enabled"] is False
    assert ours["args"][-1] == "--debug"
    assert ours["env"] == {"GODEBUG": "x", "K3S_TOKEN": T}


def test_no_template_wins_over_a_secret() -> None:
    ours = added(three(HA, text="k3s: {env: {K3S_TOKEN: theirs}}\n"), "k2")
    assert ours["k3s"]["env"] == {"K3S_TOKEN": T}


def test_a_servers_block_in_everybodys_template_does_not_make_agents_servers() -> None:
    ours = added(three(HA, text="k3s: {enabled: true, args: [--debug]}\n"), "a1")
    assert ours["k3s"]["enabled"] is False
    assert ours["k3s-agent"]["enabled"] is True


def test_templates_know_the_cluster_and_whether_there_is_one() -> None:
    text = "env: {A: '{{ cluster.name if cluster else 'none' }}'}\n"
    known = three(HA, text=text)
    assert added(known, "a1")["env"] == {"A": "prod"}
    outside = node(9, "x", State.ARMED)
    assert yaml.safe_load(text_of(known.with_node(outside), outside))["env"] == {"A": "none"}


@pytest.mark.parametrize("kind", ["k3s", "p2p", "k0s", "rke2", "kubeadm"])
def test_no_secret_is_in_a_document_of_a_node_outside(kind: str) -> None:
    secrets = {**standing(kind).secrets, **TOLD}
    known = three(cluster(kind), secrets=secrets)
    outside = node(9, "x", State.ARMED)
    text = text_of(known.with_node(outside), outside)
    assert not [value for value in secrets.values() if value in text]


@pytest.mark.parametrize("kind", ["k3s", "p2p", "k0s", "kubeadm"])
def test_explain_shows_none_of_a_members_secrets(kind: str) -> None:
    made = standing(kind).secrets
    secrets = {**made, **TOLD} if kind == "k0s" else dict(made)
    words = "{{ cluster.token }} {{ cluster.certificate_key }} {{ cluster.network_token }}"
    known = three(cluster(kind, servers=2), text=f"env: {{ODD: '{words}'}}\n", secrets=secrets)
    one = known.named("k2")
    variables = {"cluster": cluster_variables(seat_of(known, one), URLS.report(TOKEN))}
    shown = mask(text_of(known, one), variables)
    assert not [value for value in secrets.values() if value in shown]


def test_the_shell_of_the_join_hook_is_one() -> None:
    known = three(K0S, k1=State.ARMED)
    stages = yaml.safe_load(text_of(known, known.named("k1")))["stages"]["network"]
    for entry in stages:
        for command in entry["commands"]:
            subprocess.run(["sh", "-n", "-c", command], check=True)
            assert "{{" not in command
