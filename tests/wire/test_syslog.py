"""The syslog listener of the real program, and what `nodes log` makes of it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.site import Site
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.unit.boot.sample import MAC, PROFILE, SPEC

pytestmark = [pytest.mark.wire, pytest.mark.timeout(60)]
# pytest's folders are closed to whom the server would become.
OWNER = "root" if os.geteuid() == 0 else ""
PROGRAM = [sys.executable, "-m", "kairos_netboot"]
FREE = [
    "--listen=127.0.0.1",
    "--no-ipv6",
    *(f"--{n}-port=0" for n in ("dhcp", "pxe", "tftp", "http")),
]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A site with a node that has told that it is this machine."""
    store = Store(tmp_path / "state", OWNER)
    site = Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC})
    store.apply(site, datetime.now(UTC))
    store.discover({Mac(MAC): {"addresses": "127.0.0.1"}}, datetime.now(UTC))
    store.close()
    return tmp_path / "state"


@contextmanager
def serving(state: Path, *options: str) -> Iterator[str]:
    """What it says at its start."""
    command = [*PROGRAM, "--state", str(state), "serve", *FREE, "--user", OWNER, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        told = ""
        while "ready:" not in told:
            line = process.stdout.readline()
            assert line, f"the server ended: {told}"
            told += line
        yield told
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def run(state: Path, *arguments: str) -> str:
    command = [*PROGRAM, "--state", str(state), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_what_a_machine_logs_is_filed_under_it(state: Path) -> None:
    with serving(state, "--syslog", "--syslog-port=0") as told:
        port = re.search(r"syslog on 127\.0\.0\.1:(\d+)", told)
        assert port
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", int(port[1])))
            sock.send(b"<30>Nov 23 09:00:00 alpha systemd[1]: Started it.\n")
            sock.send(b"<6>ipxe: net0: link up")
        end = time.monotonic() + 20
        while "link up" not in run(state, "nodes", "log", "alpha"):
            assert time.monotonic() < end
            time.sleep(0.2)
        assert "syslog      systemd: Started it." in run(state, "nodes", "log", "alpha")


def test_it_is_off_unless_wanted(state: Path) -> None:
    with serving(state) as told:
        assert "syslog" not in told


def test_a_port_that_is_taken_is_named(state: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = str(sock.getsockname()[1])
        command = [
            *PROGRAM,
            "--state",
            str(state),
            "serve",
            *FREE,
            "--syslog",
            "--syslog-port",
            port,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert f"UDP port {port} on 127.0.0.1 is taken by" in done.stderr
    assert "--syslog-port" in done.stderr
