"""The main job on real firmware: machines install themselves, and boot their disks ever after."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.values import Firmware, Mac
from tests.lab.conftest import MachineFactory
from tests.lab.image.build import build
from tests.lab.lan import SERVER_MAC, Lan
from tests.lab.machine import Machine
from tests.lab.rack import Rack

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 600
BOOT_SECONDS = 420
UP = r"installed system up, hostname (\S+)"

# What a newcomer should find on each timeline, in this order.
STORY = (
    "armed, installs when it next boots",
    "DHCP: {firmware}",
    "boot script: installs 'sample', start 1 of at most 3",
    "fetched kernel",
    "fetched initrd",
    "fetched rootfs.squashfs",
    "fetched its cloud-config",
    "installer: started",
    "installer: partitioned",
    "installer: written",
    "installer: finished",
    "the installed system is up, host name '{name}'",
)


@pytest.fixture
def rack(lan: Lan) -> Rack:
    archive = build(ROOT / ".cache" / "sample.oci.tar")
    return Rack(lan, f"oci-archive:{archive}")


def restart(nodes: Mapping[str, Machine]) -> None:
    """Press all reset buttons, and see every machine come up from its disk with its name."""
    marks = {name: one.mark() for name, one in nodes.items()}
    for one in nodes.values():
        one.reset()
    for name, one in nodes.items():
        assert one.wait_for(UP, BOOT_SECONDS, after=marks[name])[1] == name


def count(rack: Rack, name: str, kind: Kind) -> int:
    return sum(event.kind is kind for event in rack.timeline(name))


def tells_the_whole_story(rack: Rack, name: str, firmware: str) -> None:
    told = [event.text for event in rack.timeline(name)]
    position = 0
    for expected in STORY:
        wanted = expected.format(name=name, firmware=firmware)
        found = [i for i, text in enumerate(told) if wanted in text and i >= position]
        assert found, f"'{wanted}' is not told after line {position} of:\n" + "\n".join(told)
        position = found[0]


def test_a_rack_installs_itself_and_boots_its_disks_ever_after(
    lan: Lan, rack: Rack, machine: MachineFactory
) -> None:
    nodes = {
        "alpha": machine("alpha", firmware=Firmware.BIOS),
        "beta": machine("beta", firmware=Firmware.UEFI),
    }
    rack.apply(nodes)
    rack.serve()
    with nodes["alpha"], nodes["beta"]:
        for name, one in nodes.items():
            node = rack.wait_for(name, State.READY, State.FAILED, timeout=INSTALL_SECONDS)
            assert node.state is State.READY
            assert one.wait_for(UP, 60)[1] == name
        tells_the_whole_story(rack, "alpha", "BIOS iPXE")
        tells_the_whole_story(rack, "beta", "UEFI firmware")
        assert "RACK role=server profile=server" in nodes["alpha"].console()
        assert f"servers know their card {nodes['alpha'].mac}" in nodes["alpha"].console()
        assert "RACK role=worker profile=worker" in nodes["beta"].console()
        assert "servers know" not in nodes["beta"].console()
        for _ in range(3):
            restart(nodes)
    for name in nodes:
        assert rack.node(name).state is State.READY
        assert count(rack, name, Kind.BOOT_STARTED) == 1
        assert count(rack, name, Kind.READY) == 1


@pytest.mark.parametrize("firmware", [Firmware.BIOS, Firmware.UEFI])
def test_an_unknown_machine_is_recorded_and_gets_no_packet_from_us(
    lan: Lan, rack: Rack, machine: MachineFactory, firmware: Firmware
) -> None:
    stranger = machine("stranger", firmware=firmware, memory=512)
    rack.apply({})
    rack.serve()
    with stranger:
        rack.wait_for(stranger.mac, State.DISCOVERED, timeout=120)
        time.sleep(20)  # its firmware asks again, and iPXE asks port 4011
    sent = [f for f in stranger.capture().frames if f.source_mac == Mac(SERVER_MAC)]
    assert sent == []
    assert rack.node(stranger.mac).facts["firmware"] == firmware
    assert stranger.mac in rack.cli("nodes", "list")


@pytest.mark.parametrize(
    "firmware", [Firmware.BIOS, pytest.param(Firmware.UEFI, marks=pytest.mark.nightly)]
)
def test_an_install_outlives_the_server_and_a_reinstall_installs_again(
    rack: Rack, machine: MachineFactory, firmware: Firmware
) -> None:
    gamma = machine("gamma", firmware=firmware)
    rack.apply({"gamma": gamma})
    rack.serve()
    with gamma:
        rack.wait_for("gamma", State.INSTALLING, timeout=INSTALL_SECONDS)
        known = rack.timeline("gamma")
        rack.kill()
        time.sleep(5)
        rack.serve()
        assert rack.timeline("gamma")[: len(known)] == known
        rack.wait_for("gamma", State.READY, timeout=INSTALL_SECONDS)
        assert count(rack, "gamma", Kind.BOOT_STARTED) == 1
        gamma.wait_for(UP, 60)

        assert "gamma is armed" in rack.cli("nodes", "reinstall", "gamma")
        mark = gamma.mark()
        gamma.reset()
        rack.wait_for("gamma", State.INSTALLING, timeout=INSTALL_SECONDS)
        rack.wait_for("gamma", State.READY, timeout=INSTALL_SECONDS)
        assert gamma.wait_for(UP, 60, after=mark)[1] == "gamma"
    assert count(rack, "gamma", Kind.READY) == 2


@pytest.mark.parametrize(
    ("firmware", "methods"),
    [
        (Firmware.BIOS, ("exit", "sanboot")),
        # OVMF tries four other ways to boot from the network before its disk: minutes each.
        pytest.param(Firmware.UEFI, ("exit", "silence"), marks=pytest.mark.nightly),
    ],
)
def test_every_exit_method_leads_to_the_disk(
    rack: Rack, machine: MachineFactory, firmware: Firmware, methods: tuple[str, ...]
) -> None:
    delta = machine("delta", firmware=firmware)
    rack.apply({"delta": delta})
    rack.serve()
    with delta:
        rack.wait_for("delta", State.READY, timeout=INSTALL_SECONDS)
        for method in methods:
            setting = f"    exit: {{{firmware}: {method}}}\n"
            assert "exit changed" in rack.apply({"delta": delta}, setting)
            known = len(rack.timeline("delta"))
            time.sleep(2)  # the server looks for what others wrote twice a second
            restart({"delta": delta})
            # Not the last line: OVMF goes on to HTTP Boot before its disk, and is left alone again.
            said = [e.text for e in rack.timeline("delta")[known:] if e.kind is Kind.LEFT_ALONE]
            expected = "after our silence" if method == "silence" else f"for the disk ({method})"
            assert any(expected in text for text in said)


def test_a_node_that_never_reports_is_stopped_after_three_starts(
    rack: Rack, machine: MachineFactory
) -> None:
    broken = machine("epsilon", firmware=Firmware.BIOS, memory=512)
    rack.apply({"epsilon": broken})
    rack.serve()
    with broken:
        for start in range(1, 4):
            _wait_for_boots(rack, "epsilon", start)
            broken.reset()
        node = rack.wait_for("epsilon", State.FAILED, timeout=120)
    assert node.boots == 3
    assert count(rack, "epsilon", Kind.BOOT_STARTED) == 3
    assert "nodes reinstall epsilon" in rack.timeline("epsilon")[-1].text


def _wait_for_boots(rack: Rack, name: str, boots: int) -> None:
    deadline = time.monotonic() + 120
    while rack.node(name).boots != boots:
        assert time.monotonic() < deadline
        time.sleep(0.5)
