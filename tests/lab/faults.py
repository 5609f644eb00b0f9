"""What a bad wire does to frames: loses, doubles, reorders, delays them.

`tc netem` is not in every kernel: loss is a rule of nftables on the switch, the rest a relay
between two switches, `python -m tests.lab.faults` where their namespace is.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import subprocess
import sys
import time
from dataclasses import dataclass

from .lan import LabError, Lan

FAR = "far"  # the switch behind the relay
_PORTS = ("relay-near", "relay-far")
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_LONGEST = 65536

_LOSS = """\
table bridge faults {{
  chain forward {{
    type filter hook forward priority 0;
    numgen random mod 100 < {percent} drop
  }}
}}
"""


def lose(lan: Lan, percent: int) -> None:
    """From now on so many of a hundred frames between ports of the switch get lost."""
    argv = lan.command_in(lan.switch, ["nft", "-f", "-"])
    rules = _LOSS.format(percent=percent)
    done = subprocess.run(argv, input=rules, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"nft refuses to lose frames: {done.stderr.strip()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Shares of all frames, and how much longer a late one takes than those around it."""

    doubled: float = 0.05
    late: float = 0.05
    delay: float = 0.0002
    late_by: float = 0.004


class Wire:
    """One direction of a bad wire; the same seed does the same to the same frames."""

    def __init__(self, trouble: Trouble, seed: int) -> None:
        self._trouble, self._random = trouble, random.Random(seed)
        self._order = itertools.count()
        self._queue: list[tuple[float, int, bytes]] = []

    def put(self, frame: bytes, now: float) -> None:
        for _ in range(2 if self._random.random() < self._trouble.doubled else 1):
            held = self._trouble.late_by if self._random.random() < self._trouble.late else 0.0
            at = now + self._trouble.delay + held
            heapq.heappush(self._queue, (at, next(self._order), frame))

    def due(self, now: float) -> list[bytes]:
        """The frames that arrive by now, in their new order."""
        out = []
        while self._queue and self._queue[0][0] <= now:
            out.append(heapq.heappop(self._queue)[2])
        return out

    @property
    def next_at(self) -> float | None:
        return self._queue[0][0] if self._queue else None


def add_relay(lan: Lan, seed: int) -> None:
    """A second switch, `FAR`, whose only way to the first one leads over a bad wire."""
    lan.add_switch(FAR)
    lan.add_tap(_PORTS[0])
    lan.add_tap(_PORTS[1], switch=FAR)
    argv = [sys.executable, "-m", "tests.lab.faults", str(seed)]
    lan.start(argv, log="relay.log", namespace=lan.switch)
    log = lan.logs / "relay.log"
    deadline = time.monotonic() + 10
    while "relays" not in log.read_text():
        if time.monotonic() > deadline:
            raise LabError(f"the relay did not start: {log.read_text()}")
        time.sleep(0.02)


def relay(seed: int) -> None:
    """Carry frames between the two taps until killed."""
    near, far = (_open_tap(name) for name in _PORTS)
    wires = {near: (Wire(Trouble(), seed), far), far: (Wire(Trouble(), seed + 1), near)}
    print("relays", flush=True)
    while True:
        times = [wire.next_at for wire, _ in wires.values() if wire.next_at is not None]
        patience = max(0.0, min(times) - time.monotonic()) if times else None
        for tap in select.select(list(wires), [], [], patience)[0]:
            wires[tap][0].put(os.read(tap, _LONGEST), time.monotonic())
        for wire, other in wires.values():
            for frame in wire.due(time.monotonic()):
                os.write(other, frame)


def _open_tap(name: str) -> int:
    # A tap and not a packet socket: the kernel then finishes checksums that it leaves to cards.
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH14x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return tap


if __name__ == "__main__":
    relay(int(sys.argv[1]))
