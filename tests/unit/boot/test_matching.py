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
