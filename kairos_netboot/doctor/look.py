"""Reads what there is to know of this host. Nothing is changed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from ..boot.network import DhcpSite
from ..server import udp6
from ..server.addresses import Own, read_addresses
from ..server.ports import Holder, has_packet_socket, is_serving, who_holds
from .facts import Host, Interface, Port

_NETWORK = Path("/sys/class/net")
_ETHER = "1"  # ARPHRD_ETHER
_FREE_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LEGACY = ("ip_tables_names", "ip6_tables_names")
# linux/capability.h: the two that serving may need.
_CAPABILITIES = {10: "cap_net_bind_service", 13: "cap_net_raw"}


def look(
    ports: Iterable[Port], state: Path, newest: datetime | None = None, dhcp: DhcpSite = DhcpSite()
) -> Host:
    """This host as it is now; `ports` without their holders."""
    ruleset, why_not = _ruleset()
    kept = _existing(state)
    seen = is_serving()
    held = tuple(_held(port, seen) for port in ports)
    running = next((port.process for port in held if port.is_ours), 0)
    return Host(
        interfaces=tuple(interfaces()),
        ports=held,
        capabilities=_capabilities(),
        open_from=_number("/proc/sys/net/ipv4/ip_unprivileged_port_start", 1024),
        free_ports=_free_ports(),
        sends_frames=has_packet_socket(running) if running else None,
        ruleset=ruleset,
        why_not=why_not,
        has_legacy_rules=any(_text(Path(f"/proc/net/{name}")).strip() for name in _LEGACY),
        now=datetime.now(UTC),
        newest=newest,
        synchronised=_synchronised(),
        free=shutil.disk_usage(kept).free,
        may_write=os.access(kept, os.W_OK),
        dhcp=dhcp,
    )


def _held(port: Port, seen: bool) -> Port:
    """Where only root may know the holder, it is taken for our own server if one runs."""
    found = who_holds(port.number, port.protocol)
    if found is None:
        return port
    if not found.process and seen:
        found = Holder(name="presumably kairos-netboot", process=0, is_ours=True)
    return replace(port, holder=str(found), process=found.process, is_ours=found.is_ours)


def interfaces() -> Iterator[Interface]:
    """Those with Ethernet; there is nothing to boot behind the others."""
    own = _addresses()
    for index, name in socket.if_nameindex():
        folder = _NETWORK / name
        if _text(folder / "type").strip() != _ETHER:
            continue
        above = sorted(path.name.removeprefix("upper_") for path in folder.glob("upper_*"))
        addresses = tuple(address for at, address in own if at == index)
        yield Interface(
            name=name,
            up=bool(int(_text(folder / "flags") or "0", 16) & 0x1),  # IFF_UP
            mtu=_number(str(folder / "mtu"), 1500),
            addresses=addresses,
            addresses6=_addresses6(index),
            has_link=_text(folder / "carrier").strip() != "0",
            part_of="" if addresses or not above else ", ".join(above),
        )


def _addresses() -> list[Own]:
    try:
        return read_addresses()
    except OSError:
        return []


def _addresses6(index: int) -> tuple[IPv6Address, ...]:
    """The one that machines on an interface are told."""
    own = udp6.own_address(index) if udp6.is_available() else None
    return (own,) if own is not None else ()


def _free_ports() -> tuple[int, int]:
    first, last = (_text(_FREE_PORTS).split() or ["32768", "60999"])[:2]
    return int(first), int(last)


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
