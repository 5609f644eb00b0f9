from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kairos_netboot.boot.fleet import Event, Node
from kairos_netboot.boot.lifecycle import MAX_BOOTS, Kind, State, fold
from kairos_netboot.boot.site import NodeSpec, RegistryHost, Site
from kairos_netboot.boot.tokens import BootTokens
from kairos_netboot.errors import StoreProblem, UnknownName
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.unit.boot.sample import IMAGE, MAC, PROFILE, SPEC, STRANGER
from tests.unit.store.sample import stand_in

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SITE = Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC})
TOKENS = BootTokens("a" * 32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state")
    yield opened
    opened.close()


@pytest.fixture
def armed(store: Store) -> Node:
    store.apply(SITE, NOW)
    return store.fleet().named("alpha")


def event(node: Node, kind: Kind) -> Event:
    return Event(node=node.id, at=NOW, kind=kind, text=str(kind))


def begin(store: Store, node: Node) -> Node | None:
    image = store.fleet().images.get("debian")
    if image is None:
        store.add_image(image := stand_in(store.blobs))
    return store.begin_boot(node, TOKENS, event(node, Kind.BOOT_STARTED), image)


def test_a_named_node_is_armed(armed: Node) -> None:
    assert (armed.state, armed.spec, armed.boots) == (State.ARMED, SPEC, 0)


def test_applying_twice_changes_nothing(store: Store, armed: Node) -> None:
    before = store.timeline(armed.id)
    assert store.apply(SITE, NOW) == []
    assert store.timeline(armed.id) == before


def test_the_whole_site_comes_back_as_it_was_written(store: Store, armed: Node) -> None:
    store.add_image(stand_in(store.blobs))
    fleet = store.fleet()
    assert fleet.profiles == {"server": PROFILE}
    assert fleet.images == {"debian": IMAGE}


def test_how_registries_are_reached_is_kept(store: Store) -> None:
    assert store.registries() == {}
    hosts = {
        "quay.io": RegistryHost(host="quay.io", mirrors=("mirror.example:5000", "b"), ca="/ca.pem"),
        "plain": RegistryHost(host="plain", insecure=True),
    }
    store.apply(replace(SITE, registries=hosts), NOW)
    assert store.registries() == hosts
    store.apply(SITE, NOW)
    assert store.registries() == {}


def test_a_node_taken_out_and_put_back_is_not_armed_again(store: Store, armed: Node) -> None:
    begin(store, armed)
    store.record([(event(armed, Kind.INSTALL_FINISHED), None)])
    assert "taken out" in store.apply(replace(SITE, nodes={}), NOW)[0]
    assert store.fleet().by_mac[MAC].spec is None
    assert "stays installed" in store.apply(SITE, NOW)[0]
    assert store.fleet().named("alpha").state is State.INSTALLED


def test_a_discovered_machine_that_is_named_keeps_its_history(store: Store) -> None:
    store.discover({MAC: {"firmware": "uefi"}}, NOW)
    store.apply(SITE, NOW)
    node = store.fleet().named("alpha")
    assert node.facts == {"firmware": "uefi"}
    assert [e.kind for e in store.timeline(node.id)] == [Kind.DISCOVERED, Kind.NAMED]


def test_two_cards_of_one_machine_become_one_node(store: Store) -> None:
    store.discover({MAC: {}}, NOW)
    store.discover({STRANGER: {}}, NOW)
    both = NodeSpec(name="alpha", macs=(STRANGER, MAC), profile="server")
    store.apply(replace(SITE, nodes={"alpha": both}), NOW)
    fleet = store.fleet()
    assert len(fleet.nodes) == 1
    assert fleet.by_mac[MAC] is fleet.by_mac[STRANGER]
    assert len(store.timeline(fleet.nodes[0].id)) == 3
    assert store.apply(replace(SITE, nodes={"alpha": both}), NOW) == []


def test_nodes_may_swap_names(store: Store) -> None:
    beta = NodeSpec(name="beta", macs=(STRANGER,), profile="server")
    store.apply(replace(SITE, nodes={"alpha": SPEC, "beta": beta}), NOW)
    swapped = {
        "alpha": replace(SPEC, macs=(STRANGER,)),
        "beta": replace(beta, macs=(MAC,)),
    }
    store.apply(replace(SITE, nodes=swapped), NOW)
    assert store.fleet().by_mac[MAC].name == "beta"


def test_a_boot_is_counted_and_its_document_opened(store: Store, armed: Node) -> None:
    begun = begin(store, armed)
    assert begun is not None
    assert (begun.state, begun.boots) == (State.BOOTING, 1)
    assert begun.document_key == TOKENS.document_key
    assert store.fleet().by_report_key(TOKENS.report_key) == begun


def test_an_installed_node_cannot_begin_a_boot(store: Store, armed: Node) -> None:
    begin(store, armed)
    store.record([(event(armed, Kind.INSTALL_FINISHED), None)])
    assert begin(store, armed) is None
    assert store.fleet().named("alpha").boots == 1


def test_the_brake_holds_in_the_store_too(store: Store, armed: Node) -> None:
    for _ in range(MAX_BOOTS):
        assert begin(store, armed) is not None
    assert begin(store, armed) is None
    assert store.fleet().named("alpha").boots == MAX_BOOTS


def test_a_report_told_twice_is_written_once(store: Store, armed: Node) -> None:
    begin(store, armed)
    for _ in range(2):
        store.record([(event(armed, Kind.INSTALL_STARTED), "report:started")])
    kinds = [e.kind for e in store.timeline(armed.id)]
    assert kinds.count(Kind.INSTALL_STARTED) == 1


def nodes_of(**cards: tuple[Mac, ...]) -> Site:
    specs = {n: NodeSpec(name=n, macs=macs, profile="server") for n, macs in cards.items()}
    return replace(SITE, nodes=specs)


def installed(store: Store, **cards: tuple[Mac, ...]) -> None:
    store.apply(nodes_of(**cards), NOW)
    for node in store.fleet().nodes:
        begin(store, node)
        store.record([(event(node, Kind.READY), None)])


M1, M2, M3 = (Mac(f"52:54:00:00:01:0{i}") for i in (1, 2, 3))


@pytest.mark.parametrize(
    ("before", "edits", "kept"),
    [
        ({"a": (M1,)}, [{"b": (M1, M3)}, {"a": (M1,), "b": (M3,)}], [M1]),
        ({"a": (M1,)}, [{"a": (M1,), "b": (M2,)}, {"b": (M1, M2)}], [M1, M2]),
        ({"a": (M1, M2)}, [{"a": (M1,), "c": (M2,)}], [M1, M2]),
        ({"a": (M1,)}, [{"a": (M2,)}, {"a": (M2,), "b": (M1,)}], [M1]),
        ({"a": (M1,)}, [{"a": (M1,), "b": (M2,)}, {}, {"x": (M1, M2)}], [M1, M2]),
        ({"a": (M1,)}, [{}, {"z": (M1,)}], [M1]),
    ],
    ids=["undo", "join", "split", "replaced", "put back", "renamed later"],
)
def test_no_edit_of_the_site_arms_a_card_of_an_installed_machine(
    store: Store,
    before: dict[str, tuple[Mac, ...]],
    edits: list[dict[str, tuple[Mac, ...]]],
    kept: list[Mac],
) -> None:
    installed(store, **before)
    for edit in edits:
        store.apply(nodes_of(**edit), NOW)
    fleet = store.fleet()
    for mac in kept:
        assert fleet.by_mac[mac].state in (State.INSTALLED, State.READY), mac
    for node in fleet.nodes:
        assert node.name  # and the commands can print every row
    assert store.apply(nodes_of(**edits[-1]), NOW) == []


def test_a_card_of_a_failed_machine_is_not_armed_either(store: Store) -> None:
    store.apply(nodes_of(a=(M1,)), NOW)
    (node,) = store.fleet().nodes
    begin(store, node)
    store.record([(event(node, Kind.BRAKED), None)])
    store.apply(nodes_of(a=(M2,)), NOW)
    (line,) = store.apply(nodes_of(a=(M2,), b=(M1,)), NOW)
    assert "nodes reinstall b" in line
    assert store.fleet().named("b").state is State.INSTALLED


def test_a_hand_arms_what_an_edit_would_not(store: Store) -> None:
    installed(store, a=(M1, M2))
    store.apply(nodes_of(a=(M1,), c=(M2,)), NOW)
    assert store.rearm("c", NOW).state is State.ARMED
    assert store.apply(nodes_of(a=(M1,), c=(M2,)), NOW) == []
    assert store.fleet().named("c").state is State.ARMED


def test_no_boot_begins_for_a_node_that_was_changed_a_moment_ago(store: Store, armed: Node) -> None:
    store.apply(replace(SITE, nodes={}), NOW)
    assert begin(store, armed) is None


def test_a_node_taken_out_in_mid_install_is_still_heard(store: Store, armed: Node) -> None:
    begin(store, armed)
    store.apply(replace(SITE, nodes={}), NOW)
    (node,) = store.fleet().nodes
    assert store.fleet().by_report_key(TOKENS.report_key) == node
    assert store.fleet().by_document_key(TOKENS.document_key) is None


def test_the_last_event_of_each_node_is_at_hand(store: Store, armed: Node) -> None:
    store.record([(event(armed, Kind.FILE), None)])
    assert store.last_events()[armed.id].kind is Kind.FILE


def test_a_database_that_does_not_answer_is_one_line(store: Store) -> None:
    store._engine.dispose()
    (store.directory / "state.db").write_bytes(b"damaged" * 10_000)
    with pytest.raises(StoreProblem, match="the database does not answer"):
        store.fleet()


def test_news_of_a_machine_that_became_part_of_another_is_dropped(
    store: Store, armed: Node
) -> None:
    gone = replace(armed, id=77)
    assert store.record([(event(gone, Kind.FILE), None), (event(armed, Kind.FILE), None)]) == [
        store.fleet().named("alpha")
    ]


def test_arming_again_closes_the_former_document(store: Store, armed: Node) -> None:
    begin(store, armed)
    store.record([(event(armed, Kind.INSTALL_FINISHED), None)])
    again = store.rearm("alpha", NOW)
    assert (again.state, again.boots, again.document_key) == (State.ARMED, 0, "")
    assert again.report_keys == frozenset()


def test_a_node_can_be_armed_by_its_mac_in_any_spelling(store: Store, armed: Node) -> None:
    assert store.rearm(MAC.hyphens, NOW).id == armed.id


def test_only_a_named_node_can_be_armed(store: Store) -> None:
    with pytest.raises(UnknownName, match="no node 'nobody'"):
        store.rearm("nobody", NOW)
    store.discover({STRANGER: {}}, NOW)
    with pytest.raises(UnknownName, match="nobody named"):
        store.rearm(STRANGER, NOW)


def test_machines_nobody_named_cannot_fill_the_disk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kairos_netboot.store.discovery.MAX_DISCOVERED", 2)
    assert len(store.discover({Mac(f"5254000000{i:02}"): {} for i in range(4)}, NOW)) == 2
    assert len(store.fleet().nodes) == 2


@given(st.lists(st.sampled_from([k for k in Kind if k is not Kind.NAMED]), max_size=12))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_state_is_the_fold_of_the_log(tmp_path: Path, kinds: list[Kind]) -> None:
    opened = Store(tmp_path / f"fold{abs(hash(tuple(kinds)))}")
    try:
        opened.apply(SITE, NOW)
        node = opened.fleet().named("alpha")
        opened.record([(event(node, kind), None) for kind in kinds])
        after = opened.fleet().named("alpha")
        state, boots = State.DISCOVERED, 0
        for written in opened.timeline(node.id):
            state, boots = fold(state, boots, written.kind)
        assert (after.state, after.boots) == (state, boots)
    finally:
        opened.close()


def test_another_process_notices_a_change(store: Store, tmp_path: Path) -> None:
    before = store.change_count()
    other = Store(tmp_path / "state")
    other.apply(SITE, NOW)
    other.close()
    assert store.change_count() != before


def test_the_log_is_written_ahead(store: Store) -> None:
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_file_that_is_no_database_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("this is no database, whatever its name says" * 100)
    with pytest.raises(StoreProblem, match=r"cannot open .*state\.db"):
        Store(tmp_path)
