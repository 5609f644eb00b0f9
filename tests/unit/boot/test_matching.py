from __future__ import annotations

from kairos_netboot.boot.changes import node_change, profile_changes
from kairos_netboot.boot.fleet import Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.matching import Match, Matching, match_nodes
from kairos_netboot.boot.site import NodeSpec
from kairos_netboot.values import Mac
from tests.unit.boot.sample import PROFILE

ONE, TWO, THREE = (Mac(f"52:54:00:00:00:0{i}") for i in (1, 2, 3))


def spec(name: str, *macs: Mac) -> NodeSpec:
    return NodeSpec(name=name, macs=macs, profile="server")


def known(id: int, name: str, *macs: Mac, state: State = State.READY) -> Node:
    return Node(id=id, macs=macs, state=state, spec=spec(name, *macs) if name else None)


def match(nodes: list[Node], *specs: NodeSpec) -> Matching:
    return match_nodes(tuple(nodes), {one.name: one for one in specs})


def ids(matching: Matching) -> dict[str, int | None]:
    return {m.spec.name: m.node.id if m.node else None for m in matching.matches}


def test_a_machine_never_seen_is_new() -> None:
    assert ids(match([], spec("alpha", ONE))) == {"alpha": None}


def test_a_machine_is_known_by_its_card_through_a_change_of_name() -> None:
    matching = match([known(1, "alpha", ONE)], spec("beta", ONE))
    assert ids(matching) == {"beta": 1}
    assert matching.removed == ()


def test_two_machines_may_swap_names() -> None:
    nodes = [known(1, "alpha", ONE), known(2, "beta", TWO)]
    assert ids(match(nodes, spec("alpha", TWO), spec("beta", ONE))) == {"alpha": 2, "beta": 1}


def test_a_new_card_under_an_old_name_is_the_old_node() -> None:
    assert ids(match([known(1, "alpha", ONE)], spec("alpha", TWO))) == {"alpha": 1}


def test_an_old_name_does_not_take_a_machine_that_another_card_claims() -> None:
    nodes = [known(1, "alpha", ONE)]
    matching = match(nodes, spec("alpha", TWO), spec("beta", ONE))
    assert ids(matching) == {"alpha": None, "beta": 1}


def test_a_machine_split_in_two_goes_on_as_the_one_with_its_name() -> None:
    matching = match([known(1, "alpha", ONE, TWO)], spec("beta", TWO), spec("alpha", ONE))
    assert ids(matching) == {"alpha": 1, "beta": None}


def test_cards_seen_one_by_one_become_one_machine() -> None:
    seen = [known(i, "", mac, state=State.DISCOVERED) for i, mac in ((1, ONE), (2, TWO))]
    (found,) = match(seen, spec("alpha", ONE, TWO)).matches
    assert found.node is not None
    assert (found.node.id, [n.id for n in found.absorbed]) == (1, [2])


def test_an_installed_machine_is_chosen_before_a_card_merely_seen() -> None:
    nodes = [known(1, "", ONE, state=State.DISCOVERED), known(2, "old", TWO)]
    assert ids(match(nodes, spec("alpha", ONE, TWO))) == {"alpha": 2}


def test_a_name_taken_out_is_removed_and_can_come_back_with_its_state() -> None:
    assert [n.id for n in match([known(1, "alpha", ONE)]).removed] == [1]
    forgotten = known(1, "", ONE)
    assert ids(match([forgotten], spec("alpha", ONE))) == {"alpha": 1}
    back = Match(spec=spec("alpha", ONE), node=forgotten)
    assert node_change(back) == "named again, profile 'server': stays ready"


def test_changes_are_told_in_sentences() -> None:
    node = known(1, "alpha", ONE)
    same, moved = spec("alpha", ONE), spec("alpha", TWO)
    assert node_change(Match(spec=same, node=node)) == ""
    assert node_change(Match(spec=moved, node=node)) == (
        "macs changed: stays ready; if it is another machine now: "
        "`kairos-netboot nodes reinstall alpha`"
    )
    assert node_change(Match(spec=spec("alpha", ONE, THREE), node=node)) == (
        "macs changed: stays ready"
    )
    assert "armed" in node_change(Match(spec=same, node=None))


