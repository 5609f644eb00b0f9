"""Registries for tests: Debian's docker-registry, and one that answers what a test wants."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from kairos_netboot.images.patience import Clock
from kairos_netboot.values import Digest
from tests.images_factory import MadeImage, write_archive

# 'secret' for bcrypt, the only hash that docker-registry takes.
HTPASSWD = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"


class Waiting:
    """A clock on which only waiting takes time; `slept` is each wait."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def clock(self, silence: float = 5.0) -> Clock:
        return Clock(now=lambda: self.time, sleep=self.sleep, jitter=lambda: 0.5, silence=silence)


def answer(
    status: int = 200,
    body: bytes = b"",
    *,
    url: str = "https://r.example/v2/x/",
    headers: dict[str, str] | None = None,
) -> requests.Response:
    """What a host answered, as requests hands it on; no host is asked."""
    response = requests.Response()
    response.status_code, response.url = status, url
    response.headers.update(headers or {})
    response.raw = urllib3.HTTPResponse(
        body=io.BytesIO(body), headers=headers, status=status, preload_content=False
    )
    return response


# --- one that answers what a test wants ---


@dataclass(frozen=True, kw_only=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes = b""


@dataclass(kw_only=True)
class Answer:
    """`cut` bytes are promised and never sent; `hang`: seconds until the connection ends."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    hang: float = 0.0
    endless: bool = False  # without a length: it ends where the connection ends


Answering = Callable[[Asked], Answer]


@contextmanager
def fake_registry(answering: Answering, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Its host and port."""
    with _Server(answering, tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    timeout = 5
    server: _Server

    def handle_any(self) -> None:
        told = self.server.answering(self._asked())
        self.send_response(told.status)
        for name, value in told.headers.items():
            self.send_header(name, value)
        if not told.endless:
            self.send_header("Content-Length", str(len(told.body) + told.cut))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told.body)
            self.wfile.flush()
        self.server.ended.wait(told.hang)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def _asked(self) -> Asked:
        return Asked(
            method=self.command,
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def __init__(self, answering: Answering, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answering, self.ended = answering, threading.Event()
        self._tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        # In the thread of the request: a handshake may never come.
        with self._tls.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that go away, and handshakes that fail, are what tests are about


def honest(made: MadeImage) -> Answering:
    """Manifests by any tag and by digest, and blobs with Range, as they should be."""

    def answering(asked: Asked) -> Answer:
        name = asked.path.rpartition("/")[2]
        digest = Digest(name) if name.startswith("sha256:") else made.top
        if "/referrers/" in asked.path or "/sha256-" in asked.path or digest not in made.blobs:
            return Answer(status=404)
        body = made.blobs[digest]
        if "/manifests/" in asked.path:
            kind = json.loads(body)["mediaType"]
            return Answer(body=body, headers={"Content-Type": kind})
        return ranged(asked, body)

    return answering


def by_turns(*answers: Callable[[Asked], Answer]) -> Answering:
    """One after the other, the last for ever."""
    turn = count()
    return lambda asked: answers[min(next(turn), len(answers) - 1)](asked)


def ranged(asked: Asked, body: bytes) -> Answer:
    """The part that was asked for, with status 206; or all of it."""
    wanted = asked.headers.get("range")
    if wanted is None:
        return Answer(body=body)
    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    if start >= len(body):
        return Answer(status=416)
    place = f"bytes {start}-{len(body) - 1}/{len(body)}"
    return Answer(status=206, body=body[start:], headers={"Content-Range": place})


def cut_after(count: int, told: Answer) -> Answer:
    """The same, broken off after `count` bytes of the body."""
    if len(told.body) <= count:
        return told
    return Answer(
        status=told.status,
        body=told.body[:count],
        headers=told.headers,
        cut=len(told.body) - count,
    )


# --- certificates ---


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """An authority, and what it signed for 127.0.0.1."""

    ca: Path
    certificate: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_certificates(folder: Path) -> Certificates:
    needs("openssl")
    folder.mkdir(parents=True, exist_ok=True)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    ca, ca_key = folder / "ca.crt", folder / "ca.key"
    certificate, key = folder / "server.crt", folder / "server.key"
    _openssl(*curve, "-subj", "/CN=test authority", "-keyout", str(ca_key), "-out", str(ca))
    _openssl(
        *curve,
        *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-CA", str(ca), "-CAkey", str(ca_key), "-keyout", str(key), "-out", str(certificate)),
    )
    return Certificates(ca=ca, certificate=certificate, key=key)


def _openssl(*options: str) -> None:
    subprocess.run(["openssl", "req", "-x509", *options], check=True, capture_output=True)


# --- Debian's docker-registry ---


def needs(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {missing}")
    if missing:
        pytest.skip(f"not installed: {missing}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def docker_registry(
    folder: Path,
    *,
    login: bool = False,
    tls: Certificates | None = None,
    read_only: bool = False,
) -> Iterator[str]:
    """A registry of Debian's on a free port of the loopback interface."""
    needs("docker-registry", "skopeo")
    folder.mkdir(exist_ok=True)
    port = free_port()
    config = _config(folder, f"127.0.0.1:{port}", login, tls, read_only)
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
        try:
            _wait_until_it_listens(port)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _config(
    folder: Path, address: str, login: bool, tls: Certificates | None, read_only: bool
) -> dict[str, object]:
    http: dict[str, object] = {"addr": address}
    if tls is not None:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    storage: dict[str, object] = {"filesystem": {"rootdirectory": str(folder / "data")}}
    if read_only:
        storage["maintenance"] = {"readonly": {"enabled": True}}
    config: dict[str, object] = {"version": 0.1, "storage": storage, "http": http}
    if login:
        (folder / "htpasswd").write_text(HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    return config


def _wait_until_it_listens(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.025)
    pytest.fail("docker-registry does not start")


def push(folder: Path, made: MadeImage, target: str, *options: str) -> None:
    """By skopeo, as others do."""
    archive = write_archive(folder / "pushed.tar", {"": made})
    argv = ["skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false", *options]
    subprocess.run(
        [*argv, f"oci-archive:{archive}", f"docker://{target}"], check=True, capture_output=True
    )
