from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.select import (
    candidates,
    choice_for,
    matches,
    may_name,
    select,
    wants_vendor,
    weight_of,
)
from kairos_netboot.boot.site import NodeSpec, Profile
from kairos_netboot.boot.unknown import INVENTORY, Selector, Unknown
from kairos_netboot.values import Mac

MAC = Mac("3c:ec:ef:00:00:01")
DELL = {"manufacturer": "Dell Inc.", "product": "PowerEdge R650", "network": "10.1.0.1"}


def machine(labels: Mapping[str, str] | None = None, **facts: str) -> Node:
    spec = NodeSpec(name="x", labels=labels) if labels else None
    return Node(id=1, macs=(MAC,), state=State.DISCOVERED, facts=facts, spec=spec)


DELL_R650 = replace(machine(), facts=DELL)


def fleet(unknown: Unknown | None = None, **profiles: Selector) -> Fleet:
    return of(profiles, unknown or Unknown())


def of(profiles: Mapping[str, Selector], unknown: Unknown | None = None) -> Fleet:
    made = {
        name: Profile(name=name, image="debian", match=(selector,))
        for name, selector in profiles.items()
    }
    return Fleet((), made, unknown=unknown or Unknown())


def asks(subnet: str = "", **facts: str) -> Selector:
    told = {key.replace("_", "-"): text for key, text in facts.items()}
    return Selector(facts=told, subnet=IPv4Network(subnet) if subnet else None)


def winner(fleet: Fleet, node: Node) -> str:
    best = select(fleet, node)
    return best.profile if best else ""


def test_a_profile_without_selectors_is_no_candidate() -> None:
    assert candidates(Fleet((), {"a": Profile(name="a", image="")}), machine()) == ()


def test_all_facts_of_a_selector_must_fit() -> None:
    site = fleet(dell=asks(manufacturer="Dell*", product="*R750"))
    (found,) = candidates(site, DELL_R650)
    assert not found.fits
    assert found.why == "product is 'PowerEdge R650', not '*R750'"


def test_one_selector_of_several_is_enough() -> None:
    both = (asks(manufacturer="HP*"), asks(manufacturer="Dell*"))
    site = Fleet((), {"any": Profile(name="any", image="", match=both)})
    assert winner(site, DELL_R650) == "any"


def test_what_a_machine_never_told_does_not_fit_and_is_said() -> None:
    (found,) = candidates(fleet(a=asks(serial="*")), machine())
    assert (found.fits, found.why) == (False, "serial is not known (wanted '*')")


def test_more_facts_win() -> None:
    site = fleet(a=asks(manufacturer="Dell Inc."), b=asks(manufacturer="Dell*", product="Power*"))
    first, second = candidates(site, DELL_R650)
    assert (first.profile, second.profile) == ("b", "a")
    assert second.fits
    assert second.why == (
        "manufacturer is 'Dell Inc.' (wanted 'Dell Inc.'); but 'b' asks for 2 facts, this one for 1"
    )


def test_exact_patterns_win_over_wildcards() -> None:
    site = fleet(a=asks(product="PowerEdge*"), b=asks(product="poweredge r650"))
    first, second = candidates(site, DELL_R650)
    assert first.profile == "b"
    assert "more of them exactly" in second.why


def test_a_narrower_subnet_wins() -> None:
    site = fleet(a=asks("10.0.0.0/8"), b=asks("10.1.0.0/16"))
    first, second = candidates(site, DELL_R650)
    assert first.profile == "b"
    assert "a narrower subnet (/16, not /8)" in second.why


def test_ties_go_by_name() -> None:
    site = fleet(b=asks(product="Power*"), a=asks(product="*R650"))
    first, second = candidates(site, DELL_R650)
    assert first.profile == "a"
    assert "comes first by its name" in second.why


def test_one_that_fits_comes_before_a_more_specific_one_that_does_not() -> None:
    site = fleet(a=asks(product="*R750", serial="1"), b=asks(product="*"))
    assert [c.profile for c in candidates(site, DELL_R650)] == ["b", "a"]


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("3c:ec:ef", True),
        ("3C-EC-EF", True),
        ("3cecef", True),
        ("3c:ec:ef:00:00:01", True),
        ("*:01", True),
        ("3c:ec:ee", False),
        ("ec:ef", False),
    ],
)
def test_a_card_is_known_by_its_first_bytes(pattern: str, fits: bool) -> None:
    assert (select(fleet(a=asks(mac=pattern)), machine()) is not None) is fits


