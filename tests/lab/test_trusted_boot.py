"""Trusted boot by UEFI HTTP Boot, Secure Boot on: a whole ISO, and a document by its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.site import Image
from kairos_netboot.store.store import Store
from kairos_netboot.values import Firmware
from tests.lab.conftest import MachineFactory
from tests.lab.image.build import build
from tests.lab.iso import make_iso
from tests.lab.lan import SERVER_ADDRESS, Lan
from tests.lab.machine import Machine
from tests.lab.qemu import Asks
from tests.lab.rack import Rack

pytestmark = pytest.mark.lab

ROOT = Path(__file__).resolve().parents[2]
KEY = "5f0c2b6d8e914a7fb3d15f0c2b6d8e91"
SITE = """\
images:
  sample: {archive}
  trusted: uki:trusted.iso
profiles:
  plain: {{image: sample}}
  edge:
    image: trusted
    cloud-config: [common.yaml]
    document-key: {key}
nodes:
  edge-1: {{macs: {mac}, profile: edge}}
"""


def trusted_iso(rack: Rack, archive: str, machine: Machine) -> None:
    """With the sample image's kernel and initrd, and a command line that nobody can change."""
    rack.cli("images", "add", archive, "--name", "sample")
    store = Store(rack.state)
    image: Image = store.fleet().images["sample"]
    store.close()
    kernel, initrd, rootfs = (store.blobs.path(blob.digest) for blob in image.boot_files)
    base = f"http://{SERVER_ADDRESS}:8080"
    command_line = (
        f"root=live:{base}/boot/{machine.mac.hyphens}/{rootfs.name}/rootfs.squashfs"
        " rd.live.overlay.overlayfs rd.neednet=1 ip=dhcp rd.cos.disable netboot install-mode"
        " net.ifnames=1 selinux=0 console=ttyS0"
        f" config_url={base}/documents/{KEY}/{machine.mac.hyphens}/cloud-config.yaml"
    )
    make_iso(rack.folder / "trusted.iso", kernel, initrd, command_line)


@pytest.fixture
def edge(lan: Lan, machine: MachineFactory) -> tuple[Machine, Rack]:
    """A machine that is off, and the server with its ISO."""
    archive = f"oci-archive:{build(ROOT / '.cache' / 'sample.oci.tar')}"
    rack = Rack(lan, archive)
    edge = machine("edge-1", firmware=Firmware.UEFI, secure_boot=True, asks=Asks.HTTP)
    trusted_iso(rack, archive, edge)
    site = rack.folder / "site.yaml"
    site.write_text(SITE.format(archive=archive, key=KEY, mac=edge.mac))
    rack.cli("apply", str(site))
    rack.serve()
    return edge, rack


def test_a_whole_iso_starts_under_secure_boot(edge: tuple[Machine, Rack]) -> None:
    machine, rack = edge
    with machine:
        machine.wait_for("Kernel is locked down|Secure boot enabled", 180)
    requests = [x.line.split() for x in machine.capture().http(machine.mac) if ".iso" in x.line]
    assert [method for method, *_ in requests] == ["HEAD", "GET"]
    assert (rack.node("edge-1").state, rack.node("edge-1").boots) == (State.BOOTING, 1)
    told = [event.text for event in rack.timeline("edge-1")]
    assert "boot script: installs 'trusted', start 1 of at most 3" in told
    assert any("fetched kairos.iso" in text for text in told)


@pytest.mark.nightly
def test_the_installer_of_an_iso_finds_its_document_by_its_key(edge: tuple[Machine, Rack]) -> None:
    machine, rack = edge
    with machine:
        rack.wait_for("edge-1", State.INSTALLED, State.FAILED, timeout=600)
    assert rack.node("edge-1").state is State.INSTALLED
    told = [event.text for event in rack.timeline("edge-1")]
    assert "fetched its cloud-config by its key" in told
    assert "installer: started" in told
