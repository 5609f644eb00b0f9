"""Beside every DHCP server a site may have: machines boot from us, and its leases are its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.values import Firmware, Mac
from tests.lab.capture import DhcpPacket
from tests.lab.conftest import MachineFactory
from tests.lab.image.build import build
from tests.lab.lan import SERVER_ADDRESS, SERVER_MAC, Lan
from tests.lab.rack import Rack
from tests.lab.site import SITE_ADDRESS, SiteServer

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 600
DOCUMENT_SECONDS = 400


@pytest.fixture
def rack(lan: Lan) -> Rack:
    return Rack(lan, f"oci-archive:{build(ROOT / '.cache' / 'sample.oci.tar')}")


def leases(lan: Lan, packets: list[DhcpPacket]) -> set[str]:
    """The addresses that the site's server gave, all of them by itself."""
    given = [p for p in packets if p.kind == "ack" and p.frame.source_ip == SITE_ADDRESS]
    assert all(p.frame.source_ip == SITE_ADDRESS for p in packets if p.offered != "0.0.0.0")
    return {p.offered for p in given}


@pytest.mark.lan(site=SiteServer.KEA, ipv6=True)
def test_beside_kea_a_machine_is_installed_and_keeps_its_lease(
    lan: Lan, rack: Rack, machine: MachineFactory
) -> None:
    one = machine("alpha", firmware=Firmware.BIOS)
    rack.apply({"alpha": one})
    rack.serve()
    with one:
        node = rack.wait_for("alpha", State.READY, State.FAILED, timeout=INSTALL_SECONDS)
    assert node.state is State.READY
    # The firmware, the installer and the installed system may each be another client to it.
    addresses = leases(lan, one.capture().dhcp(one.mac))
    for address in addresses:
        assert f"lease {address} has been allocated" in lan.dhcp_log()
    assert "ERROR" not in lan.dhcp_log()


@pytest.mark.lan(site=SiteServer.KEA)
def test_beside_kea_uefi_finds_us_on_port_4011(
    lan: Lan, rack: Rack, machine: MachineFactory
) -> None:
    one = machine("beta", firmware=Firmware.UEFI, memory=512)
    rack.apply({"beta": one})
    rack.serve()
    with one:
        rack.wait_for("beta", State.BOOTING, timeout=DOCUMENT_SECONDS)
    capture = one.capture()
    assert any(p.frame.target_port == 4011 for p in capture.dhcp(one.mac))
    assert capture.tftp(one.mac)[0].frame.target_ip == SERVER_ADDRESS
    leases(lan, capture.dhcp(one.mac))


@pytest.mark.lan(site=SiteServer.KEA)
def test_beside_kea_a_stranger_gets_its_lease_and_no_packet_from_us(
    lan: Lan, rack: Rack, machine: MachineFactory
) -> None:
    stranger = machine("stranger", firmware=Firmware.BIOS, memory=512)
    rack.apply({})
    rack.serve()
    with stranger:
        rack.wait_for(stranger.mac, State.DISCOVERED, timeout=120)
        stranger.wait_for(r"Nothing to boot", 120)
    assert [f for f in stranger.capture().frames if f.source_mac == Mac(SERVER_MAC)] == []
    assert "has been allocated" in lan.dhcp_log()
