"""Asks the running server for files as a machine would, with another's TFTP and HTTP clients."""

from __future__ import annotations

import io
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator

from .findings import Finding, broken, fine

_SECONDS = 5


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
    client.download(name, body, timeout=_SECONDS)
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
