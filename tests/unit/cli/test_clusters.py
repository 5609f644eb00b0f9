"""`clusters` and `nodes replace` as people see them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kairos_netboot.boot.clusters import Cluster, ClusterKind
from kairos_netboot.boot.fleet import Event
from kairos_netboot.boot.lifecycle import Kind
from kairos_netboot.boot.site import NodeSpec, Site
from kairos_netboot.cli.main import app
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.unit.boot.sample import PROFILE

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
MACS = [Mac(f"52:54:00:00:00:0{number}") for number in range(1, 4)]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    fill(tmp_path, ClusterKind.K3S)
    return tmp_path


def fill(state: Path, kind: ClusterKind) -> None:
    nodes = {
        f"k{number}": NodeSpec(name=f"k{number}", macs=(mac,), profile="server", cluster="prod")
        for number, mac in enumerate(MACS[:2], 1)
    }
    clusters = {"prod": Cluster(name="prod", kind=kind)}
    store = Store(state)
    store.apply(Site(images={}, profiles={"server": PROFILE}, nodes=nodes, clusters=clusters), NOW)
    store.close()


def make_ready(state: Path, name: str) -> None:
    store = Store(state)
    node = store.fleet().named(name)
    for kind in (Kind.BOOT_STARTED, Kind.READY):
        store.record([(Event(node=node.id, at=NOW, kind=kind, text=kind), None)])
    store.close()


def run(state: Path, *words: str, typed: str = "") -> str:
    done = CliRunner().invoke(app, ["--state", str(state), *words], input=typed)
    assert done.exit_code == 0, done.output
    return done.output


def failed(state: Path, *words: str, typed: str = "") -> str:
    done = CliRunner().invoke(app, ["--state", str(state), *words], input=typed)
    assert done.exit_code == 1
    return str(done.exception)


def test_the_list_says_how_many_are_ready(state: Path) -> None:
    make_ready(state, "k1")
    assert run(state, "clusters", "list").splitlines() == [
        "NAME   KIND   SERVERS   AGENTS   READY",
        "prod   k3s    1 of 1    1        1 of 2",
    ]


def test_a_site_without_clusters_says_so(tmp_path: Path) -> None:
    assert run(tmp_path, "clusters", "list").startswith("no clusters yet")


def test_show_tells_who_waits_for_whom_and_hides_secrets(state: Path) -> None:
    lines = run(state, "clusters", "show", "prod").splitlines()
    why = "waits for k1, the first server of 'prod', to be ready"
    assert lines[4] == "NODE   ROLE       STATE   ADDRESS   WHAT"
    assert lines[5] == "k1     server 0   armed   -         -"
    assert lines[6] == f"k2     agent 0    armed   -         {why}"
    assert lines[8] == "token   ********"


def test_a_node_tells_its_place_and_whom_it_waits_for(state: Path) -> None:
    shown = run(state, "nodes", "show", "k2")
    assert "cluster   prod, agent 0" in shown
    assert "waiting   waits for k1, the first server of 'prod', to be ready" in shown


def test_secrets_are_shown_on_request_alone(state: Path) -> None:
    store = Store(state)
    token = store.fleet().standings["prod"].secrets["token"]
    store.close()
    assert token in run(state, "clusters", "show", "prod", "--secrets")
    for words in (("clusters", "list"), ("clusters", "show", "prod"), ("nodes", "show", "k1")):
        assert token not in run(state, *words)


def test_an_unknown_cluster_is_told_with_the_nearest(state: Path) -> None:
    assert "no cluster 'prd' here" in failed(state, "clusters", "show", "prd")


def test_a_join_token_is_read_from_standard_input(tmp_path: Path) -> None:
    fill(tmp_path, ClusterKind.K0S)
    run(tmp_path, "clusters", "token", "prod", "worker", typed="t" * 40 + "\n")
    assert "t" * 40 in run(tmp_path, "clusters", "show", "prod", "--secrets")
    odd = failed(tmp_path, "clusters", "token", "prod", "worker", typed="t\n")
    assert odd.startswith("no join token")


def test_a_living_cluster_is_not_reset(state: Path) -> None:
    make_ready(state, "k1")
    assert "lives on k1" in failed(state, "clusters", "reset", "prod")
    run(state, "nodes", "reinstall", "k1")
    assert "makes it anew" in run(state, "clusters", "reset", "prod")


def test_a_replacement_says_what_happens_and_what_to_write(state: Path) -> None:
    make_ready(state, "k1")
    said = run(state, "nodes", "replace", "k1", MACS[2])
    assert f"machine {MACS[0]}: replaced by {MACS[2]}" in said
    assert "armed, installs when it next boots from the network" in said
    assert "note: k1 is the only server of 'prod': it makes the cluster anew, empty" in said
    assert f"note: write `macs: [{MACS[2]}]` for k1 into the site file" in said


def test_a_machine_of_the_site_file_is_refused_with_the_way_out(state: Path) -> None:
    assert "take it out there and apply" in failed(state, "nodes", "replace", "k1", "k2")
