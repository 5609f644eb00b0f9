from __future__ import annotations

from pathlib import Path

import pytest
import requests

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.reference import RegistryReference
from kairos_netboot.images.registry import check_status, open_registry, told

REFERENCE = RegistryReference(host="r.example", name="a/b", tag="c")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, r"r\.example refuses it \(401\).*docker login r\.example"),
        (403, r"r\.example refuses it \(403\)"),
        (404, r"r\.example does not have it: check the name and the tag"),
        (429, r"r\.example answered with status 429: try again later"),
        (500, r"r\.example answered with status 500: try again later"),
        (206, r"status 206"),
    ],
)
def test_each_bad_status_names_the_registry_and_a_way_out(status: int, words: str) -> None:
    with pytest.raises(ImageProblem, match=words):
        check_status(REFERENCE, status)


def test_success_is_no_problem() -> None:
    check_status(REFERENCE, 200)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (requests.exceptions.SSLError("x"), "speaks no TLS that can be trusted: use --insecure"),
        (requests.exceptions.ConnectTimeout("x"), "does not answer"),
        (requests.exceptions.ReadTimeout("x"), "does not answer"),
        (requests.exceptions.ConnectionError("x"), "cannot be reached: check its name and port"),
        (requests.exceptions.ChunkedEncodingError("x"), "broke off in the middle"),
        (KeyError("token"), "answered the login with nonsense"),
    ],
)
def test_each_failure_is_one_line_and_keeps_its_details(error: Exception, words: str) -> None:
    with (
        pytest.raises(ImageProblem, match=f"the registry r.example {words}") as caught,
        told(REFERENCE, insecure=False),
    ):
        raise error
    assert "\n" not in str(caught.value)
    assert caught.value.details


def test_an_insecure_registry_that_does_not_answer_may_speak_tls() -> None:
    with pytest.raises(ImageProblem, match="without --insecure"), told(REFERENCE, insecure=True):
        raise requests.exceptions.ConnectionError("x")


def test_a_broken_login_file_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    with (
        pytest.raises(ImageProblem, match="mend or remove it"),
        open_registry(REFERENCE, insecure=False, environ=environ),
    ):
        pass
