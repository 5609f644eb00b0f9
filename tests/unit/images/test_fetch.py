from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.fetch import pieces
from kairos_netboot.images.patience import Patience
from tests.registries import Waiting, answer

BODY = bytes(range(256)) * 4


def patience(waiting: Waiting | None = None) -> Patience:
    return Patience(lambda: "r", lambda told: None, (waiting or Waiting()).clock())


def part(start: int, end: int, *, said: int | None = None) -> requests.Response:
    place = f"bytes {start if said is None else said}-{end - 1}/{len(BODY)}"
    return answer(206, BODY[start:end], headers={"Content-Range": place})


def joined(found: Iterator[tuple[int, bytes]]) -> bytes:
    """What a file holds after each piece was written at its offset, cut there before."""
    data = bytearray()
    for offset, chunk in found:
        assert offset <= len(data)
        data[offset:] = chunk
    return bytes(data)


def by_turns(
    *answers: Callable[[int], requests.Response],
) -> Callable[[int, float], requests.Response]:
    turns = iter(answers)
    return lambda offset, silence: next(turns)(offset)


def test_one_answer_is_all() -> None:
    found = pieces(lambda offset, silence: answer(body=BODY), patience(), constant=True)
    assert joined(found) == BODY


@given(st.lists(st.integers(0, len(BODY)), max_size=9))
@example([])
@example([0])
@example([len(BODY)])
@example([len(BODY) - 1, 1, 0])
def test_parts_are_put_together_wherever_they_end(ends: list[int]) -> None:
    cuts = iter(sorted(ends))

    def open_at(offset: int, silence: float) -> requests.Response:
        end = next(cuts, len(BODY))
        return part(offset, max(offset, end)) if offset else answer(body=BODY[:end])

    assert joined(pieces(open_at, patience(), size=len(BODY), constant=True)) == BODY


@given(st.lists(st.integers(0, len(BODY)), max_size=9))
def test_content_that_is_constant_is_skipped_where_it_was_read_already(ends: list[int]) -> None:
    cuts = iter(ends)

    def open_at(offset: int, silence: float) -> requests.Response:
        return answer(body=BODY[: next(cuts, len(BODY))])

    found = list(pieces(open_at, patience(), size=len(BODY), constant=True))
    assert b"".join(chunk for _, chunk in found) == BODY
    assert [offset for offset, _ in found] == sorted({offset for offset, _ in found})


def test_content_that_may_change_starts_at_0_again() -> None:
    old, new = b"a" * 500, b"b" * 300
    turns = by_turns(
        lambda offset: answer(206, old[:400], headers={"Content-Range": "bytes 0-399/500"}),
        lambda offset: answer(body=new),
    )
    found = list(pieces(turns, patience(), constant=False))
    assert found == [(0, old[:400]), (0, new)]
    assert joined(iter(found)) == new


@pytest.mark.parametrize("said", [0, 99, 101, 10**18])
def test_a_part_from_elsewhere_is_left_and_ranges_are_not_asked_for_again(said: int) -> None:
    asked: list[int] = []

    def open_at(offset: int, silence: float) -> requests.Response:
        asked.append(offset)
        if offset:
            return part(offset, len(BODY), said=said)
        return answer(body=BODY[: 100 * len(asked)] if len(asked) < 4 else BODY)

    assert joined(pieces(open_at, patience(), size=len(BODY), constant=True)) == BODY
    assert asked == [0, 100, 0, 0]


@pytest.mark.parametrize("status", [206, 416])
def test_an_answer_without_a_place_is_left(status: int) -> None:
    def open_at(offset: int, silence: float) -> requests.Response:
        return answer(status, b"x") if offset else answer(body=BODY[:100])

    with pytest.raises(ImageProblem, match="cannot resume"):
        joined(pieces(open_at, patience(), size=len(BODY), constant=True))


def test_an_end_before_the_stated_size_is_no_end() -> None:
    waiting = Waiting()
    turns = by_turns(lambda offset: answer(body=BODY[:9]), lambda offset: part(9, len(BODY)))
    assert joined(pieces(turns, patience(waiting), size=len(BODY), constant=True)) == BODY
    assert len(waiting.slept) == 1


def test_a_stated_length_that_is_too_short_is_for_the_reader_to_judge() -> None:
    short = answer(body=BODY[:9], headers={"Content-Length": "9"})
    found = pieces(lambda offset, silence: short, patience(), size=len(BODY), constant=True)
    assert joined(found) == BODY[:9]


def test_more_than_the_stated_size_is_for_the_reader_to_judge() -> None:
    found = pieces(lambda offset, silence: answer(body=BODY), patience(), size=9, constant=True)
    assert joined(found) == BODY


def test_empty_content_is_one_answer() -> None:
    assert (
        joined(pieces(lambda offset, silence: answer(), patience(), size=0, constant=True)) == b""
    )


def test_no_answer_is_left_open() -> None:
    given: list[requests.Response] = []

    def open_at(offset: int, silence: float) -> requests.Response:
        given.append(part(offset, offset + 100) if offset else answer(body=BODY[:100]))
        return given[-1]

    found = pieces(open_at, patience(), size=len(BODY), constant=True)
    next(found)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert [response.raw.closed for response in given] == [True, True]
