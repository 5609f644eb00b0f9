"""Who is what in a cluster, and who waits for whom."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.boot.clusters import (
    BY_HAND,
    Member,
    Role,
    Wish,
    address_of,
    assign,
    join_secret,
    member_of,
    seat_of,
    waits_for,
    wishes_of,
)
from kairos_netboot.boot.decide import Outcome, decide
from kairos_netboot.boot.fleet import Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.site import NodeSpec, Profile, Template
from tests.unit.boot.cluster_sample import cluster, fleet, members, node, standing

HA = cluster(servers=3)
ARMED, READY = State.ARMED, State.READY


def wishes(*names: str) -> list[Wish]:
    return [Wish(node=name) for name in names]


def shown(places: tuple[Member, ...]) -> dict[str, str]:
    return {member.node: f"{member.role} {member.index}" for member in places}


def test_the_first_nodes_are_servers_and_the_rest_agents() -> None:
    assert shown(assign(cluster(servers=2), (), wishes("a", "b", "c", "d"))) == {
        "a": "server 0",
        "b": "server 1",
        "c": "agent 0",
        "d": "agent 1",
    }


def test_a_role_that_is_said_comes_before_the_count() -> None:
    wanted = [Wish(node="a"), Wish(node="b", role=Role.SERVER), Wish(node="c", role=Role.AGENT)]
    assert shown(assign(cluster(), (), wanted)) == {"b": "server 0", "c": "agent 0", "a": "agent 1"}


def test_another_count_turns_nobody_who_has_a_place() -> None:
    before = assign(cluster(servers=1), (), wishes("a", "b", "c"))
    after = assign(cluster(servers=3), before, wishes("a", "b", "c", "d"))
    assert shown(after) == {**shown(before), "d": "server 1"}
    assert shown(assign(cluster(servers=1), after, wishes("a", "b", "c", "d"))) == shown(after)


def test_another_role_in_the_site_file_turns_nobody() -> None:
    before = assign(cluster(), (), wishes("a", "b"))
    wanted = [Wish(node="a", role=Role.AGENT), Wish(node="b", role=Role.SERVER)]
    assert assign(cluster(), before, wanted) == before


def test_a_place_that_became_free_is_given_again() -> None:
    before = assign(HA, (), wishes("a", "b", "c"))
    assert shown(assign(HA, before, wishes("b", "c", "d")))["d"] == "server 0"


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from("abcdefgh")), st.integers(1, 5)), min_size=1, max_size=12
    )
)
@example([({"a", "b"}, 1), (set(), 1), ({"b", "a"}, 2)])
def test_places_never_change_and_no_two_nodes_share_one(
    history: list[tuple[set[str], int]],
) -> None:
    places: tuple[Member, ...] = ()
    for present, servers in history:
        after = assign(cluster(servers=servers), places, wishes(*sorted(present)))
        assert {member.node for member in after} == present
        assert len({(member.role, member.index) for member in after}) == len(after)
        assert {m for m in places if m.node in present} <= set(after)
        places = after


def test_a_nodes_cluster_and_role_go_over_its_profiles() -> None:
    profile = Profile(name="p", image="", cluster="one", role=Role.AGENT)
    specs = [
        NodeSpec(name="a", profile="p"),
        NodeSpec(name="b", profile="p", cluster="two", role=Role.SERVER),
        NodeSpec(name="c", profile="other"),
    ]
    assert wishes_of(specs, {"p": profile}) == {
        "one": [Wish(node="a", role=Role.AGENT)],
        "two": [Wish(node="b", role=Role.SERVER)],
    }


def test_a_node_outside_has_no_place_and_waits_for_nobody() -> None:
    outside = node(9, "x", ARMED)
    known = fleet(outside, at=standing())
    assert member_of(known, outside) is None
    assert seat_of(known, outside) is None
    assert waits_for(known, outside) == ""


def test_the_first_server_makes_the_cluster_and_the_others_wait_for_it() -> None:
    k1, k2, k3 = node(1, "k1", ARMED), node(2, "k2", ARMED), node(3, "k3", ARMED)
    known = fleet(k1, k2, k3, of=HA, at=standing(k1="server", k2="server", k3="agent"))
    seat = seat_of(known, k1)
    assert seat
    assert seat.founds
    assert waits_for(known, k1) == ""
    for other in (k2, k3):
        why = "waits for k1, the first server of 'prod', to be ready"
        assert waits_for(known, other) == why


def test_a_machine_that_waits_is_told_to_ask_again_and_stays_armed() -> None:
    k1, k2 = node(1, "k1", State.INSTALLED), node(2, "k2", ARMED)
    known = fleet(k1, k2, at=standing(k1="server", k2="agent"))
    decision = decide(known, k2.macs[0], None, None)
    assert decision.outcome is Outcome.WAIT
    assert (
        decision.reason == "k2 is armed and waits for k1, the first server of 'prod', to be ready"
    )


@pytest.mark.parametrize("state", [s for s in State if s is not READY])
def test_waiting_ends_when_the_first_server_is_ready_and_not_before(state: State) -> None:
    k2 = node(2, "k2", ARMED)
    at = standing(k1="server", k2="agent")
    assert waits_for(fleet(node(1, "k1", state), k2, at=at), k2)
    ready = fleet(node(1, "k1", READY), k2, at=at)
    assert waits_for(ready, k2) == ""
    seat = seat_of(ready, k2)
    assert seat
    assert (seat.founds, seat.first) == (False, "192.0.2.1")


def test_the_kube_vip_address_is_where_all_but_the_founder_join() -> None:
    of = cluster(servers=3, vip="192.0.2.100")
    k1 = node(1, "k1", READY, facts={})
    k2 = node(2, "k2", ARMED)
    known = fleet(k1, k2, of=of, at=standing(k1="server", k2="server"))
    seat = seat_of(known, k2)
    assert seat
    assert (seat.first, waits_for(known, k2)) == ("192.0.2.100", "")


def test_a_server_that_told_no_address_is_waited_for_with_the_way_out() -> None:
    known = fleet(
        node(1, "k1", READY, facts={}),
        k2 := node(2, "k2", ARMED),
        at=standing(k1="server", k2="agent"),
    )
    assert waits_for(known, k2) == (
        "waits for the address of k1: it told none, so say it as its `address` "
        "or as its variable `address`"
    )


def test_a_variable_goes_over_a_reservation_and_over_what_was_told() -> None:
    told = node(1, "k1", READY)
    spec = told.spec
    assert spec
    said = replace(told, spec=replace(spec, variables={"address": "k1.example"}))
    assert [address_of(told), address_of(said)] == ["192.0.2.1", "k1.example"]


def test_a_cluster_that_was_there_is_joined_by_its_first_server_too() -> None:
    at = standing(changes={"initialised": "k1"}, k1="server", k2="server", k3="server")
    k1 = node(1, "k1", ARMED)
    known = fleet(k1, node(2, "k2", READY), node(3, "k3", READY), of=HA, at=at)
    seat = seat_of(known, k1)
    assert seat
    assert (seat.founds, seat.first) == (False, "192.0.2.2")
    assert waits_for(known, k1) == ""


def test_nobody_makes_a_cluster_anew_while_no_server_is_ready() -> None:
    at = standing(changes={"initialised": "k1"}, k1="server", k2="server")
    nodes = [node(1, "k1", ARMED), node(2, "k2", State.FAILED)]
    known = fleet(*nodes, of=HA, at=at)
    assert waits_for(known, nodes[0]) == (
        "waits for another server of 'prod' to be ready: the cluster is there already, and is "
        "joined, not made anew (if it is lost: `kairos-netboot clusters reset prod`)"
    )


def test_an_only_server_makes_its_cluster_again() -> None:
    at = standing(changes={"initialised": "k1"}, k1="server", k2="agent")
    known = fleet(k1 := node(1, "k1", ARMED), node(2, "k2", READY), at=at)
    seat = seat_of(known, k1)
    assert seat
    assert seat.founds


def test_a_server_at_work_stays_the_founder_though_a_lower_place_was_given_again() -> None:
    places = (
        Member(cluster="prod", node="k1", role=Role.SERVER, index=1),
        Member(cluster="prod", node="k9", role=Role.SERVER, index=0),
    )
    at = standing(changes={"members": places})
    k1, k9 = node(1, "k1", State.INSTALLING), node(9, "k9", ARMED)
    known = fleet(k1, k9, of=HA, at=at)
    seats = [seat_of(known, one) for one in (k1, k9)]
    assert [seat.founds for seat in seats if seat] == [True, False]
    assert waits_for(known, k9) == "waits for k1, the first server of 'prod', to be ready"


@given(st.lists(st.sampled_from(State), min_size=3, max_size=3), st.booleans())
def test_never_do_two_servers_make_one_cluster(states: list[State], is_there: bool) -> None:
    nodes = [node(i, f"k{i}", state) for i, state in enumerate(states)]
    made = {"initialised": "k0"} if is_there else {}
    at = standing(changes=made, k0="server", k1="server", k2="server")
    known = fleet(*nodes, of=HA, at=at)
    founders = [seat for one in nodes if (seat := seat_of(known, one)) and seat.founds]
    assert len(founders) == (0 if is_there else 1)


def test_p2p_nodes_wait_for_nobody() -> None:
    k2 = node(2, "k2", ARMED)
    at = standing("p2p", k1="server", k2="agent")
    assert waits_for(fleet(node(1, "k1", ARMED), k2, of=cluster("p2p"), at=at), k2) == ""


def k0s(k1: Node, k2: Node, secrets: dict[str, str], told_by: dict[str, str]) -> str:
    at = standing("k0s", changes={"secrets": secrets, "told_by": told_by}, k1="server", k2="agent")
    return waits_for(fleet(k1, k2, of=cluster("k0s"), at=at), k2)


def test_a_k0s_worker_waits_until_the_first_controller_told_a_token() -> None:
    k1, k2 = node(1, "k1", READY, report_keys=frozenset({"key"})), node(2, "k2", ARMED)
    name = join_secret("worker")
    why = "waits for k1 to report its join token (worker)"
    assert k0s(k1, k2, {}, {}) == why
    assert k0s(k1, k2, {name: "T"}, {name: "key"}) == ""
    # One of its life before leads nowhere.
    assert k0s(k1, k2, {name: "T"}, {name: "an older key"}) == why
    assert k0s(k1, k2, {name: "T"}, {name: BY_HAND}) == ""


def test_a_first_controller_that_comes_back_takes_no_token_of_its_own() -> None:
    name = join_secret("controller")
    at = standing(
        "k0s",
        changes={"initialised": "k1", "secrets": {name: "T"}, "told_by": {name: "old"}},
        k1="server",
        k2="server",
    )
    known = fleet(k1 := node(1, "k1", ARMED), node(2, "k2", READY), of=cluster("k0s"), at=at)
    assert waits_for(known, k1) == (
        "waits for a join token of another server of 'prod': "
        "`kairos-netboot clusters token prod controller` takes it"
    )


def test_kubeadm_waits_for_the_hash_where_a_template_asks_for_it() -> None:
    asks = Profile(
        name="server",
        image="debian",
        templates=(Template(name="a", text="#cloud-config\na: {{ cluster.ca_hash }}\n"),),
    )
    at = standing("kubeadm", k1="server", k2="agent")
    nodes = (node(1, "k1", READY), k2 := node(2, "k2", ARMED))
    of = cluster("kubeadm")
    assert waits_for(fleet(*nodes, of=of, at=at), k2) == ""
    waiting = waits_for(fleet(*nodes, of=of, at=at, profile=asks), k2)
    assert waiting == "waits for k1 to report its join token (ca-hash)"


def test_a_sample_counts_places_by_role() -> None:
    assert [m.index for m in members(a="server", b="agent", c="server")] == [0, 0, 1]
