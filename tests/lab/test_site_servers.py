"""Beside ISC Kea, as beside dnsmasq everywhere else: machines boot from us, and their leases are
the site's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.values import Arch, Firmware, Mac
from tests.lab.conftest import MachineFactory, skip_for
from tests.lab.image.build import build as build_sample
from tests.lab.image_small.build import build
from tests.lab.image_small.parts import why_not
from tests.lab.lan import SERVER_ADDRESS, SERVER_MAC, Lan
from tests.lab.machine import Machine
from tests.lab.rack import Rack
from tests.lab.site import SITE_ADDRESS, SiteServer

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(1200),
    pytest.mark.lan(site=SiteServer.KEA),
]

ROOT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 600


def leases_are_the_sites(lan: Lan, one: Machine) -> None:
    packets = one.capture().dhcp(one.mac)
    given = [p for p in packets if p.offered != "0.0.0.0"]
    assert given
    assert {p.frame.source_ip for p in given} == {SITE_ADDRESS}
    assert all(p.kind != "nak" for p in packets)
    for packet in given:
        if packet.kind == "ack":
            assert f"lease {packet.offered} has been allocated" in lan.dhcp_log()


def test_a_uefi_machine_is_installed(lan: Lan, machine: MachineFactory) -> None:
    skip_for(why_not(Arch.AMD64))
    rack = Rack(lan, f"dir:{build(Arch.AMD64)}")
    one = machine("alpha", firmware=Firmware.UEFI)
    rack.apply({"alpha": one}, site="boot: {uefi-amd64: grub}\n")
    rack.serve()
    with one:
        node = rack.wait_for("alpha", State.READY, State.FAILED, timeout=INSTALL_SECONDS)
    assert node.state is State.READY
    # Kea names no next server: UEFI finds us by the proxy's offer alone.
    assert one.capture().tftp(one.mac)[0].frame.target_ip == SERVER_ADDRESS
    leases_are_the_sites(lan, one)


@pytest.mark.nightly
def test_a_bios_machine_is_installed(lan: Lan, machine: MachineFactory) -> None:
    rack = Rack(lan, f"oci-archive:{build_sample(ROOT / '.cache' / 'sample.oci.tar')}")
    one = machine("alpha", firmware=Firmware.BIOS)
    rack.apply({"alpha": one})
    rack.serve()
    with one:
        node = rack.wait_for("alpha", State.READY, State.FAILED, timeout=INSTALL_SECONDS)
    assert node.state is State.READY
    leases_are_the_sites(lan, one)


@pytest.mark.nightly
def test_a_stranger_gets_its_lease_and_no_packet_from_us(lan: Lan, machine: MachineFactory) -> None:
    skip_for(why_not(Arch.AMD64))
    rack = Rack(lan, f"dir:{build(Arch.AMD64)}")
    stranger = machine("stranger", firmware=Firmware.UEFI, memory=512)
    rack.apply({})
    rack.serve()
    with stranger:
        rack.wait_for(stranger.mac, State.DISCOVERED, timeout=120)
        deadline = time.monotonic() + 60
        while not any(p.kind == "offer" for p in stranger.capture().dhcp(stranger.mac)):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        time.sleep(5)  # it asks again
    assert [f for f in stranger.capture().frames if f.source_mac == Mac(SERVER_MAC)] == []
    assert SITE_ADDRESS in {p.frame.source_ip for p in stranger.capture().dhcp(stranger.mac)}
