"""Secure Boot by PXE beside a DHCP server that nobody may touch: the signed GRUB asks nobody but
the server of its lease, so that we lend it one."""

from __future__ import annotations

import pytest

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.values import Arch, Firmware
from tests.lab.conftest import MachineFactory, skip_for
from tests.lab.image_small.build import build
from tests.lab.image_small.parts import why_not
from tests.lab.lan import SERVER_ADDRESS, Lan
from tests.lab.rack import Rack
from tests.lab.site import SITE_ADDRESS, SiteServer

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

SHIM = "boot: {uefi-amd64: shim}\n"
SUBNET = "dhcp: {subnets: {192.168.77.0/24: {routers: 192.168.77.1}}}\n"
LOCKED = "Kernel is locked down from EFI Secure Boot"


@pytest.fixture
def rack(lan: Lan) -> Rack:
    skip_for(why_not(Arch.AMD64))
    return Rack(lan, f"dir:{build(Arch.AMD64)}", Arch.AMD64)


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        pytest.param("", "", marks=pytest.mark.lan(site=SiteServer.DNSMASQ), id="dnsmasq"),
        pytest.param(
            "    address: 192.168.77.50\n",
            "192.168.77.50",
            marks=[pytest.mark.lan(site=SiteServer.KEA), pytest.mark.nightly],
            id="reserved-beside-kea",
        ),
        pytest.param(
            "    address: 192.168.77.50\n",
            "192.168.77.50",
            marks=[pytest.mark.lan(site=SiteServer.DNSMASQ), pytest.mark.nightly],
            id="reserved",
        ),
    ],
)
def test_a_machine_with_secure_boot_is_lent_an_address_and_installed(
    rack: Rack, machine: MachineFactory, settings: str, address: str
) -> None:
    alpha = machine("alpha", firmware=Firmware.UEFI, secure_boot=True)
    rack.apply({"alpha": alpha}, settings, site=SHIM + SUBNET)
    rack.serve()
    alpha.start()
    node = rack.wait_for("alpha", State.READY, State.FAILED, timeout=400)
    texts = [event.text for event in rack.timeline("alpha")]
    assert node.state is State.READY, texts
    assert LOCKED in alpha.console()
    offers = [p for p in alpha.capture().dhcp(alpha.mac) if p.kind == "offer"]
    ours = {p.offered for p in offers if p.frame.source_ip == SERVER_ADDRESS} - {"0.0.0.0"}
    theirs = {p.offered for p in offers if p.frame.source_ip == SITE_ADDRESS}
    assert ours == ({address} if address else theirs & ours)
    assert ours
    # The system that was started has asked the site for its lease.
    accepted = [p for p in alpha.capture().dhcp(alpha.mac) if p.kind == "ack"]
    assert accepted[-1].frame.source_ip == SITE_ADDRESS
