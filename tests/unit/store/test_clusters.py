"""Places and secrets of clusters, kept; and machines that are replaced."""

from __future__ import annotations

import secrets as system_random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kairos_netboot.boot.clusters import BY_HAND, Cluster, ClusterKind, Role, seat_of, waits_for
from kairos_netboot.boot.fleet import Event, Node
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.site import NodeSpec, Site
from kairos_netboot.boot.tokens import BootTokens
from kairos_netboot.boot.unknown import Selector
from kairos_netboot.errors import InvalidValue, SiteMistake, UnknownName
from kairos_netboot.store.approval import approve
from kairos_netboot.store.clusters import reset_cluster
from kairos_netboot.store.joins import Refused, give_token, take_join
from kairos_netboot.store.replacement import replace_node
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.unit.boot.sample import IMAGE, PROFILE
from tests.unit.store.sample import stand_in

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
K3S = Cluster(name="prod", kind=ClusterKind.K3S, servers=2)
K0S = Cluster(name="prod", kind=ClusterKind.K0S, servers=2)
SPARE = "52:54:00:00:00:63"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    store.add_image(stand_in(store.blobs, IMAGE))
    yield store
    store.close()


def mac(number: int) -> Mac:
    return Mac(f"52:54:00:00:00:{number:02x}")


def spec(number: int, **changes: Any) -> NodeSpec:
    name = f"k{number}"
    return NodeSpec(
        **{"name": name, "macs": (mac(number),), "profile": "server", "cluster": "prod", **changes}
    )


def site(*specs: NodeSpec, of: Cluster | None = K3S) -> Site:
    return Site(
        images={},
        profiles={"server": PROFILE},
        nodes={spec.name: spec for spec in specs},
        clusters={of.name: of} if of else {},
    )


def places(store: Store) -> dict[str, str]:
    standings = store.fleet().standings.values()
    return {m.node: f"{m.role} {m.index}" for s in standings for m in s.members}


def secrets(store: Store) -> dict[str, str]:
    return dict(store.fleet().standings["prod"].secrets)


def tell(store: Store, name: str, *kinds: Kind) -> Node:
    node = store.fleet().named(name)
    for kind in kinds:
        store.record([(Event(node=node.id, at=NOW, kind=kind, text=kind), None)])
    return store.fleet().named(name)


def make_ready(store: Store, name: str) -> Node:
    """Installed and up."""
    tokens = BootTokens.from_random(system_random.token_bytes(16))
    node = store.fleet().named(name)
    started = Event(node=node.id, at=NOW, kind=Kind.BOOT_STARTED, text="started")
    assert store.begin_boot(node, tokens, started, store.fleet().images["debian"])
    return tell(store, name, Kind.INSTALL_FINISHED, Kind.READY)


def replaced(store: Store, old: str, new: str, *, force: bool = False) -> list[str]:
    with store.writing() as connection:
        return replace_node(connection, old, new, NOW, force=force)


def test_places_and_secrets_are_given_at_the_first_apply_and_kept(store: Store) -> None:
    lines = store.apply(site(spec(1), spec(2), spec(3)), NOW)
    assert "cluster prod: generated its token" in lines
    assert "node k1: has a place in cluster 'prod': server 0" in lines
    before = places(store), secrets(store)
    assert before[0] == {"k1": "server 0", "k2": "server 1", "k3": "agent 0"}
    assert store.apply(site(spec(1), spec(2), spec(3)), NOW) == []
    grown = store.apply(site(spec(1), spec(2), spec(3), of=replace(K3S, servers=3)), NOW)
    assert grown == ["cluster prod: changed, for nodes that are installed from now on"]
    assert (places(store), secrets(store)) == before


def test_a_node_that_leaves_frees_its_place(store: Store) -> None:
    store.apply(site(spec(1), spec(2)), NOW)
    lines = store.apply(site(spec(1, cluster=""), spec(2)), NOW)
    assert "node k1: left cluster 'prod': its place, server 0, is free" in lines
    store.apply(site(spec(2), spec(3)), NOW)
    assert places(store) == {"k2": "server 1", "k3": "server 0"}


def test_another_role_in_the_site_file_is_told_and_not_taken(store: Store) -> None:
    store.apply(site(spec(1), spec(2)), NOW)
    lines = store.apply(site(spec(1, role=Role.AGENT), spec(2)), NOW)
    assert places(store)["k1"] == "server 0"
    assert any(line.startswith("node k1: stays server of 'prod', not agent") for line in lines)


def test_a_place_goes_with_its_machine_through_a_change_of_name(store: Store) -> None:
    store.apply(site(spec(1), spec(2), spec(3)), NOW)
    make_ready(store, "k1")
    swapped = (spec(1, name="k2"), spec(2, name="k1"), spec(3, name="new"))
    store.apply(site(*swapped), NOW)
    assert places(store) == {"k2": "server 0", "k1": "server 1", "new": "agent 0"}
    assert store.fleet().standings["prod"].initialised == "k2"


