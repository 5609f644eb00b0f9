from __future__ import annotations

import os
from pathlib import Path

import pytest

from kairos_netboot.store.ownership import give_to_owner, make_directory

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@needs_root
def test_a_file_of_root_goes_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    os.chown(tmp_path, 1234, 4321)
    give_to_owner(tmp_path / "f", like=tmp_path)
    assert ((tmp_path / "f").stat().st_uid, (tmp_path / "f").stat().st_gid) == (1234, 4321)


@needs_root
def test_a_link_is_given_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    (tmp_path / "l").symlink_to("f")
    os.chown(tmp_path, 1234, 4321)
    give_to_owner(tmp_path / "l", like=tmp_path)
    assert (tmp_path / "f").stat().st_uid == 0
    assert (tmp_path / "l").lstat().st_uid == 1234


def test_the_own_files_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    give_to_owner(tmp_path / "f", like=tmp_path)
    assert (tmp_path / "f").stat().st_uid == os.geteuid()


def test_missing_parents_are_made_and_an_existing_directory_is_left(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "b")
    make_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
