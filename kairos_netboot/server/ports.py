"""Who holds a port, as Linux tells in /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
# How the program appears among the arguments of a process: as a command, and with `python -m`.
_US = (b"kairos-netboot", b"kairos_netboot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """`process` is 0 where only root may know which one it is."""

    name: str
    process: int
    is_ours: bool

    def __str__(self) -> str:
        return f"{self.name} (process {self.process})" if self.process else self.name


def holder(port: int, protocol: str) -> str:
    """`dnsmasq (process 812)`; `another program` where only root may know; empty: it is free."""
    return str(who_holds(port, protocol) or "")


def who_holds(port: int, protocol: str) -> Holder | None:
    """None: nobody."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, protocol.lower())}
    if not sockets:
        return None
    for process in _PROC.glob("[0-9]*"):
        if sockets & set(_open_in(process)):
            with contextlib.suppress(OSError):
                return _holder(process)
    return Holder(name="another program", process=0, is_ours=False)


def _holder(process: Path) -> Holder:
    name, ours = (process / "comm").read_text().strip(), _is_ours(process)
    # Started by `python -m` the process is called python3.
    return Holder(name="kairos-netboot" if ours else name, process=int(process.name), is_ours=ours)


def is_serving() -> bool:
    """Whether a `serve` runs on this host, whoever's it is; not where only root may see it."""
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if _is_ours(process):
                return True
    return False


def _is_ours(process: Path) -> bool:
    """The first arguments say it: what follows may name a file of ours."""
    arguments = (process / "cmdline").read_bytes().split(b"\0")
    program = any(os.path.basename(argument) in _US for argument in arguments[:3])
    return program and b"serve" in arguments


def has_packet_socket(process: int) -> bool | None:
    """None where only root may know."""
    try:
        mine = [os.readlink(held) for held in (_PROC / str(process) / "fd").iterdir()]
        rows = (_PROC / str(process) / "net/packet").read_text().splitlines()[1:]
    except OSError:
        return None
    return not {f"socket:[{row.split()[-1]}]" for row in rows}.isdisjoint(mine)


def _open_in(process: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):  # gone since, or someone else's
        for held in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield os.readlink(held)


def _inodes(port: int, protocol: str) -> Iterator[str]:
    """The sockets bound to a port; an IPv6 one may hold the IPv4 port as well."""
    for version in ("", "6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{protocol}{version}").read_text().splitlines()[1:]:
                columns = line.split()
                is_listening = protocol == "udp" or columns[3] == "0A"  # TCP_LISTEN
                if is_listening and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9]
