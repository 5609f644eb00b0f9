from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.boot.hostnames import (
    MAX_INDEX,
    STEP,
    as_word,
    choose_name,
    is_host_name,
    name_variables,
)
from kairos_netboot.errors import InvalidValue


def counted(pattern: str) -> Callable[[int], list[str]]:
    return lambda start: [pattern.format(index) for index in range(start, start + STEP)]


@pytest.mark.parametrize("name", ["a", "node-1", "a.b.c", "1a", "a" * 63])
def test_host_names(name: str) -> None:
    assert is_host_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a..b", "a b", "a" * 64, "a." * 130])
def test_what_is_no_host_name(name: str) -> None:
    assert not is_host_name(name)


def test_the_first_machine_is_number_one() -> None:
    assert choose_name(counted("r7-{}"), set()) == "r7-1"


def test_the_smallest_number_that_nobody_has_is_given() -> None:
    assert choose_name(counted("r7-{}"), {"r7-1", "r7-3"}) == "r7-2"


def test_numbers_go_on_behind_the_first_ones_tried() -> None:
    taken = {f"n{number}" for number in range(1, 2 * STEP + 1)}
    assert choose_name(counted("n{}"), taken) == f"n{2 * STEP + 1}"


def test_a_pattern_without_an_index_gives_its_name_once() -> None:
    assert choose_name(counted("only"), set()) == "only"
    with pytest.raises(InvalidValue, match="another machine has: put"):
        choose_name(counted("only"), {"only"})


def test_what_is_no_host_name_is_not_given() -> None:
    with pytest.raises(InvalidValue, match="it gives 'Rack 1', which is no host name"):
        choose_name(counted("Rack {}"), set())


def test_there_is_an_end_to_it() -> None:
    taken = {f"n{number}" for number in range(MAX_INDEX + STEP)}
    with pytest.raises(InvalidValue, match="all its names are taken"):
        choose_name(counted("n{}"), taken)


def test_facts_are_made_fit_for_a_name() -> None:
    assert name_variables({"product": "PowerEdge R650 (SKU=1)", "switch-port": "Gi1/0/7"}) == {
        "product": "poweredge-r650-sku-1",
        "switch_port": "gi1-0-7",
    }


def test_a_fact_of_odd_letters_alone_is_none() -> None:
    assert name_variables({"serial": "…"}) == {}


@given(st.text())
@example("")
@example("Straße 1")
def test_a_fact_as_a_word_is_a_host_name_or_nothing(text: str) -> None:
    word = as_word(text)[:63].strip("-")
    assert word == "" or is_host_name(word)


@given(st.sets(st.integers(1, 300)))
@example(set(range(1, STEP + 1)))
def test_a_name_is_never_given_twice(numbers: set[int]) -> None:
    taken = {f"n{number}" for number in numbers}
    name = choose_name(counted("n{}"), taken)
    assert name not in taken
    assert all(f"n{number}" in taken for number in range(1, int(name[1:])))
