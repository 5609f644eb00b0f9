"""Everything that is listened on, opened while we are still root."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from ..boot.network import DhcpMode, DhcpSite, Listen
from ..config.settings import ServeSettings
from ..errors import CannotServe
from ..server import udp, udp6
from ..server.addresses import Addresses
from ..server.dhcp6 import Sockets6, bind6
from ..server.probe import Probe
from ..server.raw import RawWire
from ..server.wire import Wire, open_wire

T = TypeVar("T")

# GRUB leaves its connection open and uses the same ports at every start: the next boot's first
# packet would meet the old connection, and wait for 18 s. Accepted sockets inherit these.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 3, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3}  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Sockets:
    """None for what is not served: DHCP with `mode: off`, that and TFTP with --no-dhcp, IPv6 with
    --no-ipv6 or where this host has none."""

    http: tuple[socket.socket, ...]
    dhcp: Wire | None = None
    pxe: Wire | None = None
    tftp: socket.socket | None = None
    offers: Wire | None = None  # what the site's DHCP server answers to others
    probe: Probe | None = None
    dhcp6: Sockets6 | None = None
    tftp6: socket.socket | None = None
    syslog: socket.socket | None = None  # where it is wanted

    @property
    def http_port(self) -> int:
        return int(self.http[0].getsockname()[1])


@contextlib.contextmanager
def bound(settings: ServeSettings, dhcp: DhcpSite, say: Callable[[str], None]) -> Iterator[Sockets]:
    """Bind all or none, a line for each; raises CannotServe naming the port and what to do."""
    there = [name for _, name in socket.if_nameindex()]
    for name in settings.interfaces.difference(there):
        raise CannotServe(
            f"--interface {name}: there is none of that name, only {', '.join(there)}"
        )
    with contextlib.ExitStack() as stack:
        yield _Opening(settings=settings, dhcp=dhcp, stack=stack, say=say).sockets()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opening:
    settings: ServeSettings
    dhcp: DhcpSite
    stack: contextlib.ExitStack
    say: Callable[[str], None]

    def sockets(self) -> Sockets:
        with_dhcp = self.settings.dhcp and self.dhcp.mode is not DhcpMode.OFF
        v6 = self.settings.ipv6 and self.settings.listen == "0.0.0.0" and udp6.is_available()
        http = [self._http()]
        if v6:
            port = int(http[0].getsockname()[1])
            second = self._or_note("HTTP", lambda: self._http6(port))
            http += [second] if second else []
        return Sockets(
            dhcp=self._wire() if with_dhcp else None,
            pxe=self._pxe() if with_dhcp else None,
            offers=self._offers() if with_dhcp else None,
            probe=self._probe() if with_dhcp else None,
            tftp=self._tftp() if self.settings.dhcp else None,
            dhcp6=self._or_note("DHCPv6", self._dhcp6) if with_dhcp and v6 else None,
            tftp6=self._or_note("TFTP", self._tftp6) if self.settings.dhcp and v6 else None,
            http=tuple(http),
            syslog=self._syslog() if self.settings.syslog else None,
        )

    def _wire(self) -> Wire:
        settings = self.settings
        # A packet socket is opened for DHCP alone: nobody else needs the port 4011.
        wire = open_wire(
            self.dhcp.listen,
            settings.listen,
            settings.dhcp_port,
            Addresses(),
            option="--dhcp-port",
        )
        self.stack.callback(wire.close)
        name = "DHCP" if self.dhcp.mode is DhcpMode.SERVER else "proxy-DHCP"
        self.say(f"{name} on {wire.where}")
        return wire

    def _pxe(self) -> Wire:
        port = self.settings.pxe_port
        wire = open_wire(Listen.UDP, self.settings.listen, port, Addresses(), option="--pxe-port")
        self.stack.callback(wire.close)
        self.say(f"PXE boot server on {wire.where}")
        return wire

    def _offers(self) -> Wire | None:
        """Only a proxy beside other servers has a use for them."""
        if self.dhcp.mode is not DhcpMode.PROXY or self.settings.dhcp_port != 67:
            return None
        try:
            wire = RawWire(68, Addresses())
        except CannotServe:
            return None
        self.stack.callback(wire.close)
        return wire

    def _probe(self) -> Probe:
        probe = Probe.open()
        self.stack.callback(probe.close)
        if self.dhcp.mode is DhcpMode.SERVER and self.dhcp.check_address and not probe.can_try:
            self.say("note: without CAP_NET_RAW no address is tried before it is offered")
        return probe

    def _tftp(self) -> socket.socket:
        sock = udp.bind(self.settings.listen, self.settings.tftp_port, option="--tftp-port")
        return self._told("TFTP", self.stack.enter_context(sock))

    def _http(self) -> socket.socket:
        sock = _bind_http(self.settings.listen, self.settings.http_port)
        return self._told("HTTP", self.stack.enter_context(sock))

    def _syslog(self) -> socket.socket:
        sock = udp.bind(self.settings.listen, self.settings.syslog_port, option="--syslog-port")
        return self._told("syslog", self.stack.enter_context(sock))

    # IPv6 is taken where it can be had; where not, machines have IPv4.

    def _or_note(self, name: str, open_it: Callable[[], T]) -> T | None:
        try:
            return open_it()
        except CannotServe as error:
            self.say(f"note: no {name} over IPv6: {error}")
            return None

    def _dhcp6(self) -> Sockets6:
        settings = self.settings
        sockets = self.stack.enter_context(
            bind6("::", dhcp_port=settings.dhcp6_port, pxe_port=settings.pxe_port)
        )
        self._told("DHCPv6", sockets.dhcp)
        self._told("PXE boot server", sockets.pxe)
        return sockets

    def _tftp6(self) -> socket.socket:
        sock = udp6.bind("::", self.settings.tftp_port, option="--tftp-port")
        return self._told("TFTP", self.stack.enter_context(sock))

    def _http6(self, port: int) -> socket.socket:
        return self._told("HTTP", self.stack.enter_context(_bind_http("::", port)))

    def _told(self, name: str, sock: socket.socket) -> socket.socket:
        address, port = sock.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        self.say(f"{name} on {shown}:{port}")
        return sock


def _bind_http(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        # An IPv6 one is for IPv6 alone: the one for IPv4 has the same port.
        sock = socket.create_server((address, port), family=family, backlog=128)
        for option, value in _KEEPALIVE.items():
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        return sock
    except OSError as error:
        raise udp.cannot_bind(error, address, port, "--http-port", protocol="TCP") from error
