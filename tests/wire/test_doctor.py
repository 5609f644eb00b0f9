"""The doctor's own requests, against our servers and against none."""

from __future__ import annotations

import asyncio
import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kairos_netboot.doctor.facts import Port
from kairos_netboot.doctor.fetch import check_http, check_tftp, check_tftp_answers
from kairos_netboot.doctor.findings import Finding, Level
from kairos_netboot.doctor.look import look
from kairos_netboot.server import udp
from kairos_netboot.server.tftp import Wanted, serve_tftp

pytestmark = [pytest.mark.wire, pytest.mark.timeout(60)]

LOADER = bytes(range(256)) * 700


async def _lookup(wanted: Wanted) -> bytes | None:
    return LOADER if wanted.name == "snponly.efi" else None


def fetched(name: str, expected: bytes) -> Finding:
    """What the doctor says of a file that our own TFTP server has, or has not."""

    async def play() -> Finding:
        with udp.bind("127.0.0.1", 0, option="--tftp-port") as sock:
            server = asyncio.ensure_future(serve_tftp(sock, _lookup, lambda _: None))
            port = sock.getsockname()[1]
            (finding,) = await asyncio.to_thread(
                lambda: list(check_tftp("127.0.0.1", port, name, expected))
            )
            server.cancel()
            await asyncio.gather(server, return_exceptions=True)
            return finding

    return asyncio.run(play())


def test_a_loader_that_comes_over_tftp_is_compared_with_the_file_here() -> None:
    assert fetched("snponly.efi", LOADER).level is Level.FINE
    other = fetched("snponly.efi", LOADER[:-1])
    assert other.level is Level.BROKEN
    assert "restart `serve`" in other.remedy


def test_a_loader_that_does_not_come_is_told() -> None:
    finding = fetched("none.efi", LOADER)
    assert finding.level is Level.BROKEN
    assert "none.efi does not come" in finding.text


def test_a_closed_http_port_is_told_with_its_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        (finding,) = check_http(f"http://127.0.0.1:{port}")
    assert finding.level is Level.BROKEN
    assert f"TCP port {port}" in finding.remedy


class _Other(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def other() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_another_program_on_our_http_port_is_told(other: str) -> None:
    (finding,) = check_http(other)
    assert finding.level is Level.BROKEN
    assert "is no boot script" in finding.text


def test_this_host_is_read(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        port = Port(protocol="tcp", number=number, use="HTTP", option="--http-port")
        host = look((port,), tmp_path / "none" / "yet")
    assert "process" in host.ports[0].holder
    assert host.free > 0
    assert "lo" not in [interface.name for interface in host.interfaces]


def test_a_server_without_loaders_is_asked_for_any_answer() -> None:
    async def play() -> Finding:
        with udp.bind("127.0.0.1", 0, option="--tftp-port") as sock:
            server = asyncio.ensure_future(serve_tftp(sock, _lookup, lambda _: None))
            port = sock.getsockname()[1]
            (finding,) = await asyncio.to_thread(
                lambda: list(check_tftp_answers("127.0.0.1", port))
            )
            server.cancel()
            await asyncio.gather(server, return_exceptions=True)
            return finding

    assert asyncio.run(play()).level is Level.FINE


def test_the_command_tells_what_it_found_and_ends_with_a_code_for_scripts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "kairos_netboot", "--state", str(tmp_path / "state")]
        command += ["doctor", "--no-probe", "--http-port", number]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 1
    assert f"FAIL  ports     TCP port {number} (HTTP) is taken by" in done.stdout
    assert "choose --http-port" in done.stdout
    assert "keep machines from booting" in done.stdout
    assert not done.stderr
    assert not (tmp_path / "state").exists()
