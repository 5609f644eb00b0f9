"""Who holds a port, as Linux tells in /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def holder(port: int, protocol: str) -> str:
    """`dnsmasq (process 812)`; `another program` where only root may know; empty: it is free."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, protocol.lower())}
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        with contextlib.suppress(OSError):  # gone since, or someone else's
            if any(os.readlink(held) in sockets for held in (process / "fd").iterdir()):
                name = (process / "comm").read_text().strip()
                return f"{name} (process {process.name})"
    return "another program" if sockets else ""


def _inodes(port: int, protocol: str) -> Iterator[str]:
    """The sockets bound to a port; an IPv6 one may hold the IPv4 port as well."""
    for version in ("", "6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{protocol}{version}").read_text().splitlines()[1:]:
                columns = line.split()
                is_listening = protocol == "udp" or columns[3] == "0A"  # TCP_LISTEN
                if is_listening and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9]
