"""Settings of one run: where things are kept and served."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Port 0 lets the kernel choose. `dhcp` off: no DHCP and no TFTP, for firmware that is told
    the boot script's address in another way."""

    listen: str
    dhcp_port: int
    pxe_port: int
    tftp_port: int
    http_port: int
    dhcp: bool
    ipv6: bool
    dhcp6_port: int
    advertise: IPv4Address | None
    interfaces: frozenset[str]
    loaders: tuple[Path, ...]
    user: str
    syslog: bool = False
    syslog_port: int = 514


def state_directory(environ: Mapping[str, str], *, root: bool) -> Path:
    """Where the program keeps its state when nobody says: as the Filesystem Hierarchy and the XDG
    base directories have it."""
    if root:
        return Path("/var/lib/kairos-netboot")
    base = environ.get("XDG_DATA_HOME") or os.path.join(environ.get("HOME", "."), ".local/share")
    return Path(base) / "kairos-netboot"
