from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.errors import InvalidValue, StoreProblem, UnknownName
from kairos_netboot.store.logins import (
    KEY_FILE,
    Login,
    drop_login,
    login_names,
    put_login,
    read_login,
    seal,
    unseal,
)
from kairos_netboot.store.store import Store

LOGIN = Login(user="root-of-bmc", password="hunter2-and-more")
KEY = bytes(range(32))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state")
    yield opened
    opened.close()


def test_a_login_comes_back(store: Store) -> None:
    assert put_login(store, "bmc", LOGIN)
    assert read_login(store, "bmc") == LOGIN
    assert list(login_names(store)) == ["bmc"]


def test_a_newer_one_takes_its_place(store: Store) -> None:
    put_login(store, "bmc", LOGIN)
    newer = Login(user="other", password="x")
    assert not put_login(store, "bmc", newer)
    assert read_login(store, "bmc") == newer


def test_nothing_of_it_is_in_the_database(store: Store) -> None:
    put_login(store, "bmc", LOGIN)
    store.close()
    files = [p for p in store.directory.rglob("*") if p.is_file() and p.name != KEY_FILE]
    assert any(p.name == "state.db" for p in files)
    for path in files:
        content = path.read_bytes()
        assert LOGIN.user.encode() not in content
        assert LOGIN.password.encode() not in content


def test_its_key_is_the_owners_alone_and_made_once(store: Store) -> None:
    put_login(store, "bmc", LOGIN)
    path = store.directory / KEY_FILE
    first = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_uid == (store.directory / "state.db").stat().st_uid
    put_login(store, "other", LOGIN)
    assert path.read_bytes() == first
    assert [p.name for p in store.directory.iterdir() if p.name.startswith(".secret")] == []


def test_a_lost_key_is_told_with_the_way_out(store: Store) -> None:
    put_login(store, "bmc", LOGIN)
    (store.directory / KEY_FILE).unlink()
    with pytest.raises(StoreProblem, match=r"secret\.key is gone.*power login bmc --user"):
        read_login(store, "bmc")


def test_another_key_opens_nothing(store: Store) -> None:
    put_login(store, "bmc", LOGIN)
    (store.directory / KEY_FILE).unlink()
    put_login(store, "newer", LOGIN)
    assert read_login(store, "newer") == LOGIN
    with pytest.raises(StoreProblem, match="sealed with another key"):
        read_login(store, "bmc")


def test_a_key_that_others_can_read_is_refused(store: Store) -> None:
    put_login(store, "bmc", LOGIN)
    (store.directory / KEY_FILE).chmod(0o644)
    with pytest.raises(StoreProblem, match="chmod 600"):
        read_login(store, "bmc")


@pytest.mark.parametrize("content", [b"", b"c2hvcnQ=\n", b"no base64!"])
def test_a_damaged_key_is_told(store: Store, content: bytes) -> None:
    put_login(store, "bmc", LOGIN)
    (store.directory / KEY_FILE).write_bytes(content)
    with pytest.raises(StoreProblem, match="damaged"):
        read_login(store, "bmc")


def test_what_is_not_there_is_told(store: Store) -> None:
    with pytest.raises(UnknownName, match="power login bmc"):
        read_login(store, "bmc")
    with pytest.raises(UnknownName, match="power logins"):
        drop_login(store, "bmc")


def test_a_login_is_forgotten(store: Store) -> None:
    put_login(store, "bmc", LOGIN)
    drop_login(store, "bmc")
    assert list(login_names(store)) == []


def test_a_name_that_site_files_cannot_write_is_refused(store: Store) -> None:
    with pytest.raises(InvalidValue):
        put_login(store, "a b", LOGIN)
    assert not (store.directory / KEY_FILE).exists()


def test_a_password_is_not_shown() -> None:
    assert "hunter2" not in repr(LOGIN)


@given(st.text(max_size=40), st.text(max_size=40))
def test_what_is_sealed_opens_under_its_own_name_only(user: str, password: str) -> None:
    login = Login(user=user, password=password)
    sealed = seal(KEY, "bmc", login)
    assert unseal(KEY, "bmc", sealed) == login
    with pytest.raises(StoreProblem):
        unseal(KEY, "other", sealed)
    with pytest.raises(StoreProblem):
        unseal(bytes(32), "bmc", sealed)


@given(st.text(max_size=80))
def test_any_text_in_its_place_is_told(text: str) -> None:
    with pytest.raises(StoreProblem):
        unseal(KEY, "bmc", text)
