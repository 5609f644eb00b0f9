"""Bad wires: what arrives is what was sent, and a machine is installed all the same."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.values import Firmware
from tests.lab.conftest import MachineFactory
from tests.lab.faults import FAR, Trouble, Wire, add_relay, lose
from tests.lab.image.build import build
from tests.lab.lan import LAN, SERVER_ADDRESS, Lan
from tests.lab.qemu import Card
from tests.lab.rack import Rack

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
LOADERS = Path("/usr/lib/ipxe")
LOADER = "snponly.efi"
SMALL = bytes(range(256)) * 80  # a lost frame can cost a client seconds
SMALL_NAME = "small.efi"
CLIENT = "192.168.77.30"
SEED = 20261123
INSTALL_SECONDS = 900

# Clients of others, by what they write to the file `{out}`. Where a fifth is lost atftp gives up by
# itself (a repeated OACK is "unexpected" to it), and curl needs minutes for a small file by TFTP.
CLIENTS = {
    "tftp-hpa": ["tftp", "-m", "binary", SERVER_ADDRESS, "-c", "get", "{file}", "{out}"],
    "atftp, blocks of 1468": [
        *("atftp", "--option", "blksize 1468"),
        *("-g", "-r", "{file}", "-l", "{out}", SERVER_ADDRESS),
    ],
    "atftp, windows of 8": [
        *("atftp", "--option", "windowsize 8"),
        *("-g", "-r", "{file}", "-l", "{out}", SERVER_ADDRESS),
    ],
    "curl": ["curl", "-sS", "--tftp-blksize", "1428", "-o", "{out}",
             f"tftp://{SERVER_ADDRESS}/{{file}}"],
    "curl, HTTP": ["curl", "-sS", "-o", "{out}", f"http://{SERVER_ADDRESS}:8080/loaders/{{file}}"],
}  # fmt: skip

Check = Callable[..., None]


def checker(lan: Lan, switch: str) -> Check:
    """Fetches a file with a client by its name, on a host of its own, and compares."""
    host = lan.add_host("client", CLIENT, switch=switch)
    out = lan.folder / "fetched"

    def check(client: str, file: str = LOADER, folder: Path = LOADERS) -> None:
        out.unlink(missing_ok=True)
        words = [word.format(file=file, out=out) for word in CLIENTS[client]]
        subprocess.run(lan.command_in(host, words), check=True, timeout=300, capture_output=True)
        assert out.read_bytes() == (folder / file).read_bytes(), client

    return check


@pytest.fixture
def serving(lan: Lan) -> Rack:
    """The real program, which has boot loaders and no node."""
    rack = Rack(lan, f"dir:{lan.folder}")
    own = lan.folder / "loaders"
    own.mkdir()
    (own / SMALL_NAME).write_bytes(SMALL)
    rack.serve("--loaders", str(own))
    return rack


@pytest.mark.usefixtures("serving")
def test_files_are_identical_where_frames_are_doubled_late_and_in_disorder(lan: Lan) -> None:
    add_relay(lan, SEED)
    check = checker(lan, FAR)
    for client in CLIENTS:
        check(client)


@pytest.mark.usefixtures("serving")
def test_files_are_identical_where_a_fifth_of_all_frames_is_lost(lan: Lan) -> None:
    check = checker(lan, LAN)
    check("curl")  # both know each other's address: ARP asks only three times
    lose(lan, 20)
    check("tftp-hpa", SMALL_NAME, lan.folder / "loaders")
    check("curl, HTTP")


@pytest.mark.nightly
@pytest.mark.usefixtures("serving")
def test_a_boot_loader_is_identical_where_a_fifth_of_all_frames_is_lost(lan: Lan) -> None:
    check = checker(lan, LAN)
    check("curl")
    lose(lan, 20)
    check("tftp-hpa", "undionly.kpxe")


@pytest.mark.nightly
@pytest.mark.lan(ipv6=True)
def test_a_machine_is_installed_where_a_fifth_of_all_frames_is_lost(
    lan: Lan, machine: MachineFactory
) -> None:
    rack = Rack(lan, f"oci-archive:{build(ROOT / '.cache' / 'sample.oci.tar')}")
    one = machine("alpha", firmware=Firmware.BIOS)
    rack.apply({"alpha": one})
    rack.serve()
    lose(lan, 20)
    with one:
        rack.wait_for("alpha", State.READY, State.FAILED, timeout=INSTALL_SECONDS)
    assert rack.node("alpha").state is State.READY


@pytest.mark.nightly
def test_a_machine_is_installed_where_frames_are_doubled_late_and_in_disorder(
    lan: Lan, machine: MachineFactory
) -> None:
    add_relay(lan, SEED)
    rack = Rack(lan, f"oci-archive:{build(ROOT / '.cache' / 'sample.oci.tar')}")
    one = machine("alpha", firmware=Firmware.UEFI, cards=[Card.FAR])
    rack.apply({"alpha": one})
    rack.serve()
    with one:
        rack.wait_for("alpha", State.READY, State.FAILED, timeout=INSTALL_SECONDS)
    assert rack.node("alpha").state is State.READY


def test_a_bad_wire_does_the_same_for_the_same_seed() -> None:
    frames = [bytes([number]) for number in range(200)]
    once, again = (_through(Wire(Trouble(), SEED), frames) for _ in range(2))
    assert once == again
    assert set(once) == set(frames)
    assert len(once) > len(frames)  # some were doubled
    assert once != sorted(once)  # some were overtaken


def _through(wire: Wire, frames: list[bytes]) -> list[bytes]:
    for position, frame in enumerate(frames):
        wire.put(frame, position / 1000)
    return wire.due(1.0)