def test_a_cluster_that_is_taken_out_keeps_its_secrets(store: Store) -> None:
    store.apply(site(spec(1)), NOW)
    before = secrets(store)
    lines = store.apply(site(spec(1, cluster=""), of=None), NOW)
    assert "cluster prod: removed; its secrets are kept" in lines
    store.apply(site(spec(1)), NOW)
    assert secrets(store) == before


def test_a_cluster_can_become_another_kind_only_while_none_of_it_is_there(store: Store) -> None:
    store.apply(site(spec(1)), NOW)
    before = secrets(store)
    store.apply(site(spec(1), of=replace(K3S, kind=ClusterKind.KUBEADM)), NOW)
    assert secrets(store)["token"] != before["token"]
    make_ready(store, "k1")
    with pytest.raises(SiteMistake, match="is there already, as kubeadm"):
        store.apply(site(spec(1)), NOW)
    assert store.fleet().clusters["prod"].kind is ClusterKind.KUBEADM


def test_a_cluster_is_there_when_its_first_server_was_ready(store: Store) -> None:
    store.apply(site(spec(1), spec(2)), NOW)
    assert store.fleet().standings["prod"].initialised == ""
    make_ready(store, "k1")
    assert store.fleet().standings["prod"].initialised == "k1"
    make_ready(store, "k2")
    store.rearm("k1", NOW)
    fleet = store.fleet()
    seat = seat_of(fleet, fleet.named("k1"))
    assert seat
    assert not seat.founds


def test_a_lost_cluster_is_made_anew_by_hand_and_not_beside_a_living_one(store: Store) -> None:
    store.apply(site(spec(1), spec(2)), NOW)
    make_ready(store, "k1")
    with store.writing() as connection, pytest.raises(InvalidValue, match="lives on k1"):
        reset_cluster(connection, "prod")
    store.rearm("k1", NOW)
    before = secrets(store)
    with store.writing() as connection:
        reset_cluster(connection, "prod")
    standing = store.fleet().standings["prod"]
    assert (standing.initialised, dict(standing.secrets)) == ("", before)


def test_another_machine_takes_over_name_role_and_secrets(store: Store) -> None:
    store.apply(site(spec(1), spec(2)), NOW)
    make_ready(store, "k1")
    make_ready(store, "k2")
    before = places(store), secrets(store)
    old = store.fleet().named("k1")
    lines = replaced(store, "k1", SPARE)
    assert lines[1].endswith("armed, installs when it next boots from the network")
    fleet = store.fleet()
    new = fleet.named("k1")
    assert (new.macs, new.state, new.id != old.id) == ((Mac(SPARE),), State.ARMED, True)
    assert (places(store), secrets(store)) == before
    gone = fleet.by_mac[mac(1)]
    assert (gone.spec, gone.report_keys, gone.phone_keys) == (None, frozenset(), frozenset())
    # The cluster is there: its new first server joins it.
    seat = seat_of(fleet, new)
    assert seat
    assert not seat.founds


def test_apply_with_the_old_card_keeps_a_replacement_and_says_what_to_write(store: Store) -> None:
    store.apply(site(spec(1), spec(2)), NOW)
    make_ready(store, "k1")
    replaced(store, "k1", SPARE)
    for _ in range(2):
        lines = store.apply(site(spec(1), spec(2)), NOW)
        assert lines == [
            f"node k1: its machine was replaced, and stays so: write `macs: [{SPARE}]` into the "
            "site file, which still says the old one's"
        ]
        assert store.fleet().named("k1").macs == (Mac(SPARE),)
    written = spec(1, macs=(Mac(SPARE),))
    assert store.apply(site(written, spec(2)), NOW) == []
    # Done: what the site file says counts again.
    store.apply(site(spec(1, macs=(mac(7),)), spec(2)), NOW)
    assert store.fleet().named("k1").macs == (mac(7),)


def test_a_machine_known_by_its_serial_is_replaced_for_good_too(store: Store) -> None:
    by_serial = spec(1, macs=(), serial="S1")
    store.apply(site(by_serial), NOW)
    store.discover({mac(1): {"serial": "S1"}}, NOW)
    replaced(store, "k1", SPARE)
    store.discover({mac(1): {"serial": "S1"}}, NOW)
    store.apply(site(by_serial), NOW)
    fleet = store.fleet()
    assert fleet.named("k1").macs == (Mac(SPARE),)
    assert fleet.by_mac[mac(1)].spec is None


def test_a_replaced_machine_is_never_installed_by_itself_again(store: Store) -> None:
    store.apply(site(spec(1), spec(2)), NOW)
    replaced(store, "k1", SPARE)  # it was armed
    store.apply(site(spec(1), spec(2), spec(9, macs=(mac(1),))), NOW)
    assert store.fleet().named("k9").state is State.INSTALLED


def test_a_site_file_that_names_the_new_machine_elsewhere_is_wrong(store: Store) -> None:
    store.apply(site(spec(1)), NOW)
    replaced(store, "k1", SPARE)
    with pytest.raises(SiteMistake, match="'k9' of the site file is the machine that replaced"):
        store.apply(site(spec(1), spec(9, macs=(Mac(SPARE),))), NOW)


