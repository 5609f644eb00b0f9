from __future__ import annotations

from pathlib import Path

import pytest
import requests

from kairos_netboot.images.endpoints import Endpoint
from kairos_netboot.images.place import Body, Place, Upload
from kairos_netboot.images.session import Headers, Trouble
from tests.registries import answer

TLS = Endpoint(host="r.example", base="https://r.example/v2/")
PLAIN = Endpoint(host="r.example", base="http://r.example/v2/")


def place(
    status: int, endpoint: Endpoint = TLS, asked: list[tuple[str, str]] | None = None
) -> Place:
    def ask(
        method: str, url: str, headers: Headers, silence: float, body: Body = b""
    ) -> requests.Response:
        (asked if asked is not None else []).append((method, url))
        return answer(status)

    return Place(endpoint, "team/x", ask)


def test_paths_count_from_the_repository() -> None:
    asked: list[tuple[str, str]] = []
    place(200, asked=asked).get("manifests/sha256:1", 1.0, headers={})
    place(202, asked=asked).write("POST", "blobs/uploads/", 1.0, headers={}, accepted=(202,))
    place(200, asked=asked).get("https://s.example/x", 1.0, headers={})
    assert asked == [
        ("GET", "https://r.example/v2/team/x/manifests/sha256:1"),
        ("POST", "https://r.example/v2/team/x/blobs/uploads/"),
        ("GET", "https://s.example/x"),
    ]


@pytest.mark.parametrize(
    ("status", "words", "way"),
    [
        (401, r"refuses it \(401\)", "`docker login r.example`"),
        (403, r"refuses it \(403\)", "`docker login r.example`"),
        (404, "does not have it", "check the name and the tag"),
        (400, "answered with status 400", "try again later"),
        (206, "answered with status 206", "try again later"),
    ],
)
def test_each_refusal_to_read_has_a_way_out(status: int, words: str, way: str) -> None:
    with pytest.raises(Trouble, match=words) as caught:
        place(status).get("x", 1.0, headers={})
    assert way in caught.value.way
    assert (caught.value.status, caught.value.again) == (status, False)


@pytest.mark.parametrize(
    ("status", "words", "way"),
    [
        (401, r"does not let us write \(401\)", "someone who may push"),
        (403, r"does not let us write \(403\)", "someone who may push"),
        (404, "no such repository", "create it"),
        (405, r"takes nothing \(405\)", "read-only"),
        (413, r"no file of that size \(413\)", "limit for uploads"),
        (400, "answered with status 400", "try again later"),
    ],
)
def test_each_refusal_to_be_written_has_a_way_out(status: int, words: str, way: str) -> None:
    with pytest.raises(Trouble, match=words) as caught:
        place(status).write("PUT", "x", 1.0, headers={}, accepted=(201,))
    assert way in caught.value.way


def test_a_failure_that_passes_stays_one() -> None:
    with pytest.raises(Trouble, match="answers 503") as caught:
        place(503).get("x", 1.0, headers={})
    assert caught.value.again


def test_plain_http_to_a_port_with_tls_is_suspected() -> None:
    with pytest.raises(Trouble) as caught:
        place(400, PLAIN).get("x", 1.0, headers={})
    assert caught.value.way == "try it without --insecure"


@pytest.mark.parametrize(("endpoint", "hint"), [(PLAIN, True), (TLS, False)])
def test_plain_http_that_is_cut_off_may_have_met_tls(endpoint: Endpoint, hint: bool) -> None:
    def ask(
        method: str, url: str, headers: Headers, silence: float, body: Body = b""
    ) -> requests.Response:
        raise Trouble("broke off", again=True)

    with pytest.raises(Trouble) as caught:
        Place(endpoint, "x", ask).get("x", 1.0, headers={})
    assert ("without --insecure" in caught.value.way) is hint


def test_a_file_is_a_body_as_often_as_it_is_sent(tmp_path: Path) -> None:
    path, sent = tmp_path / "blob", list[int]()
    path.write_bytes(b"x" * 600_000)
    upload = Upload(path, 600_000, sent.append)
    assert len(upload) == 600_000
    assert b"".join(upload) == b"".join(upload) == path.read_bytes()
    assert sum(sent) == 1_200_000
    assert len(sent) > 2
