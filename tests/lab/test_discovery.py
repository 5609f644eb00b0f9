"""Machines that nobody named, on real firmware: they tell what they are, are approved, install."""

from __future__ import annotations

import time

import pytest

from kairos_netboot.boot.fleet import Node
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.errors import UnknownName
from kairos_netboot.values import Arch, Firmware
from tests.lab.conftest import MachineFactory, skip_for
from tests.lab.image_small.build import build
from tests.lab.image_small.parts import why_not
from tests.lab.lan import LabError, Lan
from tests.lab.machine import Machine
from tests.lab.rack import Rack

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

TOLD_SECONDS = 100
# The rack's site, with a profile that selects.
SELECTS = """\
  lab:
    image: sample
    cloud-config: [common.yaml]
    hostname: "{{ product }}-{{ index }}"
    match: {manufacturer: Lab}
"""


@pytest.fixture
def rack(lan: Lan) -> Rack:
    skip_for(why_not(Arch.AMD64))
    return Rack(lan, f"dir:{build(Arch.AMD64)}")


def wait_for(rack: Rack, one: Machine, kind: Kind) -> Node:
    """The machine when that has happened to it."""
    deadline = time.monotonic() + TOLD_SECONDS
    while time.monotonic() < deadline:
        try:
            events = rack.timeline(one.mac)
        except UnknownName:
            events = ()
        if any(event.kind is kind for event in events):
            return rack.node(one.mac)
        time.sleep(0.3)
    told = "\n".join(event.text for event in events)
    raise LabError(f"no '{kind}' of {one.name} in {TOLD_SECONDS} s:\n{told}\n{one.console()}")


@pytest.mark.parametrize(
    "firmware", [Firmware.BIOS, pytest.param(Firmware.UEFI, marks=pytest.mark.nightly)]
)
def test_an_unnamed_machine_tells_what_it_is_and_installs_when_it_is_approved(
    rack: Rack, machine: MachineFactory, firmware: Firmware
) -> None:
    one = machine("stranger", firmware=firmware, memory=1024)
    rack.apply({}, site="unknown: inventory\n")
    rack.serve()
    with one:
        wait_for(rack, one, Kind.INVENTORY)
        shown = rack.cli("nodes", "discovered")
        assert "Lab Emulated, serial LAB-stranger" in shown
        assert "192.168.77." in shown
        assert rack.node(one.mac).state is State.DISCOVERED
        rack.cli("nodes", "approve", "lab-str", "--profile", "server", "--name", "alpha")
        assert rack.node("alpha").state is State.ARMED
        one.reset()
        assert wait_for(rack, one, Kind.BOOT_STARTED).state is State.BOOTING
    assert "decision: install" in rack.cli("explain", "alpha")


@pytest.mark.parametrize(
    "firmware", [Firmware.UEFI, pytest.param(Firmware.BIOS, marks=pytest.mark.nightly)]
)
def test_a_machine_that_a_selector_fits_is_handed_its_installer_in_its_first_boot(
    rack: Rack, machine: MachineFactory, firmware: Firmware
) -> None:
    one = machine("stranger", firmware=firmware, memory=1024)
    rack.apply({}, site="unknown: inventory\n")
    site = rack.folder / "site.yaml"
    site.write_text(site.read_text().replace("\nnodes:\n", f"{SELECTS}\nnodes:\n"))
    rack.cli("apply", str(site))
    rack.serve()
    with one:
        assert wait_for(rack, one, Kind.BOOT_STARTED).name == "emulated-1"


@pytest.mark.parametrize(
    "firmware", [Firmware.UEFI, pytest.param(Firmware.BIOS, marks=pytest.mark.nightly)]
)
def test_a_machine_whose_network_has_a_profile_is_answered_when_it_asks_first(
    rack: Rack, machine: MachineFactory, firmware: Firmware
) -> None:
    one = machine("stranger", firmware=firmware, memory=1024)
    rack.apply({}, site="unknown: {networks: {192.168.77.0/24: server}}\n")
    rack.serve()
    with one:
        assert wait_for(rack, one, Kind.BOOT_STARTED).name == f"node-{one.mac.replace(':', '')}"
