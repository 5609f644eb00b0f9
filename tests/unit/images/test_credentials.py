from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.credentials import Login, Logins, config_path, login_for, read_logins

LOGIN = base64.b64encode(b"me:se:cret").decode()
ME = Login(user="me", secret="se:cret")


def logins(folder: Path, document: object) -> Logins:
    (folder / "config.json").write_text(json.dumps(document))
    return read_logins({"DOCKER_CONFIG": str(folder)})


def helper(folder: Path, name: str, script: str) -> dict[str, str]:
    """A program on a PATH of its own; the environment to find it in."""
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def asked(
    folder: Path, host: str, document: object, environ: dict[str, str], heard: list[object]
) -> Login | None:
    return login_for(host, logins(folder, document), environ, heard.append)


def test_docker_config_wins_over_the_home_directory() -> None:
    assert config_path({"DOCKER_CONFIG": "/d", "HOME": "/h"}) == Path("/d/config.json")
    assert config_path({"HOME": "/h"}) == Path("/h/.docker/config.json")


def test_without_a_file_nobody_is_logged_in(tmp_path: Path) -> None:
    found = read_logins({"HOME": str(tmp_path)})
    assert (found.auths, found.helpers, found.store) == ({}, {}, "")


@pytest.mark.parametrize(
    "entry", [{"auth": LOGIN}, {"username": "me", "password": "se:cret"}], ids=["auth", "plain"]
)
def test_both_forms_of_a_login_are_read(tmp_path: Path, entry: object) -> None:
    assert logins(tmp_path, {"auths": {"r.example:5000": entry}}).auths == {"r.example:5000": ME}


def test_an_identity_token_wins_over_the_user_beside_it(tmp_path: Path) -> None:
    user = base64.b64encode(b"me:").decode()
    entry = {"auth": user, "identitytoken": "token"}
    found = logins(tmp_path, {"auths": {"r.example": entry}}).auths["r.example"]
    assert (found, found.basic) == (Login(secret="token"), "")


def test_a_login_is_written_as_http_wants_it() -> None:
    assert ME.basic == LOGIN


def test_a_login_does_not_show_its_secret() -> None:
    assert "cret" not in repr(ME)


@pytest.mark.parametrize(
    "key", ["r.example", "https://r.example", "http://r.example/", "https://r.example/v2/"]
)
def test_keys_are_hosts_however_they_are_written(tmp_path: Path, key: str) -> None:
    assert logins(tmp_path, {"auths": {key: {"auth": LOGIN}}}).auths == {"r.example": ME}


def test_a_login_for_a_part_of_a_registry_is_not_for_all_of_it(tmp_path: Path) -> None:
    assert logins(tmp_path, {"auths": {"r.example/team": {"auth": LOGIN}}}).auths == {}


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"]
)
def test_dockers_own_registry_is_known_by_all_its_names(tmp_path: Path, key: str) -> None:
    assert logins(tmp_path, {"auths": {key: {"auth": LOGIN}}}).auths["docker.io"] == ME


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, {"username": "me"}, "text", None])
def test_entries_without_a_login_are_skipped(tmp_path: Path, entry: object) -> None:
    assert logins(tmp_path, {"auths": {"r.example": entry}}).auths == {}


@pytest.mark.parametrize("auth", ["%%%", "bm8gY29sb24=", "/////w==", "OnNlY3JldA=="])
def test_a_login_that_cannot_be_read_is_named(tmp_path: Path, auth: str) -> None:
    with pytest.raises(ImageProblem, match=r"no login that can be read for r\.example: log in"):
        logins(tmp_path, {"auths": {"r.example": {"auth": auth}}})


@pytest.mark.parametrize("text", ["{", "[]", "", "[" * 100_000])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ImageProblem, match=r"config\.json .*: mend or remove it"):
        read_logins({"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("document", [{"auths": []}, {"credHelpers": "x"}, {"credsStore": None}])
def test_what_is_no_table_is_empty(tmp_path: Path, document: object) -> None:
    found = logins(tmp_path, document)
    assert (found.auths, found.helpers, found.store) == ({}, {}, "")


# --- helpers ---

ANSWER = 'read server; echo "$server" > "$0.asked"; echo \'{"Username":"me","Secret":"se:cret"}\''


def test_a_helper_is_asked_for_its_host(tmp_path: Path) -> None:
    environ = helper(tmp_path, "sample", ANSWER)
    document = {"credHelpers": {"r.example:5000": "sample"}}
    assert asked(tmp_path, "r.example:5000", document, environ, []) == ME
    assert (tmp_path / "docker-credential-sample.asked").read_text() == "r.example:5000\n"
    assert asked(tmp_path, "other.example", document, environ, []) is None


def test_the_helper_for_all_is_asked_where_a_host_has_none(tmp_path: Path) -> None:
    environ = helper(tmp_path, "all", ANSWER) | helper(tmp_path, "one", "exit 1")
    document = {"credsStore": "all", "credHelpers": {"r.example": "one"}}
    assert asked(tmp_path, "s.example", document, environ, []) == ME


def test_helpers_know_dockers_own_registry_by_its_old_address(tmp_path: Path) -> None:
    environ = helper(tmp_path, "sample", ANSWER)
    assert asked(tmp_path, "docker.io", {"credsStore": "sample"}, environ, []) == ME
    said = (tmp_path / "docker-credential-sample.asked").read_text()
    assert said == "https://index.docker.io/v1/\n"


def test_a_helper_may_give_an_identity_token(tmp_path: Path) -> None:
    environ = helper(tmp_path, "sample", 'echo \'{"Username":"<token>","Secret":"t"}\'')
    found = asked(tmp_path, "r.example", {"credsStore": "sample"}, environ, [])
    assert found == Login(secret="t")


@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_a_helper_without_the_login_leaves_it_to_the_file(tmp_path: Path, key: str) -> None:
    environ = helper(tmp_path, "sample", "echo credentials not found in native keychain; exit 1")
    helpers: object = {"r.example": "sample"} if key == "credHelpers" else "sample"
    document = {key: helpers, "auths": {"r.example": {"auth": LOGIN}}}
    heard: list[object] = []
    assert asked(tmp_path, "r.example", document, environ, heard) == ME
    assert heard == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo locked >&2; exit 1", r"the helper docker-credential-x fails for r\.example: locked"),
        ("echo words", "answers nonsense"),
        ("echo '{}'", "answers nonsense"),
        ("echo '[]'", "answers nonsense"),
    ],
)
def test_a_helper_that_was_named_for_the_host_has_to_work(
    tmp_path: Path, script: str, words: str
) -> None:
    environ = helper(tmp_path, "x", script)
    with pytest.raises(ImageProblem, match=words):
        asked(tmp_path, "r.example", {"credHelpers": {"r.example": "x"}}, environ, [])


@pytest.mark.parametrize("name", ["missing", "../docker-credential-x", "-x", "a b"])
def test_a_helper_that_is_not_installed_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageProblem, match=r"config\.json names the helper .* not installed"):
        asked(tmp_path, "r.example", {"credHelpers": {"r.example": name}}, {"PATH": "/bin"}, [])


def test_without_the_helper_for_all_the_work_goes_on_and_that_is_told(tmp_path: Path) -> None:
    heard: list[object] = []
    assert asked(tmp_path, "r.example", {"credsStore": "desktop"}, {"PATH": "/bin"}, heard) is None
    assert heard == [
        f"{tmp_path}/config.json names the helper docker-credential-desktop, which is not"
        " installed; going on without it"
    ]
