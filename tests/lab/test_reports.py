"""An installer under systemd: how far it is, and why it failed, told by its own hooks."""

from __future__ import annotations

from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.values import Firmware
from tests.lab.conftest import MachineFactory
from tests.lab.image.build import build
from tests.lab.lan import Lan
from tests.lab.rack import COMMON, Rack

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 600
LUCKLESS = """\
  before-install:
    - name: what a stage that finds a fault does
      commands:
        - "echo no luck with this disk > /run/cos/fail_installation"
"""


@pytest.fixture
def rack(lan: Lan) -> Rack:
    archive = build(ROOT / ".cache" / "sample.oci.tar")
    return Rack(lan, f"oci-archive:{archive}")


def test_an_install_that_fails_tells_why_and_what_was_said(
    rack: Rack, machine: MachineFactory
) -> None:
    alpha = machine("alpha", firmware=Firmware.BIOS)
    (rack.folder / "common.yaml").write_text(COMMON + LUCKLESS)
    rack.apply({"alpha": alpha})
    rack.serve()
    with alpha:
        rack.wait_for("alpha", State.FAILED, State.READY, timeout=INSTALL_SECONDS)
    assert rack.node("alpha").state is State.FAILED
    told = [event.text for event in rack.timeline("alpha")]
    assert "installer: failed: no luck with this disk" in told
    log = rack.cli("nodes", "log", "alpha")
    assert "installer   step: before-install" in log
    assert "installer   " + "installer starts" in log
    assert "no luck with this disk" in rack.cli("nodes", "show", "alpha")


@pytest.mark.nightly
def test_an_install_tells_its_steps_and_where_the_system_is(
    rack: Rack, machine: MachineFactory
) -> None:
    alpha = machine("alpha", firmware=Firmware.BIOS)
    rack.apply({"alpha": alpha})
    rack.serve("--syslog")
    with alpha:
        node = rack.wait_for("alpha", State.READY, State.FAILED, timeout=INSTALL_SECONDS)
    told = [event.text for event in rack.timeline("alpha")]
    assert node.state is State.READY
    assert "installer: partition (1 of 6)" in told
    assert any(line.startswith("installer: active (2 of 6") for line in told)
    assert node.facts["address"] in node.facts["addresses"].split(",")
    assert (node.facts["boot-state"], node.facts["hostname"]) == ("active", "alpha")
    assert "installer   step: active" in rack.cli("nodes", "log", "alpha")