def test_what_may_not_replace(store: Store) -> None:
    store.apply(site(spec(1), spec(2)), NOW)
    with pytest.raises(InvalidValue, match="cannot replace itself"):
        replaced(store, "k1", str(mac(1)))
    with pytest.raises(InvalidValue, match="is a node of the site file"):
        replaced(store, "k1", "k2")
    with pytest.raises(UnknownName):
        replaced(store, "k1", "nobody")
    with pytest.raises(UnknownName):
        replaced(store, "nobody", SPARE)


def test_an_installed_machine_replaces_by_force_alone(store: Store) -> None:
    store.apply(site(spec(1), spec(2)), NOW)
    make_ready(store, "k2")
    store.apply(site(spec(1)), NOW)
    with pytest.raises(InvalidValue, match="--force"):
        replaced(store, "k1", str(mac(2)))
    replaced(store, "k1", str(mac(2)), force=True)
    now = store.fleet().named("k1")
    assert (now.macs, now.state, now.boots) == ((mac(2),), State.ARMED, 0)


def told(store: Store, name: str, what: str, value: str) -> bool:
    (key,) = store.fleet().named(name).report_keys
    with store.writing() as connection:
        return take_join(connection, key, what, value, NOW)


def test_the_first_controllers_token_is_taken_once(store: Store) -> None:
    store.apply(site(spec(1), spec(2), spec(3), of=K0S), NOW)
    make_ready(store, "k1")
    assert told(store, "k1", "worker", "w" * 20)
    assert not told(store, "k1", "worker", "w" * 20)
    with pytest.raises(Refused):
        told(store, "k1", "worker", "x" * 20)
    assert secrets(store) == {"join-token-worker": "w" * 20}
    fleet = store.fleet()
    assert waits_for(fleet, fleet.named("k3")) == ""
    # Re-armed, it is another cluster's, and so another token.
    store.rearm("k1", NOW)
    make_ready(store, "k1")
    assert told(store, "k1", "worker", "x" * 20)


def test_nobody_else_tells_a_token_nor_one_that_the_kind_has_not(store: Store) -> None:
    store.apply(site(spec(1), spec(2), spec(3), of=K0S), NOW)
    make_ready(store, "k1")
    for name in ("k2", "k3"):
        make_ready(store, name)
        with pytest.raises(UnknownName, match="not a first server's"):
            told(store, name, "worker", "w" * 20)
    with pytest.raises(UnknownName, match="no join token 'ca-hash'"):
        told(store, "k1", "ca-hash", "w" * 20)
    for odd in ("", "short", "w" * 16_385, "w" * 20 + "\n", "w w" * 20, "é" * 20):
        with pytest.raises(InvalidValue):
            told(store, "k1", "worker", odd)
    assert secrets(store) == {}


def test_a_token_can_be_given_by_hand(store: Store) -> None:
    store.apply(site(spec(1), of=K0S), NOW)
    with store.writing() as connection:
        give_token(connection, "prod", "worker", "h" * 20)
        with pytest.raises(UnknownName):
            give_token(connection, "other", "worker", "h" * 20)
        with pytest.raises(InvalidValue):
            give_token(connection, "prod", "ca-hash", "h" * 20)
    standing = store.fleet().standings["prod"]
    assert standing.told_by == {"join-token-worker": BY_HAND}


def test_no_secret_is_on_a_timeline(store: Store) -> None:
    store.apply(site(spec(1), spec(2), of=K0S), NOW)
    make_ready(store, "k1")
    told(store, "k1", "worker", "w" * 20)
    events = [e.text for n in store.fleet().nodes for e in store.timeline(n.id)]
    assert "told the join token (worker) of cluster 'prod'" in events
    assert not [text for text in events if "w" * 20 in text]


def test_a_machine_that_was_approved_under_another_name_replaces_too(store: Store) -> None:
    store.apply(site(spec(1), spec(2)), NOW)
    make_ready(store, "k1")
    store.discover({Mac(SPARE): {}}, NOW)
    with store.writing() as connection:
        approve(connection, SPARE, NOW, profile="server", name="spare")
    replaced(store, "k1", "spare")
    fleet = store.fleet()
    assert fleet.named("k1").macs == (Mac(SPARE),)
    assert [node.name for node in fleet.nodes if node.spec] == ["k2", "k1"]
    store.apply(site(spec(1), spec(2)), NOW)
    assert store.fleet().named("k1").macs == (Mac(SPARE),)


def test_a_selected_machine_gets_a_place_when_it_is_named(store: Store) -> None:
    store.apply(site(spec(1)), NOW)
    profile = replace(PROFILE, cluster="prod", match=(Selector(facts={"product": "R650"}),))
    here = replace(site(spec(1)), profiles={"server": profile})
    store.apply(here, NOW)
    store.discover({Mac(SPARE): {"product": "R650"}}, NOW)
    named = store.fleet().by_mac[Mac(SPARE)].name
    assert places(store) == {"k1": "server 0", named: "server 1"}
