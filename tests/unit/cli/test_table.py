from __future__ import annotations

import pytest

from kairos_netboot.cli.table import fitted

HEADINGS = ("NAME", "MAC", "LAST", "WHAT")
ROWS = [("alpha", "52:54:00:00:00:01", "09:15:27", "the installed system is up, and more")]


def shown(width: int | None) -> list[str]:
    return list(fitted(HEADINGS, ROWS, width, ("MAC", "LAST")))


def test_a_pipe_gets_everything() -> None:
    assert shown(None)[1].endswith("09:15:27   the installed system is up, and more")


def test_a_wide_terminal_gets_everything_too() -> None:
    assert shown(200) == shown(None)


def test_spare_columns_go_first_and_then_the_end_of_the_last() -> None:
    assert shown(74)[1].endswith("00:01   09:15:27   the installed system is up, and mo…")
    assert shown(60) == [
        "NAME    LAST       WHAT",
        "alpha   09:15:27   the installed system is up, and more",
    ]
    assert shown(40) == ["NAME    WHAT", "alpha   the installed system is up, and…"]


@pytest.mark.parametrize("width", [1, 8, 20, 39, 63, 64, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert all(len(line) <= width for line in shown(width))


def test_a_column_that_is_not_there_is_not_missed() -> None:
    assert list(fitted(("A", "B"), [("x", "y")], 10, ("Z", "A"))) == ["B", "y"]
