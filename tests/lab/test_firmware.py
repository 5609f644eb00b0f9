"""Every firmware that an emulator has, by the real program: to the installed system, and from its
disk after."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.values import Arch, Firmware, Mac
from tests.lab.conftest import MachineFactory, skip_for
from tests.lab.image_small.build import build
from tests.lab.image_small.parts import ARM64_PACKAGES, why_not
from tests.lab.lan import SERVER_ADDRESS, LabError, Lan
from tests.lab.machine import Machine
from tests.lab.qemu import Asks, Card
from tests.lab.rack import Rack
from tests.lab.site import SiteServer

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

INSTALL_SECONDS = 300
BOOT_SECONDS = 200
UP = r"installed system up, hostname (\S+)"
LOCKED = "Kernel is locked down from EFI Secure Boot"
# U-Boot's for QEMU has its own address, whatever its card says.
UBOOT_MAC = Mac("52:52:52:52:52:52")
SERVER_MODE = """\
dhcp:
  mode: server
  subnets:
    192.168.77.0/24:
      ranges: [192.168.77.50-192.168.77.60]
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """A LAN with our server, and one machine with a small image for it."""

    lan: Lan
    machine: MachineFactory

    def rack(self, arch: Arch, *, signed: bool = True) -> Rack:
        skip_for(why_not(arch))
        return Rack(self.lan, f"dir:{build(arch, signed=signed)}", arch)

    def serve(self, rack: Rack, one: Machine, site: str = "") -> None:
        rack.apply({one.name: one}, site=site)
        # Where the modules of a GRUB for another architecture are.
        rack.serve("--loaders", str(ARM64_PACKAGES / "usr/lib/grub"))


@pytest.fixture
def bench(lan: Lan, machine: MachineFactory) -> Bench:
    return Bench(lan, machine)


def is_written(rack: Rack, one: Machine) -> list[str]:
    """Start it, see it write its disk; its timeline."""
    one.start()
    node = rack.wait_for(one.name, State.INSTALLED, State.FAILED, timeout=INSTALL_SECONDS)
    assert node.state is State.INSTALLED, told(rack, one)
    return told(rack, one)


def installs(rack: Rack, one: Machine) -> list[str]:
    """Start it, see it write its disk, restart from there, and report; its timeline."""
    one.start()
    node = rack.wait_for(one.name, State.READY, State.FAILED, timeout=INSTALL_SECONDS)
    assert node.state is State.READY, told(rack, one)
    assert one.wait_for(UP, 30)[1] == one.name
    return told(rack, one)


def restarts_to_its_disk(rack: Rack, one: Machine) -> None:
    mark = one.mark()
    one.reset()
    assert one.wait_for(UP, BOOT_SECONDS, after=mark)[1] == one.name
    boots = [e for e in rack.timeline(one.name) if e.kind is Kind.BOOT_STARTED]
    assert len(boots) == 1


def told(rack: Rack, one: Machine) -> list[str]:
    return [event.text for event in rack.timeline(one.name)]


def has(lines: list[str], *words: str) -> bool:
    """Whether one line has all the words."""
    return any(all(word in line for word in words) for line in lines)


# UEFI on amd64


@pytest.mark.nightly
@pytest.mark.nightly
def test_uefi_pxe_goes_through_our_own_grub(bench: Bench) -> None:
    rack = bench.rack(Arch.AMD64)
    one = bench.machine("alpha", firmware=Firmware.UEFI)
    bench.serve(rack, one, "boot: {uefi-amd64: grub}\n")
    assert has(installs(rack, one), "sent to grub-x64.efi")
    restarts_to_its_disk(rack, one)


def test_uefi_http_boot_goes_through_ipxe_and_never_asks_tftp(bench: Bench) -> None:
    rack = bench.rack(Arch.AMD64)
    one = bench.machine("alpha", firmware=Firmware.UEFI, asks=Asks.HTTP)
    bench.serve(rack, one)
    assert has(is_written(rack, one), "UEFI HTTP Boot (amd64)", "sent to snponly.efi")
    assert one.capture().tftp(one.mac) == []
    asked = [line.line for line in one.capture().http(one.mac)]
    assert asked[0].startswith("HEAD /boot/")


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("word", "file"),
    [("ipxe", "snponly.efi"), ("grub", "grub-x64.efi"), ("shim", "medium.img")],
)
def test_uefi_http_boot_leads_to_the_disk_by_every_way(bench: Bench, word: str, file: str) -> None:
    rack = bench.rack(Arch.AMD64)
    one = bench.machine("alpha", firmware=Firmware.UEFI, asks=Asks.HTTP)
    bench.serve(rack, one, f"boot: {{http-amd64: {word}}}\n")
    assert has(installs(rack, one), "UEFI HTTP Boot (amd64)", f"sent to {file}")
    restarts_to_its_disk(rack, one)


# Secure Boot with Microsoft's keys; test_lending.py has more of it


