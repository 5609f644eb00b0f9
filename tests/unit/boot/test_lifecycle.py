from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.boot.lifecycle import MAY_INSTALL, TABLE, Kind, State, advance, fold

K, S = Kind, State


def _run(*events: Kind, state: State = S.DISCOVERED) -> tuple[State, int]:
    boots = 0
    for event in events:
        state, boots = fold(state, boots, event)
    return state, boots


def test_a_node_goes_from_its_name_to_ready() -> None:
    whole = (K.NAMED, K.BOOT_STARTED, K.INSTALL_STARTED, K.INSTALL_STEP, K.INSTALL_FINISHED)
    assert _run(*whole, K.READY) == (S.READY, 1)


def test_an_installed_node_starts_no_installer_whatever_happens_to_it() -> None:
    for state in (S.INSTALLED, S.READY):
        for kind in Kind:
            if kind is not Kind.REARMED:
                assert advance(state, kind) not in MAY_INSTALL


def test_only_a_hand_arms_a_failed_node_again() -> None:
    arming = {kind for kind in Kind if advance(S.FAILED, kind) in MAY_INSTALL}
    assert arming == {K.REARMED}


def test_naming_a_node_twice_arms_it_once() -> None:
    done = (K.NAMED, K.BOOT_STARTED, K.INSTALL_FINISHED)
    assert _run(*done, K.NAMED) == (S.INSTALLED, 1)


def test_a_late_report_changes_nothing() -> None:
    for late in (K.INSTALL_STARTED, K.INSTALL_STEP, K.BRAKED):
        assert advance(S.READY, late) is S.READY
        assert advance(S.INSTALLED, late) is S.INSTALLED


def test_an_armed_node_believes_no_report_of_an_earlier_boot() -> None:
    for report in (K.INSTALL_STARTED, K.INSTALL_FINISHED, K.READY):
        assert advance(S.ARMED, report) is S.ARMED


def test_a_restart_in_mid_install_starts_it_anew_and_counts() -> None:
    assert _run(K.NAMED, K.BOOT_STARTED, K.INSTALL_STARTED, K.BOOT_STARTED) == (S.BOOTING, 2)


def test_arming_again_gives_all_tries_back() -> None:
    state, boots = _run(K.NAMED, K.BOOT_STARTED, K.BOOT_STARTED, K.BRAKED, K.REARMED)
    assert (state, boots) == (S.ARMED, 0)


def test_a_machine_that_nobody_named_cannot_be_armed_by_hand() -> None:
    assert (S.DISCOVERED, K.REARMED) not in TABLE


def test_a_running_system_is_proof_even_after_a_lost_report() -> None:
    for state in (S.BOOTING, S.INSTALLING, S.INSTALLED, S.FAILED):
        assert advance(state, K.READY) is S.READY


@given(st.lists(st.sampled_from(Kind), max_size=30))
def test_no_order_of_events_installs_an_installed_node_without_a_hand(events: list[Kind]) -> None:
    state, boots, installed = S.DISCOVERED, 0, False
    for event in events:
        state, boots = fold(state, boots, event)
        installed = (installed or state in (S.INSTALLED, S.READY)) and event is not K.REARMED
        assert not (installed and state in MAY_INSTALL)


@given(st.lists(st.sampled_from(Kind), max_size=30), st.sampled_from(Kind))
def test_a_repeated_report_ends_where_one_does(events: list[Kind], last: Kind) -> None:
    if last is not K.BOOT_STARTED:  # which counts, and so is not written twice by the store
        assert _run(*events, last, last) == _run(*events, last)


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached(state: State) -> None:
    assert state is S.DISCOVERED or state in TABLE.values()
