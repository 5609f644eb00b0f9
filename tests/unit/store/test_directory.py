from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from kairos_netboot.errors import StoreProblem
from kairos_netboot.store.directory import open_directory

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")


def me() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def test_a_new_directory_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state"
    open_directory(path)
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_file_in_its_place_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreProblem, match="choose another with --state"):
        open_directory(tmp_path / "state" / "deeper")


@needs_root
def test_root_gives_the_directory_and_all_in_it_to_the_service_user(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir()
    (path / "state.db").write_text("")
    owner = open_directory(path)
    assert owner in ("kairos-netboot", "nobody")
    assert {p.owner() for p in (path, path / "state.db")} == {owner}
    assert open_directory(path) == owner
    assert path.stat().st_mode & 0o777 == 0o700


@needs_root
def test_root_does_not_take_over_a_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("")
    with pytest.raises(StoreProblem, match="no state directory"):
        open_directory(tmp_path)
    assert tmp_path.owner() == me()


@needs_root
def test_another_user_than_the_owner_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    open_directory(path, "nobody")
    with pytest.raises(StoreProblem, match="belongs to nobody, not to daemon: chown"):
        open_directory(path, "daemon")


@needs_root
def test_a_user_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreProblem, match="there is no user 'nosuch'"):
        open_directory(tmp_path / "state", "nosuch")


@needs_root
def test_the_service_may_stay_root_if_it_is_told_to(tmp_path: Path) -> None:
    assert open_directory(tmp_path / "state", "root") == "root"
