"""The real program as a process: its start, its rights, and `kill -9`."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.site import Site
from kairos_netboot.store.store import Store
from tests.unit.boot.sample import MAC, PROFILE, SPEC
from tests.unit.store.sample import stand_in

pytestmark = [pytest.mark.wire, pytest.mark.timeout(120)]

PROGRAM = [sys.executable, "-m", "kairos_netboot"]
FREE = ["--listen", "127.0.0.1"]
FREE += [f"--{name}-port=0" for name in ("dhcp", "pxe", "tftp", "http")]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give root away")


@pytest.fixture
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the service user can get at it: pytest's own folders are closed to others."""
    folder = Path(f"/var/tmp/knb-test-{os.getpid()}-{time.monotonic_ns()}")
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


class Server:
    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def fetch(self, path: str, *, method: str = "GET") -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return str(response.read().decode())


@contextmanager
def serving(state: Path, *options: str) -> Iterator[Server]:
    command = [*PROGRAM, "--state", str(state), "serve", *FREE, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        told = ""
        while "ready:" not in told:
            line = process.stdout.readline()
            assert line, f"the server ended: {told}"
            told += line
        port = re.search(r"HTTP on 127.0.0.1:(\d+)", told)
        assert port
        yield Server(process, int(port[1]))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def failing(state: Path, *options: str) -> str:
    """The one line that a server which cannot start leaves behind."""
    command = [*PROGRAM, "--state", str(state), "serve", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    return done.stderr


def with_one_node(state: Path) -> None:
    store = Store(state)
    store.add_image(stand_in(store.blobs))
    store.apply(Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC}), NOW)
    store.close()


@needs_root
def test_root_is_given_away_after_binding(state: Path) -> None:
    with serving(state) as server:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        ids = re.search(r"^Uid:\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", status, re.MULTILINE)
        assert ids
        assert set(ids.groups()) == {str(state.stat().st_uid)} != {"0"}
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)


@needs_root
def test_everything_is_served_without_root(state: Path) -> None:
    """The interpreter may lie where the service user cannot read it: nothing is loaded late."""
    with_one_node(state)
    with serving(state) as server:
        script = server.fetch(f"/boot/{MAC.hyphens}/script.ipxe")
        document = re.search(r"config_url=http://[^/]+(\S+)", script)
        assert document
        assert "hostname: alpha" in server.fetch(document[1])
        assert server.fetch("/loaders/disk-x64.efi", method="HEAD") == ""


def test_a_taken_port_names_who_has_it_and_what_to_do(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = failing(state, *FREE[:-1], "--http-port", port)
    assert f"TCP port {port} on 127.0.0.1 is taken by" in told
    assert "choose --http-port" in told
    assert not state.exists()


@needs_root
def test_a_missing_right_says_what_would_give_it(state: Path) -> None:
    command = ["setpriv", "--bounding-set=-net_bind_service", *PROGRAM, "--state", str(state)]
    command += ["serve", "--listen", "127.0.0.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "UDP port 67 on 127.0.0.1 may not be opened by this user: run as root" in done.stderr


def test_a_stop_is_clean(state: Path) -> None:
    with serving(state) as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.4])
def test_kill_9_loses_no_acknowledged_report(state: Path, delay: float) -> None:
    with_one_node(state)
    told: list[str] = []
    with serving(state) as server:
        script = server.fetch(f"/boot/{MAC.hyphens}/script.ipxe")
        report = re.search(r"(/reports/\w+)/boot-failed", script)
        assert report
        killer = threading.Timer(delay, server.process.kill)
        for number in range(100_000):
            try:
                server.fetch(f"{report[1]}/step/number-{number}", method="POST")
            except (OSError, urllib.error.URLError):
                break
            told.append(f"installer: number-{number}")
            if number == 0:  # a busy machine may take longer than the delay to begin
                killer.start()
        killer.join()
    store = Store(state)
    node = store.fleet().named("alpha")
    written = [e.text for e in store.timeline(node.id) if e.kind is Kind.INSTALL_STEP]
    store.close()
    assert told
    assert written[: len(told)] == told
    assert len(written) - len(told) <= 1  # written, and killed before it could say so
    assert node.state is State.INSTALLING
