"""A medium that boots into our server where nothing else does: no proxy-DHCP, no boot file."""

from __future__ import annotations

from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.values import Arch, Firmware
from tests.lab.conftest import MachineFactory, skip_for
from tests.lab.image_small.build import build
from tests.lab.image_small.parts import why_not
from tests.lab.lan import SERVER_ADDRESS, Lan
from tests.lab.rack import Rack

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


@pytest.mark.parametrize("firmware", [Firmware.BIOS, Firmware.UEFI])
def test_a_medium_leads_to_the_boot_script(
    lan: Lan, machine: MachineFactory, firmware: Firmware
) -> None:
    skip_for(why_not(Arch.AMD64))
    rack = Rack(lan, f"dir:{build(Arch.AMD64)}", Arch.AMD64)
    iso = lan.folder / "boot.iso"
    url = f"http://{SERVER_ADDRESS}:8080"
    assert "boots into" in rack.cli("ipxe", "media", "--server", url, "--output", str(iso))
    alpha = machine("alpha", firmware=firmware, memory=1024, extra=_disk(iso))
    rack.apply({"alpha": alpha})
    rack.serve("--no-dhcp")
    alpha.start()
    node = rack.wait_for("alpha", State.BOOTING, State.INSTALLING, State.READY, timeout=200)
    assert node.boots == 1
    assert not [p for p in alpha.capture().dhcp(alpha.mac) if p.frame.source_ip == SERVER_ADDRESS]


def _disk(iso: Path) -> tuple[str, ...]:
    """As a USB stick or virtual medium would be: before the network card."""
    drive = f"if=none,id=medium,format=raw,readonly=on,file={iso}"
    return "-drive", drive, "-device", "virtio-blk-pci,drive=medium,bootindex=0"
