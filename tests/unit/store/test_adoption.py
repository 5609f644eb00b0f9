"""Machines that nobody named, in a real database: who gets which name, and who is armed."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kairos_netboot.boot.actions import Action
from kairos_netboot.boot.clusters import Cluster, ClusterKind, Role
from kairos_netboot.boot.fleet import Event, Node
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.site import NodeSpec, Origin, Profile, Site
from kairos_netboot.boot.unknown import Selector, Unknown
from kairos_netboot.errors import InvalidValue, SiteMistake, UnknownName
from kairos_netboot.store import adoption
from kairos_netboot.store.approval import approve, deny, forget, import_machines
from kairos_netboot.store.orders import order_wipe
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ONE, TWO, THREE = (Mac(f"52:54:00:00:00:0{i}") for i in (1, 2, 3))
UUID = "4c4c4544-0042-3510-8052-b4c04f4e4d31"
TURNED = "44454c4c-4200-1035-8052-b4c04f4e4d31"
DELL = {"manufacturer": "Dell Inc."}
RACK = Profile(
    name="rack",
    image="debian",
    match=(Selector(facts={"manufacturer": "Dell*"}),),
    hostname="r7-{{ index }}",
)
PLAIN = Profile(name="plain", image="debian")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state")
    yield opened
    opened.close()


def apply(
    store: Store,
    *profiles: Profile,
    unknown: Unknown | None = None,
    nodes: Mapping[str, NodeSpec] | None = None,
) -> list[str]:
    made = {profile.name: profile for profile in profiles}
    site = Site(images={}, profiles=made, nodes=nodes or {}, unknown=unknown or Unknown())
    return store.apply(site, NOW)


def asks(store: Store, mac: Mac, **facts: str) -> Node:
    (node,) = store.discover({mac: facts}, NOW)
    return node


def texts(store: Store, mac: Mac) -> list[str]:
    return [event.text for event in store.timeline(store.fleet().by_mac[mac].id)]


def tell(store: Store, mac: Mac, *kinds: Kind) -> None:
    node = store.fleet().by_mac[mac].id
    store.record([(Event(node=node, at=NOW, kind=kind, text=kind), None) for kind in kinds])


def installed(store: Store, mac: Mac) -> None:
    tell(store, mac, Kind.BOOT_STARTED, Kind.INSTALL_STARTED, Kind.INSTALL_FINISHED)


def named(store: Store, mac: Mac) -> tuple[str, State]:
    node = store.fleet().by_mac[mac]
    return node.name, node.state


# Selectors


def test_a_machine_that_a_selector_fits_is_named_and_armed_when_it_asks(store: Store) -> None:
    apply(store, RACK)
    node = asks(store, ONE, **DELL)
    assert (node.name, node.state) == ("r7-1", State.ARMED)
    assert node.spec is not None
    assert node.spec.origin is Origin.SELECTED
    assert texts(store, ONE)[-1] == (
        "profile 'rack' fits (manufacturer is 'Dell Inc.' (wanted 'Dell*')): named, profile "
        "'rack': armed, installs when it next boots from the network"
    )


def test_a_machine_that_no_selector_fits_is_recorded_only(store: Store) -> None:
    apply(store, RACK)
    assert asks(store, ONE, manufacturer="HP").spec is None


def test_what_is_told_later_names_it_then(store: Store) -> None:
    apply(store, RACK)
    assert asks(store, ONE, firmware="uefi").spec is None
    assert asks(store, ONE, **DELL).name == "r7-1"


def test_machines_that_asked_before_are_named_when_the_site_is_applied(store: Store) -> None:
    asks(store, ONE, **DELL)
    lines = apply(store, RACK)
    assert lines[-1].startswith("node r7-1: profile 'rack' fits")
    assert apply(store, RACK) == []


def test_a_profile_that_destroys_nothing_arms_nobody(store: Store) -> None:
    apply(store, replace(RACK, action=Action.LOCAL))
    assert asks(store, ONE, **DELL).state is State.IDLE


def test_the_networks_word_may_be_a_profile(store: Store) -> None:
    word = Unknown(networks={IPv4Network("10.1.0.0/16"): "plain"})
    apply(store, PLAIN, unknown=word)
    assert asks(store, ONE, network="10.1.0.1").name == "node-525400000001"
    assert asks(store, TWO, network="10.2.0.1").spec is None


def test_a_vendor_is_read_from_the_registry(store: Store) -> None:
    apply(store, replace(RACK, match=(Selector(facts={"vendor": "Intel*"}),)))
    assert asks(store, Mac("00:1b:21:00:00:01")).name == "r7-1"
    assert asks(store, TWO).spec is None


def test_where_approval_is_asked_for_nobody_is_named_by_itself(store: Store) -> None:
    apply(store, RACK, unknown=Unknown(approval=True))
    assert asks(store, ONE, **DELL).spec is None


def test_a_card_that_was_installed_is_never_armed(store: Store) -> None:
    apply(store, RACK)
    asks(store, ONE, **DELL)
    installed(store, ONE)
    with store.writing() as connection:
        forget(connection, "r7-1")
    assert named_after(store, ONE) == ("r7-1", State.INSTALLED)
    assert "boots its disk" in texts(store, ONE)[-1]


def named_after(store: Store, mac: Mac) -> tuple[str, State]:
    asks(store, mac, **DELL)
    return named(store, mac)


def test_one_that_was_handed_an_installer_is_not_handed_another_after_forgetting(
    store: Store,
) -> None:
    apply(store, RACK)
    asks(store, ONE, **DELL)
    tell(store, ONE, Kind.BOOT_STARTED)
    with store.writing() as connection:
        forget(connection, "r7-1")
    assert named_after(store, ONE) == ("r7-1", State.INSTALLED)


def test_another_card_of_a_known_machine_is_not_named_by_itself(store: Store) -> None:
    apply(store, RACK)
    asks(store, ONE, uuid=UUID, **DELL)
    assert asks(store, TWO, uuid=TURNED, **DELL).spec is None
    asks(store, TWO, uuid=TURNED, product="x", **DELL)
    told = [text for text in texts(store, TWO) if "tells the UUID of r7-1" in text]
    assert len(told) == 1


def test_another_card_of_a_machine_that_was_taken_out_is_not_named_either(store: Store) -> None:
    alpha = {"alpha": NodeSpec(name="alpha", macs=(ONE,), profile="rack")}
    apply(store, RACK, nodes=alpha)
    asks(store, ONE, uuid=UUID)
    installed(store, ONE)
    apply(store, RACK)
    assert asks(store, TWO, uuid=UUID, **DELL).spec is None


def test_a_machine_that_was_taken_out_of_the_site_only_comes_back_by_hand(store: Store) -> None:
    alpha = {"alpha": NodeSpec(name="alpha", macs=(ONE,), profile="rack")}
    apply(store, RACK, nodes=alpha)
    apply(store, RACK)
    assert asks(store, ONE, **DELL).spec is None


def test_there_is_an_end_to_machines_that_name_themselves(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "MAX_ADOPTED", 2)
    apply(store, RACK)
    for mac in (ONE, TWO, THREE):
        asks(store, mac, **DELL)
    assert [named(store, mac)[1] for mac in (ONE, TWO)] == [State.ARMED] * 2
    assert named(store, THREE)[1] is State.DISCOVERED


# Names


def test_a_machine_that_comes_back_has_its_name_and_nobody_else_gets_it(store: Store) -> None:
    apply(store, RACK)
    asks(store, ONE, **DELL)
    with store.writing() as connection:
        forget(connection, "r7-1")
    assert asks(store, TWO, **DELL).name == "r7-2"
    assert asks(store, ONE, **DELL).name == "r7-1"


def test_names_of_the_site_file_are_taken(store: Store) -> None:
    site = {"r7-1": NodeSpec(name="r7-1", macs=(TWO,), profile="rack")}
    apply(store, RACK, nodes=site)
    assert asks(store, ONE, **DELL).name == "r7-2"


def test_patterns_use_facts_and_variables(store: Store) -> None:
    pattern = "{{ site }}-{{ product }}-{{ mac }}"
    apply(store, replace(RACK, hostname=pattern, variables={"site": "ber"}))
    assert asks(store, ONE, product="R 650", **DELL).name == "ber-r-650-525400000001"


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("only{{ '' }}", "'only', which another machine has"),
        ("{{ rack }}-{{ index }}", "'rack' is undefined"),
        ("{{ manufacturer }}.{{ index }}." + "x" * 64, "no host name"),
    ],
)
def test_a_pattern_that_gives_no_name_is_told_on_the_timeline(
    store: Store, pattern: str, told: str
) -> None:
    apply(store, replace(RACK, hostname=pattern))
    for mac in (ONE, TWO):
        asks(store, mac, **DELL)
    assert store.fleet().by_mac[TWO].spec is None
    assert told in texts(store, TWO)[-1]


# Nodes known by what their firmware says


def test_a_node_known_by_its_uuid_gets_its_machines_card(store: Store) -> None:
    alpha = {"alpha": NodeSpec(name="alpha", profile="plain", uuid=UUID)}
    apply(store, PLAIN, nodes=alpha)
    node = asks(store, ONE, uuid=TURNED)
    assert (node.name, node.macs, node.state) == ("alpha", (ONE,), State.ARMED)
    assert len(store.fleet().nodes) == 1
    assert "it is the machine 52:54:00:00:00:01, by its uuid" in texts(store, ONE)[-1]
    assert apply(store, PLAIN, nodes=alpha) == []
    assert store.fleet().by_mac[ONE].name == "alpha"


def test_a_settled_card_does_not_become_an_armed_node_by_its_serial(store: Store) -> None:
    apply(store, PLAIN, nodes={"old": NodeSpec(name="old", macs=(ONE,), profile="plain")})
    installed(store, ONE)
    apply(store, PLAIN)
    with store.writing() as connection:
        forget(connection, ONE)
    apply(store, PLAIN, nodes={"alpha": NodeSpec(name="alpha", profile="plain", serial="7XK2")})
    node = asks(store, ONE, serial="7xk2")
    assert (node.name, node.state) == ("alpha", State.INSTALLED)


def test_two_machines_with_one_serial_are_nobodys(store: Store) -> None:
    for mac in (ONE, TWO):
        asks(store, mac, serial="None")
    spec = NodeSpec(name="alpha", profile="plain", serial="None")
    lines = apply(store, PLAIN, nodes={"alpha": spec})
    assert any("several machines tell its serial None" in line for line in lines)
    asks(store, ONE, product="x")
    assert "say by MAC which one it is" in texts(store, ONE)[-1]
    assert store.fleet().named("alpha").macs == ()


def test_a_second_machine_with_the_uuid_of_a_node_stays_nobodys(store: Store) -> None:
    spec = NodeSpec(name="alpha", profile="plain", uuid=UUID)
    apply(store, PLAIN, nodes={"alpha": spec})
    asks(store, ONE, uuid=UUID)
    assert asks(store, TWO, uuid=UUID).spec is None
    assert store.fleet().named("alpha").macs == (ONE,)


def test_a_named_node_without_a_profile_waits_for_facts(store: Store) -> None:
    spec = {"alpha": NodeSpec(name="alpha", macs=(ONE,))}
    lines = apply(store, RACK, nodes=spec)
    assert lines[-1].endswith("selectors choose its profile when it tells what they ask for")
    assert named(store, ONE) == ("alpha", State.DISCOVERED)
    assert apply(store, RACK, nodes=spec) == []
    node = asks(store, ONE, **DELL)
    assert (node.name, node.state) == ("alpha", State.ARMED)
    assert node.spec is not None
    assert (node.spec.profile, node.spec.origin) == ("rack", Origin.SITE)
    assert apply(store, RACK, nodes=spec) == []


def test_a_node_by_uuid_without_a_profile_gets_card_and_profile_at_once(store: Store) -> None:
    apply(store, RACK, nodes={"alpha": NodeSpec(name="alpha", uuid=UUID)})
    assert asks(store, ONE, uuid=UUID).state is State.DISCOVERED
    node = asks(store, ONE, **DELL)
    assert (node.name, node.state) == ("alpha", State.ARMED)


# The site file and adopted machines


def test_adopted_machines_stay_through_apply(store: Store) -> None:
    apply(store, RACK)
    asks(store, ONE, **DELL)
    assert apply(store, RACK) == []
    assert named(store, ONE) == ("r7-1", State.ARMED)


def test_the_site_files_word_on_an_adopted_machine_counts(store: Store) -> None:
    apply(store, RACK)
    asks(store, ONE, **DELL)
    alpha = {"alpha": NodeSpec(name="alpha", macs=(ONE,), profile="rack")}
    apply(store, RACK, nodes=alpha)
    assert named(store, ONE) == ("alpha", State.ARMED)
    assert [node.name for node in store.fleet().nodes] == ["alpha"]


def test_a_name_of_an_adopted_machine_is_not_given_to_another_by_the_site(store: Store) -> None:
    apply(store, RACK)
    asks(store, ONE, **DELL)
    with pytest.raises(SiteMistake, match="nodes forget r7-1") as mistake:
        apply(store, RACK, nodes={"r7-1": NodeSpec(name="r7-1", macs=(TWO,), profile="rack")})
    assert ONE in str(mistake.value)
    assert named(store, ONE) == ("r7-1", State.ARMED)


def test_a_node_that_is_taken_out_before_its_machine_was_seen_leaves_nothing(store: Store) -> None:
    apply(store, PLAIN, nodes={"alpha": NodeSpec(name="alpha", profile="plain", uuid=UUID)})
    assert apply(store, PLAIN) == ["node alpha: taken out of the site, before its machine was seen"]
    assert store.fleet().nodes == ()


def test_an_imported_machine_that_was_not_seen_may_become_the_sites(store: Store) -> None:
    apply(store, PLAIN)
    spec = NodeSpec(name="db", profile="plain", serial="7XK2", origin=Origin.APPROVED)
    with store.writing() as connection:
        import_machines(connection, lambda fleet: [spec], NOW)
    apply(store, PLAIN, nodes={"db": replace(spec, origin=Origin.SITE)})
    (node,) = store.fleet().nodes
    assert node.spec is not None
    assert node.spec.origin is Origin.SITE
    assert asks(store, ONE, serial="7XK2").name == "db"


# By hand


def test_an_approved_machine_is_named_and_armed(store: Store) -> None:
    apply(store, RACK, PLAIN, unknown=Unknown(approval=True))
    asks(store, ONE, **DELL)
    with store.writing() as connection:
        approve(connection, ONE, NOW)
    node = store.fleet().by_mac[ONE]
    assert (node.name, node.state) == ("r7-1", State.ARMED)
    assert node.spec is not None
    assert node.spec.origin is Origin.APPROVED


def test_profile_name_and_labels_may_be_said(store: Store) -> None:
    apply(store, RACK, PLAIN)
    asks(store, ONE)
    with store.writing() as connection:
        approve(connection, "5254", NOW, profile="plain", name="web", labels={"rack": "r7"})
    node = store.fleet().named("web")
    assert node.spec is not None
    assert (node.spec.profile, node.spec.labels) == ("plain", {"rack": "r7"})


def test_labels_choose_profiles_and_names(store: Store) -> None:
    by_rack = replace(
        RACK, match=(Selector(labels={"rack": "*"}),), hostname="{{ rack }}-{{ index }}"
    )
    apply(store, by_rack)
    asks(store, ONE)
    with store.writing() as connection:
        approve(connection, ONE, NOW, labels={"rack": "R12"})
    assert named(store, ONE) == ("r12-1", State.ARMED)


@pytest.mark.parametrize(
    ("said", "mistake"),
    [
        ({"profile": "rak"}, "nearest: 'rack'"),
        ({}, "no selector fits 52:54:00:00:00:01: say --profile"),
        ({"profile": "plain", "name": "No_Name"}, "is no host name"),
        ({"profile": "plain", "name": "r7-1"}, "another machine is 'r7-1'"),
    ],
)
def test_what_cannot_be_approved_so_is_said(
    store: Store, said: dict[str, str], mistake: str
) -> None:
    apply(store, RACK, PLAIN)
    asks(store, ONE)
    asks(store, TWO, **DELL)
    with (
        pytest.raises((UnknownName, InvalidValue), match=mistake),
        store.writing() as connection,
    ):
        approve(connection, ONE, NOW, profile=said.get("profile", ""), name=said.get("name", ""))


def test_machines_are_found_by_what_begins_their_names(store: Store) -> None:
    apply(store, PLAIN)
    asks(store, ONE, serial="7XK2")
    asks(store, TWO, serial="8XK2")
    for known in (ONE, ONE.upper(), f"#{store.fleet().by_mac[ONE].id}", "7xk", "525400000001"):
        with store.writing() as connection:
            assert deny(connection, known, NOW).macs == (ONE,)
    for unknown, mistake in (("525400", "beginning of 2 machines"), ("nobody", "no machine")):
        with pytest.raises(UnknownName, match=mistake), store.writing() as connection:
            deny(connection, unknown, NOW)


def test_a_denied_machine_gets_nothing_until_it_is_approved(store: Store) -> None:
    asks(store, ONE, **DELL)
    with store.writing() as connection:
        assert deny(connection, ONE, NOW).denied
    apply(store, RACK)
    assert asks(store, ONE, product="x").spec is None
    with store.writing() as connection:
        approve(connection, ONE, NOW)
    assert named(store, ONE) == ("r7-1", State.ARMED)
    assert not store.fleet().by_mac[ONE].denied


def test_a_machine_that_was_to_be_wiped_is_not_after_it_was_denied(store: Store) -> None:
    apply(store, RACK)
    asks(store, ONE, **DELL)
    with store.writing() as connection:
        order_wipe(connection, ONE, ("/dev/sda",), NOW)
        assert deny(connection, ONE, NOW).state is State.IDLE
        approve(connection, ONE, NOW)
    assert named(store, ONE) == ("r7-1", State.IDLE)


def test_a_denied_machine_is_not_a_named_node_by_its_uuid(store: Store) -> None:
    asks(store, ONE, uuid=UUID)
    with store.writing() as connection:
        deny(connection, ONE, NOW)
    apply(store, PLAIN, nodes={"alpha": NodeSpec(name="alpha", profile="plain", uuid=UUID)})
    assert asks(store, ONE, product="x").spec is None


def test_a_named_machine_needs_no_approval(store: Store) -> None:
    apply(store, RACK)
    asks(store, ONE, **DELL)
    with pytest.raises(InvalidValue, match="named already"), store.writing() as connection:
        approve(connection, ONE, NOW)


def test_the_site_files_nodes_are_not_forgotten(store: Store) -> None:
    apply(store, PLAIN, nodes={"alpha": NodeSpec(name="alpha", macs=(ONE,), profile="plain")})
    with pytest.raises(InvalidValue, match="is in the site file"), store.writing() as connection:
        forget(connection, "alpha")


def test_a_table_names_machines_that_are_not_here_yet(store: Store) -> None:
    apply(store, RACK)
    specs = [
        NodeSpec(name="web", macs=(ONE,), profile="rack", origin=Origin.APPROVED),
        NodeSpec(name="", macs=(TWO,), profile="rack", origin=Origin.APPROVED),
        NodeSpec(name="db", uuid=UUID, origin=Origin.APPROVED),
    ]
    with store.writing() as connection:
        import_machines(connection, lambda fleet: specs, NOW)
    assert named(store, ONE) == ("web", State.ARMED)
    assert named(store, TWO) == ("r7-1", State.ARMED)
    assert store.fleet().named("db").state is State.DISCOVERED
    assert asks(store, THREE, uuid=UUID, **DELL).name == "db"
    with store.writing() as connection:
        assert import_machines(connection, lambda fleet: specs[:2], NOW) == []


def test_a_machine_that_is_named_has_its_place_in_its_profiles_cluster(store: Store) -> None:
    k3s = Cluster(name="edge", kind=ClusterKind.K3S)
    profile = replace(RACK, cluster="edge")
    site = Site(images={}, profiles={"rack": profile}, nodes={}, clusters={"edge": k3s})
    store.apply(site, NOW)
    asks(store, ONE, **DELL)
    asks(store, TWO)
    with store.writing() as connection:
        lines = approve(connection, TWO, NOW, profile="rack")
    assert lines[-1] == "node r7-2: has a place in cluster 'edge': agent 0"
    members = store.fleet().standings["edge"].members
    assert {member.node: member.role for member in members} == {
        "r7-1": Role.SERVER,
        "r7-2": Role.AGENT,
    }


# Whatever happens in whichever order

_CARDS = (ONE, TWO, THREE)
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["asks", "tells", "installs", "forget", "deny", "approve", "apply"]),
        st.sampled_from(_CARDS),
    ),
    max_size=14,
)


@settings(max_examples=20, deadline=None)
@given(_STEPS)
def test_no_order_of_arrivals_gives_a_name_twice_or_arms_a_settled_card(
    steps: list[tuple[str, Mac]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "state")
        try:
            _play(store, steps)
        finally:
            store.close()


def _play(store: Store, steps: list[tuple[str, Mac]]) -> None:
    apply(store, RACK)
    owners: dict[str, Mac] = {}
    settled: set[Mac] = set()
    for step, mac in itertools.chain(steps, [("asks", mac) for mac in _CARDS]):
        node = store.fleet().by_mac.get(mac)
        _step(store, step, mac, node)
        if step == "installs" and node is not None and node.spec is not None:
            settled.add(mac)
        for one in store.fleet().nodes:
            if one.spec is not None:
                assert owners.setdefault(one.name, one.macs[0]) == one.macs[0]
            assert not (settled & set(one.macs) and one.state is State.ARMED)


def _step(store: Store, step: str, mac: Mac, node: Node | None) -> None:
    match step:
        case "asks":
            asks(store, mac, firmware="uefi")
        case "tells":
            asks(store, mac, **DELL)
        case "apply":
            apply(store, RACK)
        case "installs" if node is not None and node.spec is not None:
            installed(store, mac)
        case "forget" if node is not None:
            with store.writing() as connection:
                forget(connection, mac)
        case "deny" if node is not None:
            with store.writing() as connection:
                deny(connection, mac, NOW)
        case "approve" if node is not None and (node.spec is None or node.denied):
            with store.writing() as connection:
                approve(connection, mac, NOW, profile="rack")
