"""QEMU's control socket: one command at a time, and the events that came meanwhile."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from pathlib import Path
from typing import Any


class QmpClosed(Exception):
    """QEMU ended or does not answer."""


class Qmp:
    def __init__(self, path: Path, *, patience: float = 10.0) -> None:
        """Connects as soon as QEMU has made the socket; raises QmpClosed."""
        self._socket = _connect(path, patience)
        self._buffer = b""
        self._events: list[dict[str, Any]] = []
        self._read_until("QMP", patience)
        self.command("qmp_capabilities")

    def command(self, name: str, *, patience: float = 10.0) -> None:
        """Run one command to its answer; raises QmpClosed."""
        try:
            self._socket.sendall(json.dumps({"execute": name}).encode() + b"\n")
        except OSError as error:
            raise QmpClosed(f"QEMU is gone: {error}") from error
        self._read_until("return", patience)

    def take_events(self) -> list[dict[str, Any]]:
        """The events since the last call."""
        with contextlib.suppress(QmpClosed):
            while select.select([self._socket], [], [], 0)[0]:
                self._take(1.0)
        taken, self._events = self._events, []
        return taken

    def close(self) -> None:
        self._socket.close()

    def _read_until(self, key: str, patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            for message in self._take(deadline - time.monotonic()):
                if "error" in message:
                    raise QmpClosed(f"QEMU refused: {message['error'].get('desc')}")
                if key in message:
                    return

    def _take(self, patience: float) -> list[dict[str, Any]]:
        """Whole lines that have arrived, events put aside; waits for some bytes."""
        self._socket.settimeout(max(patience, 0.001))
        try:
            data = self._socket.recv(65536)
        except OSError as error:
            raise QmpClosed(f"QEMU does not answer: {error}") from error
        if not data:
            raise QmpClosed("QEMU closed its control socket")
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        messages: list[dict[str, Any]] = [json.loads(line) for line in lines if line.strip()]
        self._events += [m for m in messages if "event" in m]
        return [m for m in messages if "event" not in m]


def _connect(path: Path, patience: float) -> socket.socket:
    deadline = time.monotonic() + patience
    while True:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            channel.connect(str(path))
        except OSError as error:
            channel.close()
            if time.monotonic() > deadline:
                raise QmpClosed(f"{path}: {error}") from error
            time.sleep(0.02)
        else:
            return channel
