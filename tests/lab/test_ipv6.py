"""UEFI that boots over IPv6: beside the site's own DHCPv6 server, and where there is none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.values import Firmware
from tests.lab.conftest import MachineFactory
from tests.lab.image.build import build
from tests.lab.lan import SERVER_ADDRESS6, LabError, Lan
from tests.lab.machine import Machine
from tests.lab.qemu import Asks
from tests.lab.rack import Rack
from tests.lab.site import SITE_PREFIX, SiteServer

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 900
# GRUB has its script and what that names.
LOADED = "fetched initrd"


@pytest.fixture
def rack(lan: Lan) -> Rack:
    archive = build(ROOT / ".cache" / "sample.oci.tar")
    return Rack(lan, f"oci-archive:{archive}")


def boots(rack: Rack, one: Machine, timeout: float) -> list[str]:
    """Start it, wait until its kernel's initrd was fetched; its timeline."""
    rack.apply({one.name: one})
    rack.serve()
    with one:
        return told_until(rack, one, LOADED, timeout)


def told_until(rack: Rack, one: Machine, wanted: str, timeout: float) -> list[str]:
    deadline = time.monotonic() + timeout
    while True:
        told = [event.text for event in rack.timeline(one.name)]
        if any(text.startswith(wanted) for text in told):
            return told
        if time.monotonic() > deadline:
            lines = "\n".join([*told, one.console()[-2000:]])
            raise LabError(f"{one.name}: no '{wanted}' in {timeout:g} s:\n{lines}")
        time.sleep(0.5)


def asked_nothing_over_ipv4(one: Machine) -> bool:
    """Captures are read as IPv4 alone."""
    return not one.capture().tftp(one.mac) and not one.capture().http(one.mac)


@pytest.mark.lan(dhcp6=True, server_ipv6=True)
def test_pxe_over_ipv6_takes_its_address_from_the_site_and_its_boot_file_from_us(
    lan: Lan, rack: Rack, machine: MachineFactory
) -> None:
    one = machine("alpha", firmware=Firmware.UEFI, asks=Asks.PXE6)
    told = boots(rack, one, 180)
    assert "DHCPv6: UEFI firmware (amd64) asked and was sent to grub-x64.efi" in told
    assert any("port 4011" in text for text in told)
    assert f"Server IP address is {spelled(SERVER_ADDRESS6)}" in one.console()
    assert "DHCPREPLY" in lan.dhcp_log()
    assert asked_nothing_over_ipv4(one)


@pytest.mark.nightly
@pytest.mark.lan(site=SiteServer.NONE, ipv6=True, server_ipv6=True)
def test_where_routers_advertise_and_nobody_gives_addresses_pxe_over_ipv6_is_lent_its_own(
    rack: Rack, machine: MachineFactory
) -> None:
    one = machine("beta", firmware=Firmware.UEFI, asks=Asks.PXE6)
    told = boots(rack, one, 180)
    own = spelled(f"{SITE_PREFIX}5054:ff:fe77:{int(one.mac[-2:], 16):x}")
    assert f"Station IP address is {own}" in one.console()
    assert not any("port 4011" in text for text in told)


@pytest.mark.nightly
@pytest.mark.lan(site=SiteServer.NONE, ipv6=True, server_ipv6=True)
def test_http_boot_over_ipv6_loads_everything_by_http(rack: Rack, machine: MachineFactory) -> None:
    one = machine("gamma", firmware=Firmware.UEFI, asks=Asks.HTTP)
    told = boots(rack, one, 300)  # a minute of which it tries HTTP Boot over IPv4
    assert "DHCPv6: UEFI HTTP Boot (amd64) asked and was sent to grub-x64.efi" in told
    assert not any(text.startswith("TFTP") for text in told)
    assert f"URI: http://[{SERVER_ADDRESS6}]:8080/boot/" in one.console()
    assert asked_nothing_over_ipv4(one)


@pytest.mark.nightly
@pytest.mark.lan(dhcp6=True, server_ipv6=True)
def test_a_machine_that_boots_over_ipv6_is_installed(rack: Rack, machine: MachineFactory) -> None:
    one = machine("delta", firmware=Firmware.UEFI, asks=Asks.PXE6)
    rack.apply({"delta": one})
    rack.serve()
    with one:
        rack.wait_for("delta", State.INSTALLED, State.READY, timeout=INSTALL_SECONDS)
    assert asked_nothing_over_ipv4(one)


def spelled(address: str) -> str:
    """As EDK2 writes it: no zeros in front of a group, none left out."""
    left, _, right = address.partition("::")
    first, last = left.split(":"), right.split(":")
    middle = ["0"] * (8 - len(first) - len(last))
    return ":".join([*first, *middle, *last]).upper()