def test_secure_boot_by_http_boot_beside_a_dhcp_server_that_nobody_touches(bench: Bench) -> None:
    rack = bench.rack(Arch.AMD64)
    one = bench.machine("alpha", firmware=Firmware.UEFI, asks=Asks.HTTP, secure_boot=True)
    bench.serve(rack, one, "boot: {http-amd64: shim}\n")
    assert has(installs(rack, one), "sent to medium.img")
    assert LOCKED in one.console()


@pytest.mark.nightly
@pytest.mark.lan(site=SiteServer.NONE)
def test_secure_boot_by_pxe_where_we_are_the_dhcp_server(bench: Bench) -> None:
    rack = bench.rack(Arch.AMD64)
    one = bench.machine("alpha", firmware=Firmware.UEFI, secure_boot=True)
    bench.serve(rack, one, "boot: {uefi-amd64: shim}\n" + SERVER_MODE)
    assert has(installs(rack, one), "sent to shimx64.efi")
    assert LOCKED in one.console()
    restarts_to_its_disk(rack, one)


@pytest.mark.parametrize(
    ("asks", "word"),
    [
        pytest.param(Asks.HTTP, "http-amd64", id="http"),
        pytest.param(Asks.PXE, "uefi-amd64", id="pxe", marks=pytest.mark.nightly),
    ],
)
def test_an_unsigned_kernel_is_refused_and_the_timeline_says_why(
    bench: Bench, asks: Asks, word: str
) -> None:
    rack = bench.rack(Arch.AMD64, signed=False)
    one = bench.machine("alpha", firmware=Firmware.UEFI, asks=asks, secure_boot=True)
    bench.serve(rack, one, f"boot: {{{word}: shim}}\n")
    one.start()
    one.wait_for(r"bad shim signature", BOOT_SECONDS)
    wait_until_told(rack, one, "Secure Boot", "sign")


def wait_until_told(rack: Rack, one: Machine, *words: str) -> None:
    deadline = time.monotonic() + 60
    while not has(told(rack, one), *words):
        if time.monotonic() > deadline:
            raise LabError("\n".join([f"nothing says {words}:", *told(rack, one)]))
        time.sleep(0.5)


# arm64


def test_arm64_pxe_installs_and_boots_its_disk(bench: Bench) -> None:
    rack = bench.rack(Arch.ARM64)
    one = bench.machine("alpha", firmware=Firmware.UEFI, arch=Arch.ARM64, memory=1024)
    bench.serve(rack, one)
    assert has(installs(rack, one), "UEFI firmware (arm64)", "sent to grub-aa64.efi")


@pytest.mark.nightly
@pytest.mark.nightly
def test_arm64_http_boot_installs_and_never_asks_tftp(bench: Bench) -> None:
    rack = bench.rack(Arch.ARM64)
    one = bench.machine(
        "alpha", firmware=Firmware.UEFI, arch=Arch.ARM64, asks=Asks.HTTP, memory=1024
    )
    bench.serve(rack, one)
    assert has(is_written(rack, one), "UEFI HTTP Boot (arm64)", "sent to grub-aa64.efi")
    assert one.capture().tftp(one.mac) == []


def test_a_machine_of_one_architecture_gets_no_boot_file_of_another(bench: Bench) -> None:
    rack = bench.rack(Arch.AMD64)
    one = bench.machine("alpha", firmware=Firmware.UEFI, arch=Arch.ARM64, memory=512)
    bench.serve(rack, one)
    one.start()
    one.wait_for(r">>Start PXE over IPv4", 60)
    wait_until_told(rack, one, "no answer", "arm64", "amd64")
    assert one.capture().sent_to(one.mac, by=SERVER_ADDRESS) == []


@pytest.mark.lan(next_server=SERVER_ADDRESS)
def test_u_boot_installs_by_its_own_script(bench: Bench) -> None:
    rack = bench.rack(Arch.ARM64)
    one = bench.machine(
        "alpha", firmware=Firmware.UBOOT, arch=Arch.ARM64, mac=UBOOT_MAC, memory=1024
    )
    bench.serve(rack, one)
    is_written(rack, one)


# Networks


@pytest.mark.parametrize(
    "first",
    [
        Card.UNUSED,
        # OVMF tries four ways to boot from it, a minute each.
        pytest.param(Card.DEAD, marks=pytest.mark.nightly),
    ],
)
def test_of_two_cards_only_the_second_has_the_network(bench: Bench, first: Card) -> None:
    rack = bench.rack(Arch.AMD64)
    one = bench.machine("alpha", firmware=Firmware.UEFI, cards=[first, Card.LIVE])
    bench.serve(rack, one, "boot: {uefi-amd64: grub}\n")
    one.start()
    rack.wait_for("alpha", State.INSTALLED, timeout=2 * INSTALL_SECONDS)
    assert one.capture().tftp(one.macs[1])
    assert f"BOOTIF=01-{one.macs[1].hyphens}" in one.console()
