"""What live systems report."""

from __future__ import annotations

import pytest

from kairos_netboot.boot.lifecycle import TABLE, Kind, State
from kairos_netboot.web.live import live_report


def test_a_live_system_says_where_it_is() -> None:
    fields = {"hostname": "alpha", "addresses": "192.0.2.9/24 2001:db8::9/64 "}
    assert live_report("live-ready", fields) == (
        Kind.LIVE_STARTED,
        "the live system is up, host name 'alpha', at 192.0.2.9/24 2001:db8::9/64",
    )


def test_each_disk_is_told_and_the_end() -> None:
    assert live_report("wipe-step/1", {"disk": "/dev/vdb"}) == (
        Kind.INSTALL_STEP,
        "eraser: /dev/vdb is empty",
    )
    assert live_report("wiped", {}) == (Kind.WIPE_FINISHED, "eraser: all is erased, powers off")


def test_a_failure_keeps_its_reason_and_changes_nothing() -> None:
    told = live_report("wipe-failed", {"reason": "/dev/vdb is in use\nhere"})
    assert told == (Kind.REFUSED, "eraser: failed: /dev/vdb is in use here")


def test_only_the_end_of_a_wipe_changes_its_state() -> None:
    kinds = [
        live_report(path, {}) for path in ("live-ready", "wipe-step/1", "wiped", "wipe-failed")
    ]
    changing = [told[0] for told in kinds if told and (State.WIPING, told[0]) in TABLE]
    assert changing == [Kind.WIPE_FINISHED]


@pytest.mark.parametrize(
    "path", ["", "wipe", "wipe-step/", "wipe-step/x", "wipe-step/1/2", "ready"]
)
def test_anything_else_is_no_report_of_theirs(path: str) -> None:
    assert live_report(path, {}) is None
