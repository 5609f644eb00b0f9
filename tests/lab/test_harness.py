"""The lab itself: real firmware asks, the site answers, and nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kairos_netboot.values import Firmware, Mac
from tests.lab.conftest import MachineFactory, require_lab
from tests.lab.lan import SERVER_ADDRESS, LabError, Lan
from tests.lab.leftovers import namespaces, own_mark, sweep
from tests.lab.machine import ConsoleTimeout, Machine
from tests.lab.site import SITE_ADDRESS

pytestmark = pytest.mark.lab

MAC = Mac("52:54:00:77:00:0a")
_WEB = [sys.executable, "-m", "http.server", "8080", "--bind", SERVER_ADDRESS]

# A run of its own that says what it made and then waits to be killed.
_DOOMED = """
import json, sys, time
from kairos_netboot.values import Firmware, Mac
from tests.lab.lan import Lan
from tests.lab.leftovers import own_mark
from tests.lab.machine import Machine
with Lan() as lan:
    machine = Machine(lan, "doomed", firmware=Firmware.BIOS, mac=Mac("525400770063"), memory=128)
    machine.start()
    print(json.dumps([own_mark(), str(lan.folder)]), flush=True)
    time.sleep(600)
"""


@pytest.mark.lan(ipv6=True)
def test_bios_machine_gets_a_lease_from_the_site_and_goes_on_to_its_disk(
    lan: Lan, machine: MachineFactory
) -> None:
    bios = machine("bios", firmware=Firmware.BIOS, memory=512)
    bios.start()

    bios.wait_for(r"Nothing to boot", 90)
    bios.wait_for(r"Booting from Hard Disk", 30)

    seen = bios.capture().dhcp(bios.mac)
    assert (seen[0].kind, seen[0].arch, seen[0].is_ipxe) == ("discover", 0, True)
    assert {p.kind for p in seen} == {"discover", "offer", "request", "ack"}
    offer = next(p for p in seen if p.kind == "offer")
    assert (offer.frame.source_ip, offer.file, offer.next_server) == (
        SITE_ADDRESS,
        "",  # no boot file; dnsmasq names itself as next server all the same
        SITE_ADDRESS,
    )
    assert f"DHCPACK(eth0) {offer.offered} {bios.mac}" in lan.dhcp_log()
    assert bios.capture().sent_to(bios.mac, by=SERVER_ADDRESS) == []


def test_uefi_machine_asks_with_its_own_pxe_client(lan: Lan, machine: MachineFactory) -> None:
    uefi = machine("uefi", firmware=Firmware.UEFI, memory=512)
    uefi.start()

    uefi.wait_for(r">>Start PXE over IPv4", 90)
    deadline = time.monotonic() + 30
    while len(lan.capture().dhcp(uefi.mac)) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)

    discover, offer = lan.capture().dhcp(uefi.mac)[:2]
    assert (discover.kind, discover.arch, discover.is_ipxe) == ("discover", 7, False)
    assert (offer.kind, offer.frame.source_ip) == ("offer", SITE_ADDRESS)


@pytest.mark.parametrize(
    ("firmware", "sign"), [(Firmware.BIOS, "Booting from ROM"), (Firmware.UEFI, ">>Start PXE")]
)
def test_each_start_of_the_firmware_is_counted(
    lan: Lan, machine: MachineFactory, firmware: Firmware, sign: str
) -> None:
    one = machine("one", firmware=firmware, memory=256)
    one.start()
    one.wait_for(sign, 90)
    assert one.firmware_starts() == 1
    before = one.mark()

    one.reset()
    one.wait_for_start(2, 10)
    one.wait_for(sign, 90, after=before)
    one.power_off()
    one.start()
    assert one.firmware_starts() == 3


def test_what_did_not_appear_is_reported_with_the_console(
    lan: Lan, machine: MachineFactory
) -> None:
    bios = machine("bios", firmware=Firmware.BIOS, memory=128)
    bios.start()
    bios.wait_for(r"SeaBIOS", 60)

    with pytest.raises(ConsoleTimeout, match=r"bios did not write 'ready' in 0.5 s(.|\n)*SeaBIOS"):
        bios.wait_for("ready", 0.5)
    bios.power_off()
    with pytest.raises(ConsoleTimeout, match=r"bios ended before it wrote 'ready'"):
        bios.wait_for("ready", 5)


def test_a_server_is_reached_inside_the_lan_only(lan: Lan) -> None:
    server = lan.start(_WEB, log="server.log")
    _until_it_answers(lan)

    assert lan.fetch(f"http://{SERVER_ADDRESS}:8080/none")[0] == 404
    assert lan.fetch(f"http://{SERVER_ADDRESS}:8080/", namespace=lan.site)[0] == 200
    assert lan.fetch(f"http://{SERVER_ADDRESS}:8080/", b"data")[0] == 501
    for namespace in (lan.switch, lan.site, lan.server):
        assert _output("ip", "-n", namespace, "route", "show", "default") == ""
    assert lan.stop(server) != 0
    with pytest.raises(LabError, match=f"http://{SERVER_ADDRESS}:8080/"):
        lan.fetch(f"http://{SERVER_ADDRESS}:8080/")


def test_nothing_is_left_after_a_failure() -> None:
    require_lab()
    lan = Lan()

    def fail_in_mid_boot() -> None:
        with lan:
            lan.start(_WEB, log="server.log")
            Machine(lan, "bios", firmware=Firmware.BIOS, mac=MAC, memory=128).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_in_mid_boot()

    assert not namespaces(f"knb-lab-{own_mark()}-")
    assert not lan.folder.exists()
    assert _processes_about(lan.folder) == ""


def test_a_killed_run_leaves_no_machine_and_the_next_one_removes_the_rest() -> None:
    require_lab()
    argv = [sys.executable, "-c", _DOOMED]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as run:
        assert run.stdout is not None
        mark, folder = json.loads(run.stdout.readline())
        assert len(namespaces(f"knb-lab-{mark}-")) == 3
        sweep()  # another run's, and alive: not to be touched
        assert len(namespaces(f"knb-lab-{mark}-")) == 3
        run.kill()

    deadline = time.monotonic() + 5
    while "-name doomed" in _processes_about(Path(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "-name doomed" not in _processes_about(Path(folder))
    sweep()
    assert _processes_about(Path(folder)) == ""
    assert not namespaces(f"knb-lab-{mark}-")
    assert not Path(folder).exists()


def _until_it_answers(lan: Lan) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            assert lan.fetch(f"http://{SERVER_ADDRESS}:8080/")[0] == 200
            return
        except LabError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _processes_about(folder: Path) -> str:
    """Command lines that name a file in the folder: QEMU's and dnsmasq's do."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if str(folder) in words:
            found.append(words)
    return "\n".join(found)