def test_any_card_of_a_machine_will_do() -> None:
    node = replace(machine(), macs=(Mac("02:00:00:00:00:01"), MAC))
    best = select(fleet(a=asks(mac="3c:ec:ef")), node)
    assert best is not None
    assert best.why == "mac is '3c:ec:ef:00:00:01' (wanted '3c:ec:ef')"


def test_the_first_bytes_of_a_card_are_no_exact_pattern() -> None:
    assert weight_of(asks(mac="3c:ec:ef"))[1] == 0
    assert weight_of(asks(mac="3c:ec:ef:00:00:01"))[1] == 1


def test_a_uuid_fits_in_either_order_of_its_bytes() -> None:
    node = machine(uuid="44454c4c-4200-1035-8052-b4c04f4e4d31")
    assert winner(fleet(a=asks(uuid="4C4C4544-0042-3510-8052-B4C04F4E4D31")), node) == "a"


def test_labels_are_the_nodes_own() -> None:
    site = fleet(a=Selector(labels={"rack": "r7*"}))
    assert winner(site, machine(labels={"rack": "R71"})) == "a"
    (found,) = candidates(site, machine())
    assert found.why == "label rack is not known (wanted 'r7*')"


def test_where_it_asks_from_is_said_when_it_is_elsewhere() -> None:
    (found,) = candidates(fleet(a=asks("10.2.0.0/16")), DELL_R650)
    assert found.why == "asks from 10.1.0.1, not from 10.2.0.0/16"
    (found,) = candidates(fleet(a=asks("10.2.0.0/16")), machine())
    assert found.why.startswith("the network it asks from is not known")


def test_a_selector_counts_more_than_the_networks_word() -> None:
    word = Unknown(others="b")
    site = fleet(word, a=asks(product="*R650"), b=asks(product="no"))
    best, other = choice_for(site, DELL_R650), choice_for(site, machine())
    assert best is not None
    assert other is not None
    assert (best.profile, other.profile) == ("a", "b")


def test_the_networks_word_is_that_of_the_request() -> None:
    word = Unknown(networks={IPv4Network("10.9.0.0/16"): "a"})
    site = fleet(word, a=asks(product="no"))
    assert choice_for(site, DELL_R650) is None
    assert choice_for(site, DELL_R650, IPv4Address("10.9.0.1")) is not None


def test_an_inventory_is_no_profile() -> None:
    assert choice_for(fleet(Unknown(others=INVENTORY), a=asks(product="no")), machine()) is None


def test_only_what_may_be_named_waits_for_it() -> None:
    site = fleet(a=asks(product="x"))
    assert may_name(site, None, None)
    assert may_name(site, machine(), None)
    assert not may_name(site, replace(machine(), denied=True), None)
    named = replace(machine(labels={"a": "b"}), state=State.ARMED)
    assert not may_name(site, named, None)
    assert not may_name(Fleet(), None, None)
    assert not may_name(replace(site, unknown=Unknown(approval=True)), None, None)
    by_uuid = Node(
        id=2, macs=(), state=State.ARMED, spec=NodeSpec(name="u", uuid="4c4c4544-0042-3510-8052-1")
    )
    assert may_name(Fleet((by_uuid,)), None, None)


def test_the_registry_of_vendors_is_only_read_for_whom_it_matters() -> None:
    assert wants_vendor(fleet(a=asks(vendor="Intel*")))
    assert not wants_vendor(fleet(a=asks(mac="3c:ec:ef")))


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("", "", True),
        ("*", "", True),
        ("?", "", False),
        ("a*", "ABC", True),
        ("*c", "abc", True),
        ("a*c", "ac", True),
        ("a*a", "a", False),
        ("a?c", "abc", True),
        ("*b*", "abc", True),
        ("a.c", "abc", False),
        ("*ab*ab", "abab", True),
        ("*ab*ab", "ab", False),
    ],
)
def test_patterns(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) is fits


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not matches("*a" * 40 + "*b", "a" * 200)


@given(st.lists(st.sampled_from("abc?*"), max_size=6), st.text("abc", max_size=8))
@example(["*"], "")
@example(["?", "*"], "a")
def test_patterns_fit_what_the_same_pattern_of_a_shell_does(parts: list[str], text: str) -> None:
    assert matches("".join(parts), text) == fnmatchcase(text, "".join(parts))


@given(st.permutations(["a", "b", "c"]))
def test_the_order_of_profiles_decides_nothing(order: list[str]) -> None:
    selectors = {"a": asks(product="*"), "b": asks(product="*R650"), "c": asks("10.0.0.0/8")}
    site = of({name: selectors[name] for name in order})
    assert candidates(site, DELL_R650) == candidates(of(selectors), DELL_R650)
