"""Asks the running server for files as a machine would, with another's TFTP and HTTP clients.

The other's TFTP has no IPv6; there, whether our server answers is asked by our own."""

from __future__ import annotations

import io
import logging
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

from ..errors import MalformedPacket
from ..tftp.packet import ErrorCode, ErrorPacket, ReadRequest, decode, encode
from .findings import Finding, broken, fine

_SECONDS = 4


NO_SUCH_FILE = "no-such-file"


def check_tftp_answers(address: str, port: int) -> Iterator[Finding]:
    """Whether there is an answer at all: where no file is known that should come."""
    where, family = f"TFTP on {address} port {port}", socket.AF_INET
    if ":" in address:
        where, family = f"TFTP on [{address}] port {port}", socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_SECONDS)
        try:
            sock.sendto(encode(ReadRequest(name=NO_SUCH_FILE)), (address, port))
            answer = decode(sock.recv(4096))
        except (OSError, MalformedPacket) as error:
            yield broken("tftp", f"{where} does not answer: {error}", _WAY_OUT.format("UDP", port))
            return
    if isinstance(answer, ErrorPacket) and answer.code == ErrorCode.FILE_NOT_FOUND:
        yield fine("tftp", f"{where} answers")
    else:
        yield broken("tftp", f"{where} answers oddly: {answer}", "another program answers there")


def check_tftp(address: str, port: int, name: str, expected: bytes) -> Iterator[Finding]:
    """Whether the file comes over TFTP as it is here."""
    where = f"tftp://{address}:{port}/{name}"
    try:
        body = _tftp(address, port, name)
    except Exception as error:  # tftpy lets anything out, struct.error included
        yield broken("tftp", f"{where} does not come: {error}", _WAY_OUT.format("UDP", port))
        return
    if body == expected:
        yield fine("tftp", f"{where} comes whole ({len(body) / 1000:.0f} kB)")
    else:
        text = f"{where} comes with {len(body)} bytes; the file here has {len(expected)}, or others"
        yield broken("tftp", text, "restart `serve`: it reads boot loaders when it starts")


_WAY_OUT = "look for a firewall between, and whether `serve` runs with {} port {}"


def _tftp(address: str, port: int, name: str) -> bytes:
    import tftpy  # 60 ms, and nobody else needs it

    logging.getLogger("tftpy").setLevel(logging.CRITICAL)
    body = io.BytesIO()
    kept, body.close = body.close, lambda: None  # type: ignore[method-assign]  # tftpy closes it
    client = tftpy.TftpClient(address, port, options={"blksize": 1428})
    client.download(name, body, timeout=_SECONDS, retries=1)
    data = body.getvalue()
    kept()
    return data


def check_http(base: str) -> Iterator[Finding]:
    """Whether the script for machines without DHCP's word comes."""
    where = f"{base}/start.ipxe"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(where, timeout=_SECONDS) as answer:
            body = answer.read(4096)
    except (OSError, urllib.error.URLError, ValueError) as error:
        port = base.rpartition(":")[2]
        yield broken("http", f"{where} does not come: {error}", _WAY_OUT.format("TCP", port))
        return
    if body.startswith(b"#!ipxe"):
        yield fine("http", f"{where} comes")
    else:
        yield broken("http", f"{where} is no boot script", "another program answers there")
