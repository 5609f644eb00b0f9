"""What a machine does besides being installed, by the real program, on emulated machines."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.values import Arch, Firmware
from tests.lab.conftest import MachineFactory, skip_for
from tests.lab.image_small.build import build
from tests.lab.image_small.parts import why_not
from tests.lab.lan import LabError, Lan
from tests.lab.machine import Machine
from tests.lab.rack import COMMON, Rack

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

BOOT_SECONDS = 120
MIB = 1 << 20
# All BIOS machines of this file start from the network within seconds.
SITE = """\
images:
  small:
    source: dir:{image}
    platform: amd64
profiles:
  it:
    image: small
    cloud-config: [common.yaml]
    ssh-keys: ["ssh-ed25519 {key} lab"]
{profile}
nodes:
  alpha:
    macs: [{mac}]
    profile: it
{more}"""
# Alpha has to wait for beta, which nobody switches on.
CLUSTER = """\
    cluster: prod
    role: agent
  beta:
    macs: [52:54:00:77:00:99]
    profile: it
    cluster: prod
    role: server
clusters:
  prod: {kind: k3s}
"""
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43


class Bench:
    """A LAN with our server, and one machine."""

    def __init__(self, lan: Lan, machine: MachineFactory) -> None:
        skip_for(why_not(Arch.AMD64))
        self._machine, self._lan = machine, lan
        self.rack = Rack(lan, "")
        self.rack.folder.joinpath("common.yaml").write_text(COMMON)

    def apply(self, one: Machine, profile: str, version: str = "v4.2.0", more: str = "") -> None:
        image = build(Arch.AMD64, version=version)
        lines = _indented(profile)
        text = SITE.format(image=image, key=KEY, mac=one.mac, profile=lines, more=more)
        site = self.rack.folder / "site.yaml"
        site.write_text(text)
        self.rack.cli("apply", str(site))

    def start(self, profile: str, *, extra: tuple[str, ...] = ()) -> Machine:
        """Its site is served, and it is off."""
        one = self._machine("alpha", firmware=Firmware.BIOS, memory=768, extra=extra)
        self.apply(one, profile)
        self.rack.serve()
        return one

    def second_disk(self) -> tuple[Path, tuple[str, ...]]:
        """/dev/vdb, with something everywhere that must go."""
        path = self._lan.folder / "second.raw"
        path.write_bytes(_noise(b"second", 64 * MIB))
        drive = f"if=none,id=second,format=raw,cache=unsafe,file={path}"
        return path, ("-drive", drive, "-device", "virtio-blk-pci,drive=second")

    def keep_disk(self) -> Path:
        """A copy of its first disk as it is now."""
        return Path(shutil.copy(self._disk, self._disk.with_suffix(".before")))

    def is_unchanged(self, before: Path) -> bool:
        """Whether its first disk holds the same."""
        argv = ["qemu-img", "compare", "-q", str(before), str(self._disk)]
        return subprocess.run(argv, check=False).returncode == 0

    def fill_disk(self) -> None:
        """Something on its first disk where a table of partitions would be."""
        raw = self._disk.with_suffix(".raw")
        raw.write_bytes(_noise(b"first", 64 * MIB))
        argv = ["qemu-img", "convert", "-O", "qcow2", str(raw), str(self._disk)]
        subprocess.run(argv, check=True)

    @property
    def _disk(self) -> Path:
        return self._lan.folder / "alpha.qcow2"

    def told(self) -> list[str]:
        return [event.text for event in self.rack.timeline("alpha")]

    def wait_until_told(self, words: str, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while not any(words in text for text in self.told()):
            if time.monotonic() > deadline:
                raise LabError("\n".join([f"nothing says '{words}':", *self.told()]))
            time.sleep(0.5)

    def count(self, kind: Kind) -> int:
        return sum(event.kind is kind for event in self.rack.timeline("alpha"))


@pytest.fixture
def bench(lan: Lan, machine: MachineFactory) -> Bench:
    return Bench(lan, machine)


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines()).rstrip("\n")


def _noise(seed: bytes, size: int) -> bytes:
    block = hashlib.shake_256(seed).digest(MIB)
    return block * (size // MIB)


def test_exactly_the_named_disk_is_erased_once(bench: Bench) -> None:
    second, extra = bench.second_disk()
    one = bench.start("action: local", extra=extra)
    bench.fill_disk()
    before = bench.keep_disk()
    bench.rack.cli("nodes", "wipe", "alpha", "--disk", "/dev/vdb", "--yes")
    assert bench.rack.node("alpha").state is State.CONDEMNED
    with one:
        bench.rack.wait_for("alpha", State.WIPED, timeout=BOOT_SECONDS)
        deadline = time.monotonic() + 60
        while one.is_running() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not one.is_running()  # it switched itself off
    left = second.read_bytes()
    assert left[: 16 * MIB] == bytes(16 * MIB) == left[-16 * MIB :]
    assert bench.is_unchanged(before)
    assert "eraser: /dev/vdb is empty" in bench.told()
    with one:  # and again: it gets no more
        bench.wait_until_told("boots its disk by itself")
    assert bench.count(Kind.WIPE_STARTED) == 1
    assert bench.rack.node("alpha").order is None


@pytest.mark.nightly
def test_a_disk_that_is_not_there_is_told_and_nothing_is_erased(bench: Bench) -> None:
    second, extra = bench.second_disk()
    before = hashlib.sha256(second.read_bytes()).hexdigest()
    one = bench.start("action: local", extra=extra)
    bench.rack.cli("nodes", "wipe", "alpha", "--disk", "/dev/vdb", "--disk", "/dev/vdz", "--yes")
    with one:
        bench.wait_until_told("/dev/vdz is no block device here: nothing was erased", BOOT_SECONDS)
    assert bench.rack.node("alpha").state is State.WIPING
    assert hashlib.sha256(second.read_bytes()).hexdigest() == before
    bench.rack.cli("nodes", "cancel", "alpha")
    assert bench.rack.node("alpha").state is State.IDLE


RAM = """\
action: ram
ram: {partitions: /dev/vda}
menu: {items: [local, ram], default: ram, timeout: 3}
"""


def test_a_machine_runs_from_memory_and_its_next_boot_has_the_next_version(bench: Bench) -> None:
    """The second goes through a menu that nobody touches."""
    one = bench.start(RAM)
    assert bench.rack.node("alpha").state is State.ARMED
    with one:
        one.wait_for(r"data partitions made on /dev/vda", BOOT_SECONDS)
        one.wait_for(r"runs from memory, version v4\.2\.0", 30)
        bench.rack.wait_for("alpha", State.READY, timeout=60)
        bench.apply(one, RAM, version="v4.3.0")
        bench.rack.cli("nodes", "boot", "alpha", "menu")
        mark = one.mark()
        one.reset()
        one.wait_for(r"run small from memory", BOOT_SECONDS, after=mark)
        one.wait_for(r"runs from memory, version v4\.3\.0", BOOT_SECONDS, after=mark)
        one.wait_for(r"system in memory up, hostname alpha", 60, after=mark)
        assert "kairos.ram.create_partitions" not in one.console()[mark:]
        bench.rack.wait_for("alpha", State.READY, timeout=60)
    assert bench.count(Kind.RAM_STARTED) == 2
    assert bench.count(Kind.READY) == 2
    assert bench.rack.node("alpha").order is None


def test_a_machine_waits_is_installed_and_rescued_and_its_disk_is_as_it_was(
    lan: Lan, machine: MachineFactory
) -> None:
    bench = Bench(lan, machine)
    one = machine("alpha", firmware=Firmware.UEFI, memory=1024)
    bench.apply(one, "action: install", more=CLUSTER)
    bench.rack.serve()
    with one:
        bench.wait_until_told("waits for", BOOT_SECONDS)
        time.sleep(12)  # until it has asked again
        assert bench.rack.node("alpha").boots == 0
        assert bench.count(Kind.WAITING) == 1
        bench.apply(one, "action: install")
        one.wait_for(r"installation finished: reboot", 200)
        time.sleep(1)
    before = bench.keep_disk()
    bench.rack.cli("nodes", "boot", "alpha", "rescue")
    with one:
        one.wait_for(r"live system up", BOOT_SECONDS)
        bench.wait_until_told("the live system is up")
    assert bench.is_unchanged(before)
    assert bench.rack.node("alpha").state is State.INSTALLED
    with one:
        bench.rack.wait_for("alpha", State.READY, timeout=200)
    assert bench.count(Kind.BOOT_STARTED) == 1
