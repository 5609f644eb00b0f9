from __future__ import annotations

from kairos_netboot.cli.doctor import lines
from kairos_netboot.doctor.findings import Finding, broken, doubtful, fine

FOUND = [
    fine("disk", "9.0 GB free for the state"),
    doubtful("network", "eth0 has no IPv4 address: machines there get no answer", "give it one"),
]


def test_in_a_pipe_each_finding_is_one_line() -> None:
    assert list(lines(FOUND, None)) == [
        "ok    disk      9.0 GB free for the state",
        "note  network   eth0 has no IPv4 address: machines there get no answer → give it one",
        "1 to look at: some machines may not come up",
    ]


def test_on_a_terminal_nothing_is_wider_than_it_and_advice_has_a_line_of_its_own() -> None:
    assert list(lines(FOUND, 50)) == [
        "ok    disk      9.0 GB free for the state",
        "note  network   eth0 has no IPv4 address: machines",
        "                there get no answer",
        "                → give it one",
        "1 to look at: some machines may not come up",
    ]


def test_the_sum_says_what_it_comes_to() -> None:
    def last(*found: Finding) -> str:
        return list(lines(found, None))[-1]

    assert last(FOUND[0]) == "nothing stands in the way of machines that boot from here"
    worst = broken("ports", "UDP port 67 is taken", "stop it")
    assert last(worst, *FOUND) == "1 that keep machines from booting, 1 more to look at"
