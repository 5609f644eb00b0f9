from __future__ import annotations

from kairos_netboot.server.tftp import Finished, summary
from kairos_netboot.tftp.transfer import End, Outcome


def finished(outcome: Outcome, name: str = "snponly.efi") -> Finished:
    return Finished(
        name=name,
        client=("10.0.0.7", 2070),
        local="10.0.0.1",
        size=173_056,
        outcome=outcome,
        seconds=0.2149,
    )


def test_a_sent_file_is_one_line_with_size_and_time() -> None:
    line = summary(finished(Outcome(end=End.DONE, bytes_sent=173_056)))
    assert line == "sent 'snponly.efi' for 10.0.0.7:2070: 173056 bytes in 0.21 s"


def test_a_size_that_was_asked_does_not_read_like_a_failure() -> None:
    line = summary(finished(Outcome(end=End.SIZE_ASKED)))
    assert line == "told the size of 'snponly.efi' for 10.0.0.7:2070: 173056 bytes"


def test_a_broken_transfer_says_how_far_it_came_and_why() -> None:
    outcome = Outcome(end=End.TIMED_OUT, bytes_sent=1468, reason="no answer to block 1 of 118")
    assert summary(finished(outcome)) == (
        "timed out 'snponly.efi' for 10.0.0.7:2070 after 1468 of 173056 bytes:"
        " no answer to block 1 of 118"
    )


def test_a_name_cannot_forge_a_line_of_the_log() -> None:
    outcome = Outcome(end=End.REFUSED, reason="no such file")
    line = summary(finished(outcome, name="x\nsent 'y'"))
    assert line == "refused \"x\\nsent 'y'\" for 10.0.0.7:2070: no such file"