def test_profiles_added_changed_and_removed_are_told() -> None:
    from dataclasses import replace

    old = {"a": replace(PROFILE, name="a"), "b": replace(PROFILE, name="b")}
    new = {"b": replace(PROFILE, name="b", kernel_args=("quiet",)), "c": PROFILE}
    assert profile_changes(old, new) == [
        "profile c: added",
        "profile b: kernel-args changed",
        "profile a: removed",
    ]


UUID = "4c4c4544-0042-3510-8052-b4c04f4e4d31"
TURNED = "44454c4c-4200-1035-8052-b4c04f4e4d31"


def by_uuid(name: str, *macs: Mac) -> NodeSpec:
    return NodeSpec(name=name, macs=macs, profile="server", uuid=UUID)


def told(id: int, mac: Mac, uuid: str = UUID, state: State = State.DISCOVERED) -> Node:
    return Node(id=id, macs=(mac,), state=state, facts={"uuid": uuid})


def test_a_machine_is_known_by_its_uuid_and_gives_its_card() -> None:
    (one,) = match([told(1, ONE, TURNED), told(2, TWO, "other")], by_uuid("alpha")).matches
    assert one.node is not None
    assert (one.node.id, one.cards) == (1, (ONE,))


def test_a_node_that_waited_and_its_machine_become_one() -> None:
    waiting = Node(id=1, macs=(), state=State.ARMED, spec=by_uuid("alpha"))
    matching = match([waiting, told(2, ONE)], by_uuid("alpha"))
    (one,) = matching.matches
    assert one.node == waiting
    assert [node.id for node in one.absorbed] == [2]
    assert one.cards == (ONE,)
    assert matching.removed == ()


def test_of_a_waiting_node_and_an_installed_machine_the_machine_goes_on() -> None:
    waiting = Node(id=1, macs=(), state=State.ARMED, spec=by_uuid("alpha"))
    (one,) = match([waiting, told(2, ONE, state=State.INSTALLED)], by_uuid("alpha")).matches
    assert one.node is not None
    assert one.node.state is State.INSTALLED
    assert one.absorbed == (waiting,)


def test_two_machines_with_one_uuid_are_nobodys() -> None:
    matching = match([told(1, ONE), told(2, TWO, TURNED)], by_uuid("alpha"))
    assert ids(matching) == {"alpha": None}
    assert [node.id for node in matching.disputed["alpha"]] == [1, 2]
    (one,) = matching.matches
    assert one.cards == ()


def test_a_machine_that_is_known_stays_the_node_whoever_else_tells_its_uuid() -> None:
    alpha = Node(id=1, macs=(ONE,), state=State.READY, spec=by_uuid("alpha"), facts={"uuid": UUID})
    matching = match([alpha, told(2, TWO)], by_uuid("alpha"))
    assert ids(matching) == {"alpha": 1}
    assert matching.matches[0].cards == (ONE,)
    assert matching.disputed == {}


def test_a_card_that_another_node_lists_is_not_learnt() -> None:
    alpha = Node(id=1, macs=(ONE,), state=State.READY, spec=by_uuid("alpha"), facts={"uuid": UUID})
    matching = match([alpha], by_uuid("alpha"), spec("beta", ONE))
    assert {m.spec.name: m.cards for m in matching.matches} == {"alpha": (), "beta": (ONE,)}


def test_rows_in_every_state_can_be_compared() -> None:
    for state in State:
        nodes = [known(1, "alpha", ONE, state=state), known(2, "", TWO, state=State.DISCOVERED)]
        assert ids(match(nodes, spec("alpha", ONE, TWO))) == {"alpha": 1}
