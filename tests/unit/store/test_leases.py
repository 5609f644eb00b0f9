from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from kairos_netboot.dhcp.leasebook import Hold, Lease
from kairos_netboot.store.store import Store

NOW = 1_795_000_000
LEASE = Lease(
    address=IPv4Address("192.0.2.10"),
    hardware=bytes.fromhex("01525400000001"),
    client=bytes.fromhex("ff00112233"),
    ends=NOW + 3600,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "lease",
    [
        LEASE,
        replace(LEASE, client=b""),
        replace(LEASE, hold=Hold.DECLINED),
        replace(LEASE, ends=1 << 40),
    ],
    ids=["bound", "no identifier", "declined", "without end"],
)
def test_a_lease_comes_back_as_it_was(store: Store, lease: Lease) -> None:
    store.put_leases([lease], NOW)
    assert store.leases() == (lease,)


def test_a_later_lease_of_an_address_takes_the_place_of_the_one_before(store: Store) -> None:
    later = replace(LEASE, hardware=b"\x01other!", ends=NOW + 7200)
    store.put_leases([LEASE], NOW)
    store.put_leases([later], NOW)
    assert store.leases() == (later,)


def test_of_several_leases_of_an_address_in_one_batch_the_last_counts(store: Store) -> None:
    later = replace(LEASE, ends=NOW + 7200)
    store.put_leases([LEASE, later], NOW)
    assert store.leases() == (later,)


def test_many_are_written_at_once(store: Store) -> None:
    many = [replace(LEASE, address=IPv4Address(i), ends=NOW + i) for i in range(1, 2000)]
    store.put_leases(many, NOW)
    assert store.leases() == tuple(many)


def test_a_machine_is_remembered_for_90_days(store: Store) -> None:
    store.put_leases([LEASE], NOW)
    other = replace(LEASE, address=IPv4Address("192.0.2.11"), ends=NOW + 200 * 86400)
    store.put_leases([other], LEASE.ends + 90 * 86400)
    assert set(store.leases()) == {LEASE, other}
    store.put_leases([other], LEASE.ends + 90 * 86400 + 1)
    assert store.leases() == (other,)


def test_leases_outlive_the_server(tmp_path: Path) -> None:
    first = Store(tmp_path / "state")
    first.put_leases([LEASE], NOW)
    first.close()
    second = Store(tmp_path / "state")
    assert second.leases() == (LEASE,)
    second.close()
