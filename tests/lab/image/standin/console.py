"""Short lines for whoever watches: on the system console and on the first serial line."""

from __future__ import annotations

import os
from pathlib import Path

PREFIX = "STANDIN: "


def say(line: str) -> None:
    """Show a line on /dev/console, on ttyS0 if that is another, and in the journal."""
    print(line, flush=True)
    for device in devices(_active()):
        _write(device, f"{PREFIX}{line}\n")


def devices(active: str) -> list[str]:
    """The devices to write to; of several consoles the last is /dev/console."""
    consoles = active.split()
    both = not consoles or consoles[-1] != "ttyS0"
    return ["/dev/console", "/dev/ttyS0"] if both else ["/dev/console"]


def _active() -> str:
    path = Path("/sys/class/tty/console/active")
    return path.read_text() if path.exists() else ""


def _write(device: str, text: str) -> None:
    # One write, so that kernel messages cannot split the line; no console is no reason to stop.
    try:
        handle = os.open(device, os.O_WRONLY | os.O_NOCTTY)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)
    except OSError:
        pass
