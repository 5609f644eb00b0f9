from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.patience import PATIENCE, Patience, patiently, problem
from kairos_netboot.images.session import Trouble
from tests.registries import Waiting

PASSING = Trouble("answers 503", again=True)


def failing(silence: float) -> None:
    raise Trouble("answers 503", again=True, details="details")


def patience(waiting: Waiting, heard: list[object] | None = None) -> Patience:
    tell = (heard if heard is not None else []).append
    return Patience(lambda: "the registry r", tell, waiting.clock(30.0))


def test_an_answer_is_given_as_it_comes() -> None:
    waiting = Waiting()
    assert patiently(lambda silence: "here", patience(waiting)) == "here"
    assert waiting.slept == []


def test_what_passes_is_asked_again_after_longer_and_longer_waits() -> None:
    waiting, heard = Waiting(), list[object]()
    with pytest.raises(ImageProblem, match=r"^the registry r answers 503, for 120 s: try again"):
        patiently(failing, patience(waiting, heard))
    assert waiting.slept[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, 20.0]
    assert heard[2] == "the registry r answers 503: trying again in 4 s (for another 117 s)"
    assert len(heard) == len(waiting.slept)
    assert waiting.time == pytest.approx(PATIENCE, abs=1)


def test_what_is_final_is_told_at_once_with_its_details() -> None:
    waiting = Waiting()
    final = Trouble("lacks it", "check the name", details="why")
    with pytest.raises(ImageProblem, match=r"^the registry r lacks it: check the name$") as caught:
        patience(waiting).wait(final)
    assert (caught.value.details, waiting.slept) == ("why", [])


def test_a_trouble_may_be_about_somebody_else() -> None:
    final = Trouble("lacks it")
    final.about = "the mirror m"
    with pytest.raises(ImageProblem, match=r"^the mirror m lacks it"):
        patience(Waiting()).wait(final)


@pytest.mark.parametrize(("asked", "slept"), [(0.0, 1.0), (7.0, 7.0), (60.0, 60.0), (999.0, 60.0)])
def test_a_wait_that_is_asked_for_is_kept_up_to_a_minute(asked: float, slept: float) -> None:
    waiting = Waiting()
    patience(waiting).wait(Trouble("answers 429", again=True, after=asked))
    assert waiting.slept == [slept]


def test_progress_starts_the_time_anew() -> None:
    waiting = Waiting()
    kept = patience(waiting)
    for _ in range(20):
        kept.wait(PASSING)
        kept.wait(PASSING)
        kept.gain(64 << 10)
    assert waiting.slept == [1.0, 2.0] * 20


def test_a_little_progress_does_not() -> None:
    waiting = Waiting()
    kept = patience(waiting)

    def trickle() -> None:
        for _ in range(1000):
            kept.wait(PASSING)
            kept.gain(60)

    with pytest.raises(ImageProblem, match="for 120 s"):
        trickle()
    assert waiting.time <= PATIENCE


def test_a_trickle_is_no_progress() -> None:
    waiting = Waiting()
    kept = patience(waiting)

    def slowly() -> None:
        for _ in range(1000):
            kept.spend(lambda silence: waiting.sleep(10))
            kept.gain(100)

    with pytest.raises(Trouble, match="sends hardly anything"):
        slowly()
    assert waiting.time == 130


def test_the_time_of_those_who_read_is_not_counted() -> None:
    waiting = Waiting()
    kept = patience(waiting)
    for _ in range(100):
        kept.spend(lambda silence: waiting.sleep(1))
        kept.gain(1)
        waiting.time += 1000
    assert waiting.time > 100_000


def test_an_upload_that_moves_may_take_longer() -> None:
    waiting = Waiting()
    kept = patience(waiting)

    def upload(silence: float) -> None:
        for _ in range(100):
            waiting.time += 100
            kept.gain(64 << 10)
        failing(silence)

    with pytest.raises(Trouble):
        kept.spend(upload)
    kept.wait(PASSING)
    assert waiting.slept == [1.0]


def test_silence_is_allowed_as_long_as_time_is_left() -> None:
    waiting, allowed = Waiting(), list[float]()
    kept = patience(waiting)

    def ask(silence: float) -> None:
        allowed.append(silence)
        waiting.time += 50

    for _ in range(3):
        kept.spend(ask)
    assert allowed == [30.0, 30.0, 20.0]


def test_even_progress_ends_after_a_thousand_breaks() -> None:
    waiting = Waiting()
    kept = patience(waiting)

    def breaking() -> None:
        for _ in range(2000):
            kept.gain(1 << 20)
            kept.wait(PASSING)

    with pytest.raises(ImageProblem, match="answers 503, 1000 times"):
        breaking()
    assert len(waiting.slept) == 1000


def test_what_starts_from_the_beginning_again_and_again_is_given_up() -> None:
    kept = patience(Waiting())
    for _ in range(9):
        kept.restart()
    with pytest.raises(Trouble, match="10 times and cannot resume") as caught:
        kept.restart()
    assert not caught.value.again


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=200))
@example([0.0] * 2000)
def test_the_bound_holds_whatever_is_asked_for(waits: list[float | None]) -> None:
    waiting = Waiting()
    kept = patience(waiting)
    try:
        for after in waits:
            kept.wait(Trouble("answers 429", again=True, after=after))
    except ImageProblem:
        pass
    assert waiting.time <= PATIENCE
    assert len(waiting.slept) <= 1000


def test_a_problem_is_one_line_with_who_what_and_the_way_out() -> None:
    assert (
        str(problem("the registry r", Trouble("lacks it", "ask"))) == "the registry r lacks it: ask"
    )
