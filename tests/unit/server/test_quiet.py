from __future__ import annotations

import logging

import pytest

from kairos_netboot.server.quiet import Quiet

log = logging.getLogger("kairos_netboot.test")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level(logging.INFO, logger=log.name)
    return Clock()


def test_one_client_is_heard_of_a_few_times_a_minute(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    quiet = Quiet(log, each=3, clock=clock)
    for number in range(100):
        quiet.info("noisy", f"noise {number}")
    quiet.info("other", "a word")
    assert caplog.messages == ["noise 0", "noise 1", "noise 2", "a word"]


def test_one_that_plays_many_clients_is_bounded_as_well(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    quiet = Quiet(log, most=50, clock=clock)
    for number in range(10_000):
        quiet.info(f"client {number}", "noise")
    assert len(caplog.messages) == 50


def test_the_next_minute_begins_with_how_much_was_left_out(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    quiet = Quiet(log, seconds=60, each=1, clock=clock)
    for moment in (0, 1, 59.9, 60, 61):
        clock.now = moment
        quiet.warning("noisy", f"at {moment}")
    assert caplog.messages == ["at 0", "2 sentences like these were left out", "at 60"]
    assert caplog.records[0].levelno == logging.WARNING


def test_nothing_is_said_of_nothing_left_out(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    quiet = Quiet(log, seconds=60, each=1, clock=clock)
    for moment in (0, 60, 120):
        clock.now = moment
        quiet.info("calm", f"at {moment}")
    assert caplog.messages == ["at 0", "at 60", "at 120"]
