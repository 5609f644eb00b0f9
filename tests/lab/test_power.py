"""`nodes reinstall --now` through a Redfish emulator that resets a real machine; QEMU's monitor."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import UTC, datetime

import pytest

from kairos_netboot.boot.fleet import Event
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.errors import PowerProblem
from kairos_netboot.power.qemu import Qemu
from kairos_netboot.power.switch import Patience, Supply
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch, Firmware
from tests.lab.conftest import MachineFactory, skip_for
from tests.lab.emulator import PASSWORD, USER, emulate
from tests.lab.image_small.build import build
from tests.lab.image_small.parts import why_not
from tests.lab.lan import Lan
from tests.lab.rack import Rack

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def keep_login(rack: Rack, name: str) -> None:
    command = [*rack.program, "power", "login", name, "-", "--user", USER]
    subprocess.run(command, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True)


def settle(rack: Rack, name: str) -> None:
    """It is a machine that was installed before."""
    store = Store(rack.state)
    try:
        node = store.fleet().named(name)
        at = datetime.now(UTC)
        store.record([(Event(node=node.id, at=at, kind=Kind.KEPT, text="as before"), None)])
    finally:
        store.close()


def test_a_machine_is_reset_boots_from_the_network_and_is_handed_its_script(
    lan: Lan, machine: MachineFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_for(why_not(Arch.AMD64))
    rack = Rack(lan, f"dir:{build(Arch.AMD64)}")
    one = machine("alpha", firmware=Firmware.BIOS, memory=512)
    with emulate(one, lan.folder, monkeypatch) as (url, systems):
        power = f"    power: {{kind: redfish, address: '{url}', login: bmc, insecure: true}}\n"
        rack.apply({"alpha": one}, settings=power)
        keep_login(rack, "bmc")
        settle(rack, "alpha")
        rack.serve()
        with one:
            one.wait_for(r"Booting from Hard Disk", 60)
            assert rack.node("alpha").state is State.INSTALLED
            assert rack.cli("nodes", "power", "status", "alpha") == "alpha: on\n"

            said = rack.cli("nodes", "reinstall", "alpha", "--now").splitlines()
            node = rack.wait_for("alpha", State.BOOTING, State.INSTALLING, timeout=90)

            assert said == [
                "alpha is armed: installs when it next boots from the network",
                "alpha: boots once from the network (Pxe); restarted (ForceRestart)",
            ]
            assert node.boots == 1
            assert one.firmware_starts() == 2
            assert rack.cli("nodes", "power", "off", "alpha") == "alpha: switched off\n"
            assert not one.is_running()
    assert systems.boot_devices == ["Pxe"]
    assert systems.power_states == ["ForceRestart", "ForceOff"]
    told = [event.text for event in rack.timeline("alpha") if event.kind is Kind.POWER]
    assert told == [
        "power: boots once from the network (Pxe); restarted (ForceRestart)",
        "power: switched off",
    ]
    assert not any(PASSWORD in event.text for event in rack.timeline("alpha"))


def test_a_machine_is_reset_and_ended_by_its_monitor(lan: Lan, machine: MachineFactory) -> None:
    path = lan.folder / "power.qmp"  # the lab holds the first one itself
    second = ("-qmp", f"unix:{path},server=on,wait=off")
    one = machine("alpha", firmware=Firmware.BIOS, memory=128, extra=second)
    qemu = Qemu(str(path), Patience(shutdown=2.0, poll=0.2))
    with one:
        assert asyncio.run(qemu.status()).supply is Supply.ON
        one.wait_for_start(1, 30)
        assert asyncio.run(qemu.cycle()) == "restarted (system_reset)"
        one.wait_for_start(2, 30)
        assert asyncio.run(qemu.on()) == "was on already"
        # Firmware alone hears no power button.
        with pytest.raises(PowerProblem, match="without --graceful"):
            asyncio.run(qemu.off(graceful=True))
        assert asyncio.run(qemu.off()) == "switched off"
        assert asyncio.run(qemu.status()).supply is Supply.OFF
