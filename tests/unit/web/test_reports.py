from __future__ import annotations

import pytest

from kairos_netboot.boot.lifecycle import Kind
from kairos_netboot.web.reports import STEPS, read_report


def told(path: str, **fields: str) -> tuple[Kind, str]:
    report = read_report(path, fields)
    assert report is not None
    return report.kind, report.text


def facts(path: str, source: str = "", **fields: str) -> dict[str, str]:
    report = read_report(path, fields, source)
    assert report is not None
    return dict(report.facts)


def test_a_step_has_its_place_among_all() -> None:
    assert told("step/active") == (Kind.INSTALL_STEP, "installer: active (2 of 6)")
    assert len(STEPS) == 6


def test_a_step_has_its_percentage_where_there_is_one() -> None:
    assert told("step/active", percent="33")[1] == "installer: active (2 of 6, 33 %)"
    assert facts("step/active", percent="33") == {"progress": "active (2 of 6, 33 %)"}


@pytest.mark.parametrize("percent", ["0", "7", "99", "100"])
def test_percentages_up_to_a_hundred_count(percent: str) -> None:
    assert told("step/passive", percent=percent)[1].endswith(f", {percent} %)")


@pytest.mark.parametrize("percent", ["", "101", "-1", "1e1", "٣", "9" * 5000, "a"])
def test_anything_else_is_no_percentage(percent: str) -> None:
    assert told("step/passive", percent=percent)[1] == "installer: passive (5 of 6)"


def test_a_step_of_another_name_is_told_as_it_is() -> None:
    assert told("step/partitioned") == (Kind.INSTALL_STEP, "installer: partitioned")
    assert facts("step/partitioned", percent="3") == {}


def test_all_written_is_the_end() -> None:
    assert told("step/written")[0] is Kind.INSTALL_FINISHED


@pytest.mark.parametrize("path", ["", "step/", f"step/{'x' * 41}", "step/A", "ready/now", "x"])
def test_what_is_not_known_is_nothing(path: str) -> None:
    assert read_report(path, {}) is None


def test_a_failure_has_its_reason_and_its_lines() -> None:
    report = read_report("install-failed", {"reason": "no\tspace", "lines": "one\n\n two\x1b[0m\n"})
    assert report is not None
    assert report.kind is Kind.INSTALL_FAILED
    assert report.text == "installer: failed: no space"
    assert report.lines == ("one", "two [0m")


def test_a_failure_without_a_reason_is_one_all_the_same() -> None:
    assert told("install-failed")[1] == "installer: ended before it was done, without a word"


def test_only_so_many_lines_of_such_a_length_are_taken() -> None:
    report = read_report("log", {"lines": "\n".join(["x" * 5000] * 500)})
    assert report is not None
    assert len(report.lines) == 200
    assert max(map(len, report.lines)) == 1000


def test_ready_tells_what_runs_and_where() -> None:
    assert facts(
        "ready",
        hostname="alpha",
        addresses="127.0.0.1,fe80::1,2001:db8::5,192.0.2.7,10.42.0.1",
        version="v4.2.0",
        boot="active",
    ) == {
        "hostname": "alpha",
        "version": "v4.2.0",
        "boot-state": "active",
        "addresses": "2001:db8::5,192.0.2.7,10.42.0.1",
        "address": "192.0.2.7",
        "progress": "",
    }


def test_the_address_it_asked_from_comes_before_the_first() -> None:
    addresses = "10.0.0.1, 192.0.2.7/24"
    assert facts("ready", "192.0.2.7", addresses=addresses)["address"] == "192.0.2.7"
    assert facts("ready", "::ffff:192.0.2.7", addresses=addresses)["address"] == "192.0.2.7"


def test_a_router_s_address_is_not_the_node_s() -> None:
    assert facts("ready", "198.51.100.1", addresses="10.0.0.1")["address"] == "10.0.0.1"


def test_an_old_hook_that_tells_no_addresses_takes_none_away() -> None:
    assert facts("ready", hostname="alpha") == {"hostname": "alpha", "progress": ""}


def test_nonsense_is_no_address() -> None:
    assert "addresses" not in facts("ready", addresses="x, 1.2.3, ::g, 0.0.0.0")


def test_a_rescue_tells_its_addresses_too() -> None:
    assert facts("live-ready", addresses="192.0.2.9/24 fe80::1/64 ")["address"] == "192.0.2.9"
