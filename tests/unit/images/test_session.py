from __future__ import annotations

import socket
import ssl

import pytest
import requests
import urllib3

from kairos_netboot.images.session import (
    Session,
    Trouble,
    check,
    same_origin,
    sent_on,
    told,
    trouble_of,
    whole,
)
from tests.registries import answer


def caused(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


def unverified(words: str) -> ssl.SSLError:
    error = ssl.SSLCertVerificationError(1, words)
    error.verify_message = words
    return error


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_status_may_be_asked_again(status: int) -> None:
    trouble = trouble_of(answer(status))
    assert (trouble.again, trouble.status, trouble.words) == (True, status, f"answers {status}")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 501, 302, 206])
def test_any_other_status_is_final(status: int) -> None:
    trouble = trouble_of(answer(status))
    assert (trouble.again, trouble.status) == (False, status)


def test_an_accepted_status_is_no_trouble() -> None:
    check(answer(206), 200, 206)
    with pytest.raises(Trouble):
        check(answer(206), 200)


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("9" * 30, 999_999_999.0),
        ("Sat, 01 Aug 2026 10:00:09 GMT", 9.0),
        ("Sat, 01 Aug 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("٣", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_on_the_answers_own_clock(
    after: str, seconds: float | None
) -> None:
    headers = {"Retry-After": after, "Date": "Sat, 01 Aug 2026 10:00:00 GMT"}
    assert trouble_of(answer(503, headers=headers)).after == seconds


def test_a_date_to_wait_for_means_nothing_without_the_date_it_was_sent() -> None:
    headers = {"Retry-After": "Sat, 01 Aug 2026 10:00:09 GMT"}
    assert trouble_of(answer(503, headers=headers)).after is None


@pytest.mark.parametrize(
    ("error", "words", "again"),
    [
        (unverified("unable to get issuer"), r"not trusted \(unable to get issuer\)", False),
        (ssl.SSLError(1, "wrong version"), "speaks no TLS that can be trusted", False),
        (ssl.SSLEOFError(8, "EOF"), "broke off in the middle", True),
        (socket.gaierror(socket.EAI_NONAME, "x"), "a name that nobody knows", False),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "cannot be reached", True),
        (ConnectionRefusedError(), "refuses the connection", True),
        (ConnectionResetError(), "broke off in the middle", True),
        (BrokenPipeError(), "broke off in the middle", True),
        (TimeoutError(), "does not answer", True),
        (OSError(101, "Network is unreachable"), "cannot be reached", True),
    ],
)
def test_each_failure_has_its_words_however_deep_it_is(
    error: Exception, words: str, again: bool
) -> None:
    wrapped = requests.exceptions.ConnectionError(
        urllib3.exceptions.MaxRetryError(None, "/", caused(urllib3.exceptions.HTTPError(), error))  # type: ignore[arg-type]
    )
    for raised in (error, wrapped):
        with pytest.raises(Trouble, match=words) as caught, told():
            raise raised
        assert caught.value.again is again
        assert caught.value.details


@pytest.mark.parametrize(
    "error", [ValueError("bad port"), UnicodeError(), requests.exceptions.InvalidURL("x")]
)
def test_an_address_that_is_none_is_final(error: Exception) -> None:
    with pytest.raises(Trouble, match="an address that is none") as caught, told():
        raise error
    assert not caught.value.again


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), told():
        _ = 1 // 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://r/a", "https://r/b", True),
        ("https://r/a", "https://r:443/b", True),
        ("http://r/a", "http://r:80/b", True),
        ("https://r/a", "http://r/a", False),
        ("https://r/a", "https://r:5000/a", False),
        ("https://r/a", "https://s/a", False),
        ("https://r/a", "https://r.evil/a", False),
        ("https://r/a", "https://user@R/a", True),
    ],
)
def test_an_origin_is_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert same_origin(one, other) is same


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("/other", "https://r.example/other"),
        ("more", "https://r.example/v2/x/more"),
        ("//s/x", "https://s/x"),
        ("https://s/x", "https://s/x"),
    ],
)
def test_an_answer_points_on_from_its_own_address(target: str, url: str) -> None:
    assert sent_on(answer(), target) == url


@pytest.mark.parametrize(
    "target", ["http://r.example/x", "ftp://s/x", "http://[", "http://h:99999"]
)
def test_who_asked_for_tls_is_not_led_away_from_it(target: str) -> None:
    with pytest.raises(Trouble):
        sent_on(answer(), target)


def test_plain_http_may_lead_to_plain_http() -> None:
    assert sent_on(answer(url="http://r/x"), "http://s/y") == "http://s/y"


def test_a_document_is_read_up_to_its_limit() -> None:
    assert whole(answer(body=b"x" * 10), 10) == b"x" * 10
    with pytest.raises(Trouble, match="more than"):
        whole(answer(body=b"x" * 11), 10)


def test_a_document_that_trickles_is_given_up() -> None:
    with pytest.raises(Trouble, match="sends hardly anything"):
        whole(answer(body=b"x" * 10), 10, seconds=-1)


def test_no_cookies_and_no_packing_are_asked_for() -> None:
    with Session() as session:
        assert session.headers["Accept-Encoding"] == "identity"
        assert session.cookies.get_policy().allowed_domains() == ()  # type: ignore[attr-defined]
