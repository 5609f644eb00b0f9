from __future__ import annotations

import asyncio

import pytest

from kairos_netboot.errors import PowerProblem
from kairos_netboot.power.switch import NetworkBoot, Supply
from kairos_netboot.power.wake import Wake, magic_packet
from kairos_netboot.values import Mac

MAC = Mac("52:54:00:12:34:56")


def test_a_magic_packet_is_the_address_sixteen_times() -> None:
    packet = magic_packet(MAC)
    assert len(packet) == 102
    assert packet[:12] == b"\xff\xff\xff\xff\xff\xff\x52\x54\x00\x12\x34\x56"
    assert packet[6:] == bytes.fromhex("525400123456") * 16


def test_it_only_switches_on() -> None:
    wake = Wake([MAC], [])
    for act in (wake.off(), wake.cycle(), wake.boot_from_network_once(NetworkBoot.PXE)):
        with pytest.raises(PowerProblem, match="only switches on"):
            asyncio.run(act)
    assert asyncio.run(wake.status()).supply is Supply.UNKNOWN


def test_a_machine_without_a_known_card_is_told() -> None:
    with pytest.raises(PowerProblem, match="write its `macs`"):
        asyncio.run(Wake([], []).on())


def test_a_host_without_a_network_is_told() -> None:
    with pytest.raises(PowerProblem, match="give an `address`"):
        asyncio.run(Wake([MAC], []).on())
