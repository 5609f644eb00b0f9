"""A kernel and an initrd that are no Kairos, booted by the real program on an emulated machine."""

from __future__ import annotations

import pytest

from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.values import Arch, Firmware
from tests.lab.conftest import MachineFactory, skip_for
from tests.lab.generic import write_system
from tests.lab.image_small.parts import why_not
from tests.lab.lan import Lan
from tests.lab.rack import Rack

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SITE = """\
images:
  small: files:kernel=vmlinuz,initrd=initrd
profiles:
  small:
    family: generic
    image: small
    document: settings.sh
    kernel-args: [console=ttyS0, "settings={{{{ document_url }}}}"]
nodes:
  alpha:
    macs: [{mac}]
    profile: small
"""
SETTINGS = "name={{ node.name }}\nreport={{ report_url }}\n"


def test_any_kernel_fetches_its_document_and_reports(lan: Lan, machine: MachineFactory) -> None:
    skip_for(why_not(Arch.AMD64))
    rack = Rack(lan, "")
    write_system(rack.folder)
    rack.folder.joinpath("settings.sh").write_text(SETTINGS)
    one = machine("alpha", firmware=Firmware.BIOS, memory=512)
    site = rack.folder / "site.yaml"
    site.write_text(SITE.format(mac=one.mac))
    rack.cli("apply", str(site))
    assert "no release facts" not in rack.cli("images", "list")
    rack.serve()
    with one:
        one.wait_for(r"GENERIC: this is alpha", 60)
        one.wait_for(r"GENERIC: told", 30)
        rack.wait_for("alpha", State.READY, timeout=20)
    kinds = [event.kind for event in rack.timeline("alpha")]
    assert kinds.count(Kind.BOOT_STARTED) == 1
    wanted = [Kind.INSTALL_STARTED, Kind.INSTALL_FINISHED, Kind.READY]
    assert [kind for kind in kinds if kind in wanted] == wanted
    assert Kind.DOCUMENT in kinds
