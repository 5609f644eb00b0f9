"""A folder that is replaced whole, or stays."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from kairos_netboot.cli.folder import in_place, refuse_other_file, unpacked
from kairos_netboot.errors import InvalidValue, StoreProblem

SITE = {"site.yaml": b"new", "templates/base.yaml": b"template"}


def texts(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "old.yaml").write_bytes(b"old")
    return tmp_path / "site"


def replace(folder: Path, site: dict[str, bytes]) -> None:
    with unpacked(site, folder) as fresh, in_place(fresh, folder):
        assert texts(folder) == site


def test_what_was_there_is_kept_once(folder: Path) -> None:
    kept = folder.with_name("site.former")
    replace(folder, SITE)
    assert (texts(folder), texts(kept)) == (SITE, {"old.yaml": b"old"})
    replace(folder, SITE)  # which is no other version
    assert (texts(folder), texts(kept)) == (SITE, {"old.yaml": b"old"})
    replace(folder, {"x": b"newer"})
    assert (texts(folder), texts(kept)) == ({"x": b"newer"}, SITE)
    assert sorted(folder.parent.iterdir()) == [folder, kept]


def test_until_it_is_replaced_it_is_as_it_was(folder: Path) -> None:
    with unpacked(SITE, folder) as fresh:
        assert texts(fresh) == SITE
        assert texts(folder) == {"old.yaml": b"old"}
    assert list(folder.parent.iterdir()) == [folder]


def test_passwords_in_it_are_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "site"
    with unpacked(SITE, folder) as fresh, in_place(fresh, folder):
        pass
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def replace_and_fail(folder: Path, error: BaseException) -> None:
    with unpacked(SITE, folder) as fresh, in_place(fresh, folder):
        raise error


@pytest.mark.parametrize("error", [StoreProblem("oh"), KeyboardInterrupt(), OSError("oh")])
def test_what_was_there_comes_back(folder: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        replace_and_fail(folder, error)
    assert raised.value is error
    assert texts(folder) == {"old.yaml": b"old"}
    assert list(folder.parent.iterdir()) == [folder]


def test_what_was_kept_comes_back_too(folder: Path) -> None:
    kept = folder.with_name("site.former")
    replace(folder, {"x": b"newer"})
    with pytest.raises(StoreProblem):
        replace_and_fail(folder, StoreProblem("oh"))
    assert (texts(folder), texts(kept)) == ({"x": b"newer"}, {"old.yaml": b"old"})
    assert sorted(folder.parent.iterdir()) == [folder, kept]


def test_where_nothing_was_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(StoreProblem):
        replace_and_fail(tmp_path / "site", StoreProblem("oh"))
    assert list(tmp_path.iterdir()) == []


def replace_by_nothing(folder: Path) -> None:
    with unpacked(SITE, folder) as fresh:
        shutil.rmtree(fresh)
        with in_place(fresh, folder):
            pass


def test_what_was_there_comes_back_where_the_new_cannot_be_moved(folder: Path) -> None:
    with pytest.raises(StoreProblem, match=f"cannot write {folder}: No such file"):
        replace_by_nothing(folder)
    assert texts(folder) == {"old.yaml": b"old"}


@pytest.mark.parametrize("site", [{"a": b"", "a/b": b""}, {"a/b": b"", "a": b""}, {"x" * 300: b""}])
def test_files_that_no_folder_can_have_are_one_error(folder: Path, site: dict[str, bytes]) -> None:
    with pytest.raises(StoreProblem, match=f"cannot write {folder}: "), unpacked(site, folder):
        pass
    assert list(folder.parent.iterdir()) == [folder]


def test_a_place_below_a_file_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreProblem, match="cannot write "), unpacked(SITE, tmp_path / "file/site"):
        pass


def test_only_a_bundle_is_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "b.tar"
    for data in (None, b"", b"oci-layout\0 and so on"):
        if data is not None:
            target.write_bytes(data)
        refuse_other_file(target)
    target.write_bytes(b"letters to a friend")
    with pytest.raises(InvalidValue, match="is there and is no bundle: name another file"):
        refuse_other_file(target)
