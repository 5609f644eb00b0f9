"""Reads what there is to know of this host. Nothing is changed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..server.ports import holder
from .host import Host, Interface, Port

_SIOCGIFADDR = 0x8915
# linux/capability.h: the two that serving may need.
_CAPABILITIES = {10: "cap_net_bind_service", 13: "cap_net_raw"}


def look(ports: Iterable[Port], state: Path, newest: datetime | None) -> Host:
    """This host as it is now; `ports` without their holders."""
    ruleset, why_not = _ruleset()
    return Host(
        interfaces=tuple(interfaces()),
        ports=tuple(_held(port) for port in ports),
        capabilities=_capabilities(),
        open_from=_number("/proc/sys/net/ipv4/ip_unprivileged_port_start", 1024),
        ruleset=ruleset,
        why_not=why_not,
        now=datetime.now(UTC),
        newest=newest,
        synchronised=_synchronised(),
        free=shutil.disk_usage(_existing(state)).free,
    )


def _held(port: Port) -> Port:
    return Port(
        protocol=port.protocol,
        number=port.number,
        use=port.use,
        option=port.option,
        holder=holder(port.number, port.protocol),
    )


def interfaces() -> Iterator[Interface]:
    for _, name in socket.if_nameindex():
        folder = Path("/sys/class/net") / name
        flags = int(_text(folder / "flags") or "0", 16)
        yield Interface(
            name=name,
            up=bool(flags & 0x1),  # IFF_UP
            loopback=bool(flags & 0x8),  # IFF_LOOPBACK
            mtu=_number(str(folder / "mtu"), 1500),
            addresses=tuple(_address(name)),
        )


def _address(name: str) -> Iterator[str]:
    """The interface's first IPv4 address; none where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        asked = struct.pack("256s", name.encode()[:15])
        yield socket.inet_ntoa(fcntl.ioctl(sock, _SIOCGIFADDR, asked)[20:24])


def _capabilities() -> frozenset[str]:
    for line in _text(Path("/proc/self/status")).splitlines():
        if line.startswith("CapEff:"):
            bits = int(line.split()[1], 16)
            return frozenset(name for bit, name in _CAPABILITIES.items() if bits >> bit & 1)
    return frozenset()


def _ruleset() -> tuple[dict[str, Any] | None, str]:
    """(nftables' rules, "") or (None, why they cannot be read). Without the program and without
    root there is no telling; a kernel without nftables has no rules."""
    program = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        return None, "install the package 'nftables'"
    done = subprocess.run(
        [program, "-j", "list", "ruleset"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return None, "only root may read them" if os.geteuid() else done.stderr.strip()[:200]
    try:
        found = json.loads(done.stdout or "{}")
    except ValueError:
        return None, f"{program} printed no JSON"
    return (found, "") if isinstance(found, dict) else (None, f"{program} printed no ruleset")


def _synchronised() -> bool | None:
    """What systemd's time service says, or any other that tells systemd; None without systemd."""
    if not Path("/run/systemd/system").is_dir():
        return None
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(p for p in (path, *path.absolute().parents) if p.exists())


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: str, default: int) -> int:
    text = _text(Path(path)).strip()
    return int(text) if text.isdecimal() else default
