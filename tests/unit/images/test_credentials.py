from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.credentials import config_path, read_credentials

LOGIN = base64.b64encode(b"me:secret").decode()


def logins(tmp_path: Path, document: object) -> object:
    (tmp_path / "config.json").write_text(json.dumps(document))
    return read_credentials({"DOCKER_CONFIG": str(tmp_path)})["auths"]


def test_docker_config_wins_over_the_home_directory() -> None:
    assert config_path({"DOCKER_CONFIG": "/d", "HOME": "/h"}) == Path("/d/config.json")
    assert config_path({"HOME": "/h"}) == Path("/h/.docker/config.json")


def test_without_a_file_nobody_is_logged_in(tmp_path: Path) -> None:
    assert read_credentials({"HOME": str(tmp_path)}) == {
        "auths": {},
        "credHelpers": {},
        "credsStore": None,
    }


@pytest.mark.parametrize(
    "entry", [{"auth": LOGIN}, {"username": "me", "password": "secret"}], ids=["auth", "plain"]
)
def test_both_forms_of_a_login_are_read(tmp_path: Path, entry: object) -> None:
    assert logins(tmp_path, {"auths": {"r.example:5000": entry}}) == {
        "r.example:5000": {"auth": LOGIN}
    }


def test_dockers_own_registry_is_known_by_all_its_names(tmp_path: Path) -> None:
    found = logins(tmp_path, {"auths": {"https://index.docker.io/v1/": {"auth": LOGIN}}})
    names = ("docker.io", "index.docker.io", "registry-1.docker.io")
    assert found == {name: {"auth": LOGIN} for name in names}


def test_helpers_are_passed_on(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"credHelpers": {"r.example": "pass"}, "credsStore": "secretservice"})
    )
    found = read_credentials({"DOCKER_CONFIG": str(tmp_path)})
    assert (found["credHelpers"], found["credsStore"]) == ({"r.example": "pass"}, "secretservice")


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, "text", None])
def test_entries_without_a_login_are_skipped(tmp_path: Path, entry: object) -> None:
    assert logins(tmp_path, {"auths": {"r.example": entry}}) == {}


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ImageProblem, match=r"config\.json .*: mend or remove it"):
        read_credentials({"DOCKER_CONFIG": str(tmp_path)})
