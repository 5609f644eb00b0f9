from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kairos_netboot.boot.fleet import Event
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.overdue import EXPECTED, Signs, is_overdue, overdue, spoken, verdict
from tests.unit.boot.sample import PROFILE, fleet, node

HOUR = replace(PROFILE, timeout=3600)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize("state", sorted(EXPECTED))
def test_a_node_in_the_middle_is_given_up_at_its_profile_s_timeout(state: State) -> None:
    assert not is_overdue(node(state), HOUR, 3599.9)
    assert is_overdue(node(state), HOUR, 3600)


@pytest.mark.parametrize("state", sorted(set(State) - EXPECTED))
def test_a_node_that_nothing_is_awaited_of_is_never_given_up(state: State) -> None:
    assert not is_overdue(node(state), HOUR, 1e9)


def test_a_timeout_of_zero_is_never() -> None:
    assert not is_overdue(node(State.BOOTING), replace(PROFILE, timeout=0), 1e9)


def test_a_node_without_a_profile_is_never_given_up() -> None:
    assert not is_overdue(node(State.BOOTING), None, 1e9)


def test_silence_counts_from_the_last_sign() -> None:
    signs = Signs(start=100.0)
    signs.heard(1, 150.0)
    assert signs.silence(1, 160.0) == 10.0


def test_silence_counts_from_the_server_s_start_at_the_earliest() -> None:
    assert Signs(start=100.0).silence(1, 160.0) == 60.0


def test_a_node_that_is_being_sent_a_file_is_not_silent() -> None:
    signs = Signs(start=0.0)
    signs.begins(1)
    signs.begins(1)
    signs.ends(1, 5000.0)
    assert signs.silence(1, 9000.0) == 0.0
    signs.ends(1, 9000.0)
    assert signs.silence(1, 9010.0) == 10.0


def test_only_the_silent_ones_of_a_fleet_are_given_up() -> None:
    silent, lively = node(State.INSTALLING), node(State.INSTALLING, id=2)
    signs = Signs(start=0.0)
    signs.heard(2, 3000.0)
    found = list(overdue(fleet(silent, lively, profile=HOUR), signs, 4000.0))
    assert found == [(silent, 4000.0)]


def test_the_verdict_says_what_it_did_last_and_when() -> None:
    last = Event(node=1, at=NOON, kind=Kind.FILE, text="fetched initrd (33.0 MB)")
    assert verdict(node(State.BOOTING), 3900, last) == (
        "no sign of it for 65 min while it was booting; "
        "the last was, at 12:00:00 UTC on 2026-11-23: fetched initrd (33.0 MB)"
    )


def test_the_verdict_of_one_that_did_nothing() -> None:
    told = verdict(node(State.WIPING), 90, None)
    assert told == "no sign of it for 90 s while it was wiping; it had done nothing"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_lengths_of_time_are_spoken(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
