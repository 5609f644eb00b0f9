from __future__ import annotations

import pytest

from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.named import chosen
from kairos_netboot.boot.site import NodeSpec
from kairos_netboot.errors import UnknownName
from kairos_netboot.values import Mac


def node(number: int, name: str, **labels: str) -> Node:
    mac = Mac(f"52:54:00:00:00:{number:02x}")
    spec = NodeSpec(name=name, macs=(mac,), profile="p", labels=labels) if name else None
    return Node(id=number, macs=(mac,), state=State.ARMED, spec=spec)


FLEET = Fleet(
    (
        node(1, "rack1-b", rack="1"),
        node(2, "rack1-a", rack="1", role="x"),
        node(3, "rack2-a", rack="2"),
        node(4, ""),
    )
)


def names(*words: str) -> list[str]:
    return [n.name for n in chosen(FLEET, words)]


def test_a_name_and_a_card_mean_one_node() -> None:
    assert names("rack2-a", "52:54:00:00:00:01") == ["rack2-a", "rack1-b"]


def test_a_pattern_means_those_named_so_by_name() -> None:
    assert names("rack1-*") == ["rack1-a", "rack1-b"]
    assert names("rack?-a") == ["rack1-a", "rack2-a"]


def test_a_label_means_those_that_have_it() -> None:
    assert names("rack=1") == ["rack1-a", "rack1-b"]
    assert names("role=*") == ["rack1-a"]


def test_nobodys_machines_fit_no_pattern() -> None:
    assert len(names("*")) == 3


def test_who_is_meant_twice_comes_once() -> None:
    assert names("rack1-b", "rack=1") == ["rack1-b", "rack1-a"]


@pytest.mark.parametrize("word", ["rack3-*", "rack=3", "nobody", "colour=red"])
def test_a_word_that_fits_nobody_is_told(word: str) -> None:
    with pytest.raises(UnknownName, match="nodes list"):
        names(word)
