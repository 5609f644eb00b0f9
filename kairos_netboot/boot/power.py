"""How a machine is switched on and off from afar, and where its switch is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, ip_address
from urllib.parse import urlsplit

from ..errors import InvalidValue

IPMI_PORT = 623
BROADCAST = "255.255.255.255"


class PowerKind(StrEnum):
    REDFISH = "redfish"
    IPMI = "ipmi"  # through ipmitool
    WAKE = "wake-on-lan"  # on only
    QEMU = "qemu"  # QEMU's monitor: a socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """`address`: URL of the Redfish service, host of the IPMI controller, QMP socket's path, or
    for wake-on-lan the broadcast address. `login` names credentials in the store; `system` the
    Redfish system where a service has several; `ca` the PEM file of its certificate's authority."""

    kind: PowerKind
    address: str = ""
    login: str = ""
    system: str = ""
    ca: str = ""
    insecure: bool = False  # its certificate is not checked


@dataclass(frozen=True, slots=True)
class Host:
    """An address or a name, and a port."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


_LOGIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_NAME = re.compile(r"[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?(\.[0-9A-Za-z-]+)*\.?")
_HOST = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?")


def check_login_name(name: str) -> str:
    """The name, or InvalidValue."""
    if not _LOGIN.fullmatch(name):
        raise InvalidValue(
            f"'{name}' is no name for a login: up to 64 letters, digits, dots, hyphens and"
            " underscores, the first a letter or digit"
        )
    return name


def redfish_url(text: str) -> str:
    """`https://HOST[:PORT]`, without what the service adds to it; or InvalidValue."""
    wrong = InvalidValue(f"'{text}' is no Redfish address: write https://HOST or https://HOST:PORT")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.username is not None or parts.password is not None:
        raise InvalidValue(
            "credentials do not belong into an address: keep them with"
            " `kairos-netboot power login NAME` and write `login: NAME`"
        )
    rest = (parts.path.rstrip("/") not in ("", "/redfish", "/redfish/v1"), parts.query)
    if parts.scheme not in ("http", "https") or any(rest) or parts.fragment or not parts.hostname:
        raise wrong
    host = _checked_host(parts.hostname, wrong)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}"


def host_and_port(text: str, port: int) -> Host:
    """`HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`; or InvalidValue."""
    wrong = InvalidValue(f"'{text}' is no host: write HOST or HOST:PORT, IPv6 as [ADDRESS]:PORT")
    match = _HOST.fullmatch(text)
    if match is None:
        raise wrong
    number = int(match[3]) if match[3] else port
    if not 0 < number < 65536:
        raise wrong
    return Host(_checked_host(match[1] or match[2], wrong), number)


def monitor(text: str) -> Host | str:
    """QEMU's: `tcp:HOST:PORT`, or the absolute path of a Unix socket; or InvalidValue."""
    if text.startswith("tcp:"):
        found = host_and_port(text.removeprefix("tcp:"), 0) if text.count(":") > 1 else None
        if found is None:
            raise InvalidValue(f"'{text}' names no port: write tcp:HOST:PORT")
        return found
    path = text.removeprefix("unix:")
    if not path.startswith("/") or not path.isprintable():
        raise InvalidValue(
            f"'{text}' is no QMP address: write the socket's path from the root (/…), or"
            " tcp:HOST:PORT"
        )
    return path


def broadcast(text: str) -> IPv4Address:
    """Where a wake-up is sent to; or InvalidValue."""
    try:
        address = IPv4Address(text)
    except ValueError:
        address = None
    if address is None or address.is_unspecified or address.is_multicast:
        raise InvalidValue(
            f"'{text}' is no IPv4 broadcast address: write that of the machine's network, such as"
            " 192.0.2.255"
        )
    return address


def _checked_host(name: str, wrong: InvalidValue) -> str:
    if ":" not in name and not name.replace(".", "").isdigit():
        if len(name) > 253 or not _NAME.fullmatch(name):
            raise wrong
        return name
    try:
        return str(ip_address(name))
    except ValueError:
        raise wrong from None
