"""Rolling through a fleet."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.boot.fleetwork import Phase, Step, Upgraded, next_step


def machine(name: str, **fields: object) -> Upgraded:
    return Upgraded(**{"name": name, "connected": 0.0, **fields})  # type: ignore[arg-type]


def ordered(name: str, **fields: object) -> Upgraded:
    return machine(name, **{"phase": Phase.RUNNING, "ordered": 10.0, **fields})


def back(name: str, boot_state: str = "active", **fields: object) -> Upgraded:
    return ordered(
        name,
        **{
            "phase": Phase.COMPLETED,
            "ended": 20.0,
            "connected": 30.0,
            "boot_state": boot_state,
            **fields,
        },
    )


def step(*machines: Upgraded, most: int = 1, now: float = 60.0) -> Step:
    return next_step(machines, max_unavailable=most, now=now, timeout=600.0)


def test_one_at_a_time_unless_more_may_be_away() -> None:
    three = [machine(name) for name in ("a", "b", "c")]
    assert step(*three).order == ("a",)
    assert step(*three, most=2).order == ("a", "b")
    assert step(ordered("a"), *three[1:], most=2).order == ("b",)
    assert step(ordered("a"), ordered("b"), three[2], most=2) == Step()


def test_servers_come_before_agents() -> None:
    agent, server = machine("a"), machine("s", is_server=True)
    assert step(agent, server, most=5).order == ("s",)
    assert step(agent, back("s", is_server=True), most=5).order == ("a",)


def test_an_agent_waits_for_the_last_server() -> None:
    away = ordered("s", is_server=True)
    assert step(machine("a"), away, most=5) == Step()


def test_who_runs_it_already_is_passed_over() -> None:
    assert step(machine("a", skip=True), machine("b")).order == ("b",)
    assert step(machine("a", skip=True)).is_over


def test_it_is_over_when_the_last_is_back() -> None:
    assert not step(back("a"), ordered("b")).is_over
    assert step(back("a"), back("b")).is_over


@pytest.mark.parametrize("state", ["passive", "recovery", "autoreset", ""])
def test_one_that_comes_back_with_another_system_stops_it(state: str) -> None:
    stopped = step(back("a", state), machine("b"))
    assert stopped.order == ()
    assert stopped.stop.startswith("a came back")


def test_an_agent_that_has_not_restarted_yet_is_not_back() -> None:
    waiting = back("a", "active", connected=5.0)
    assert step(waiting, machine("b")) == Step()


def test_a_failure_stops_it_with_its_reason() -> None:
    failed = ordered("a", phase=Phase.FAILED, result="no space left")
    assert step(failed, machine("b")).stop == "a failed: no space left"


def test_one_that_stays_away_stops_it_after_the_time_out() -> None:
    gone = back("a", connected=None)
    assert step(gone, machine("b"), now=609.0) == Step()
    assert step(gone, machine("b"), now=611.0).stop == "a has not come back within 600 s"


def test_one_that_is_away_for_its_own_reasons_counts() -> None:
    gone = machine("b", connected=None)
    assert step(machine("a"), gone, most=2).order == ("a",)
    assert step(machine("a"), gone, most=1).stop.startswith("b: not connected")


def test_what_does_not_restart_need_not_come_back() -> None:
    done = ordered("a", phase=Phase.COMPLETED, ended=20.0, restarts=False, boot_state="recovery")
    assert step(done).is_over


@st.composite
def fleets(draw: st.DrawFn) -> list[Upgraded]:
    return [
        machine(f"n{number}", is_server=draw(st.booleans()))
        for number in range(draw(st.integers(1, 8)))
    ]


@given(fleets(), st.integers(1, 4), st.data())
def test_no_roll_has_more_away_than_it_may_and_every_one_ends(
    fleet: list[Upgraded], most: int, data: st.DataObject
) -> None:
    now = 0.0
    for _ in range(200):
        now += 10.0
        taken = next_step(fleet, max_unavailable=most, now=now, timeout=10_000.0)
        if taken.is_over:
            break
        assert not taken.stop
        fleet = [
            replace(m, phase=Phase.RUNNING, ordered=now) if m.name in taken.order else m
            for m in fleet
        ]
        away = [m for m in fleet if m.phase is not None and not m.is_done]
        assert len(away) <= most
        assert not any(m.is_server for m in away) or all(m.is_server for m in away)
        if away:
            one = data.draw(st.sampled_from(away))
            fleet = [_goes_on(m, now) if m is one else m for m in fleet]
    assert all(m.is_done for m in fleet)


def _goes_on(machine: Upgraded, now: float) -> Upgraded:
    if machine.phase is Phase.RUNNING:
        return replace(machine, phase=Phase.COMPLETED, ended=now, connected=None)
    return replace(machine, connected=now + 1, boot_state="active")
