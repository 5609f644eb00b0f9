"""A virtual machine with real firmware, on a port of the lan's switch."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from kairos_netboot.values import Arch, Firmware, Mac

from . import qemu
from .capture import Capture
from .lan import LabError, Lan
from .qmp import Qmp, QmpClosed

# CSI sequences, two-character escapes, iPXE's way to erase a letter; each of them may be cut
# off where the file ends.
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?=]*(?:[@-~]|$)|[^\[]|$)|\x08(?: \x08| ?$)?")
# SeaBIOS answers a reset with two to four of its own, 70 ms later, to get its ROM back into
# place; nothing boots and restarts in this time.
_SAME_RESET = 2.0
_POLL = 0.1


class ConsoleTimeout(LabError):
    """What a test waited for did not appear; the message ends with the console's last lines."""


class Machine:
    """Has a disk and firmware variables of its own that outlive `power_off`."""

    def __init__(
        self,
        lan: Lan,
        name: str,
        *,
        firmware: Firmware,
        mac: Mac,
        arch: Arch = Arch.AMD64,
        secure_boot: bool = False,
        asks: qemu.Asks = qemu.Asks.PXE,
        cards: Sequence[qemu.Card] = (qemu.Card.LIVE,),
        memory: int = 2048,
        disk_gib: int = 8,
        extra: Sequence[str] = (),
    ) -> None:
        """Makes the disk and the ports, starts nothing. `name` has at most 13 characters.

        `mac` is the first card's; `asks` is for UEFI only.
        """
        self.name, self.firmware, self.arch, self.mac = name, firmware, arch, mac
        self.macs = tuple(_nth_mac(mac, position) for position in range(len(cards)))
        self._secure_boot, self._asks, self._cards = secure_boot, asks, tuple(cards)
        self._lan, self._memory, self._extra = lan, memory, tuple(extra)
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None
        self._powered_on = 0
        self._resets = 0
        self._last_reset = 0.0
        self._disk = lan.folder / f"{name}.qcow2"
        self._variables = lan.folder / f"{name}.vars"
        self._console = lan.logs / f"{name}.console"
        names = [name, *(f"{name}-{number}" for number in range(2, len(cards) + 1))]
        self._taps = [
            lan.add_tap(tap, switch="" if card is qemu.Card.UNUSED else card)
            for tap, card in zip(names, cards, strict=True)
        ]
        lan.before_stop(self.power_off)
        self.replace_disk(disk_gib)
        shutil.copy(qemu.variables_for(arch, secure_boot=secure_boot), self._variables)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.power_off()

    def start(self) -> None:
        """Power on; raises LabError if QEMU does not start."""
        if self.is_running():
            raise LabError(f"{self.name} is running already")
        self._powered_on += 1
        hardware = self._hardware()
        hardware.control.unlink(missing_ok=True)
        argv = qemu.command(hardware, qemu.accelerator())
        log = f"{self.name}.qemu"
        self._process = self._lan.start(argv, log=log, namespace=self._lan.switch)
        try:
            self._qmp = Qmp(hardware.control)
        except QmpClosed as error:
            self.power_off()
            said = (self._lan.logs / log).read_text(errors="replace").strip()
            raise LabError(f"{self.name}: QEMU did not start: {said or error}") from error

    def power_off(self) -> None:
        """Pull the plug. `start` goes on with the same disk."""
        if self._qmp is not None:
            with contextlib.suppress(QmpClosed):
                self._qmp.command("quit", patience=3)
            self._count_resets()
            self._qmp.close()
            self._qmp = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
            self._lan.stop(self._process, patience=3)
            self._process = None

    def reset(self) -> None:
        """Press the reset button."""
        if self._qmp is None:
            raise LabError(f"{self.name} is off")
        self._qmp.command("system_reset")

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def firmware_starts(self) -> int:
        """How often the firmware began: power-ons, resets, reboots by the guest."""
        self._count_resets()
        return self._powered_on + self._resets

    def replace_disk(self, gib: int = 8) -> None:
        """An empty disk; the machine must be off."""
        if self.is_running():
            raise LabError(f"{self.name} is running: its disk cannot be replaced")
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", str(self._disk), f"{gib}G"]
        subprocess.run(argv, check=True)

    def console(self) -> str:
        """All that was written to the serial port, without escape sequences."""
        if not self._console.exists():
            return ""
        text = self._console.read_bytes().decode("utf-8", "replace").replace("\r", "")
        return _ESCAPES.sub("", text)

    def wait_for(self, pattern: str, timeout: float, *, after: int = 0) -> re.Match[str]:
        """The first match in `console()[after:]`, or ConsoleTimeout.

        `after=machine.mark()` waits for what is not there yet.
        """
        wanted = re.compile(pattern)
        deadline = time.monotonic() + timeout
        while True:
            alive = self.is_running()  # asked first: what a dying QEMU wrote still counts
            found = wanted.search(self.console(), after)
            if found:
                return found
            if not alive:
                raise ConsoleTimeout(self._report(f"ended before it wrote {pattern!r}"))
            if time.monotonic() > deadline:
                raise ConsoleTimeout(self._report(f"did not write {pattern!r} in {timeout:g} s"))
            time.sleep(_POLL)

    def wait_for_start(self, count: int, timeout: float) -> None:
        """Wait until `firmware_starts()` is at least `count`, or ConsoleTimeout."""
        deadline = time.monotonic() + timeout
        while self.firmware_starts() < count:
            if time.monotonic() > deadline or not self.is_running():
                told = f"started {self.firmware_starts()} times, not {count}, in {timeout:g} s"
                raise ConsoleTimeout(self._report(told))
            time.sleep(_POLL)

    def mark(self) -> int:
        """Where the console ends now."""
        return len(self.console())

    def capture(self) -> Capture:
        """What this machine sent and was sent, and the broadcasts it heard."""
        return self._lan.capture(f"{self.name}.*")

    def _hardware(self) -> qemu.Hardware:
        return qemu.Hardware(
            name=self.name,
            firmware=self.firmware,
            arch=self.arch,
            nics=tuple(self._nics()),
            memory=self._memory,
            disk=self._disk,
            variables=self._variables,
            console=self._console,
            control=self._lan.folder / f"{self.name}.qmp",
            secure_boot=self._secure_boot,
            asks=self._asks,
            extra=self._extra,
        )

    def _nics(self) -> Iterator[qemu.Nic]:
        parts = zip(self.macs, self._cards, self._taps, strict=True)
        for number, (mac, card, tap) in enumerate(parts, start=1):
            kept = f"{self.name}.{self._powered_on}-{number}.pcap"
            yield qemu.Nic(mac=mac, card=card, tap=tap, capture=self._lan.logs / kept)

    def _count_resets(self) -> None:
        """QEMU tells of each reset, whoever asked for it; OVMF has no banner to count."""
        for event in self._qmp.take_events() if self._qmp else ():
            if event["event"] == "RESET":
                at = event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6
                self._resets += at - self._last_reset > _SAME_RESET
                self._last_reset = at

    def _report(self, what: str) -> str:
        lines = [line.rstrip() for line in self.console().split("\n")]
        tail = "\n".join(f"  | {line}" for line in lines[-40:])
        return f"{self.name} {what}. The end of its console:\n{tail}"


def _nth_mac(first: Mac, position: int) -> Mac:
    """Cards of one machine differ in the byte before the last."""
    raw = bytes.fromhex(first.replace(":", ""))
    return Mac.from_bytes(raw[:4] + bytes([raw[4] + position]) + raw[5:])
