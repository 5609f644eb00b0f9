"""What is wrong with this host for a netboot server, from what was read of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ..boot.network import DhcpMode
from .facts import DHCP, DHCP6, Host, Interface, Port
from .findings import Finding, broken, doubtful, fine
from .walls import check_firewall

# A TFTP block of 1468 bytes fills an Ethernet frame; a smaller one makes fragments, which boot
# ROMs do not put together.
_ETHERNET = 1500
_GIB = 1 << 30
# One image of usual size with its layers; less than this and the next `images add` fails.
_LITTLE_SPACE = 4 * _GIB
_NO_SPACE = _GIB // 4
_SLACK = timedelta(minutes=5)
_BEFORE_THIS_PROGRAM = datetime(2026, 1, 1, tzinfo=UTC)


def check_host(host: Host) -> Iterator[Finding]:
    yield from check_ports(host)
    yield from check_rights(host)
    yield from check_interfaces(host)
    yield from check_firewall(host)
    yield from check_clock(host)
    yield from check_space(host)


def check_ports(host: Host) -> Iterator[Finding]:
    for port in host.ports:
        if port.holder and not port.is_ours:
            yield _of_taken(host, port)
    for port in host.ports:
        if port.is_ours:
            yield fine("ports", f"{port.name} ({port.use}): {port.holder} listens")
    free = [
        p for p in host.ports if not p.holder and not (host.by_packet_socket(p) and host.is_served)
    ]
    if free:
        names = ", ".join(f"{port.name} ({port.use})" for port in free)
        if host.is_served:
            text = f"nobody listens on {names}, though `serve` is running: no answer there"
            yield doubtful("ports", text, "start `serve` with the options that the doctor is given")
        else:
            text = f"`serve` is not running: nobody listens on {names}, and no machine is answered"
            yield doubtful("ports", text, "start `kairos-netboot serve`")


def _of_taken(host: Host, port: Port) -> Finding:
    what = f"{port.name} ({port.use})"
    if host.by_packet_socket(port):
        return fine("ports", f"{what} is held by {port.holder}; `listen: raw` works beside it")
    if not port.process:
        text = f"{what} is held by a program that only root may name: this server or another"
        return doubtful("ports", text, "run the doctor as root")
    if port.use == DHCP6:
        text = f"{what} is taken by {port.holder}: machines that boot over IPv6 get no answer"
        return doubtful("ports", text, f"stop it, or choose {port.option}")
    text = f"{what} is taken by {port.holder}: `serve` cannot start"
    if port.use == DHCP:
        remedy = "stop it, or work beside it with `dhcp: {listen: raw}` in the site file"
        return broken("ports", text, remedy)
    return broken("ports", text, f"stop it, or choose {port.option}")


def check_rights(host: Host) -> Iterator[Finding]:
    if not host.may_write:
        text = "this user may not write where the state is kept: neither `serve` nor `apply` will"
        yield doubtful("rights", text, "use the user that `serve` works as, or root, or --state")
    answers = any(port.use == DHCP for port in host.ports)
    if not host.is_served:
        yield from _low_ports(host)
        if answers and "cap_net_raw" not in host.capabilities:
            yield _without_packet_sockets(host)
    elif answers and host.sends_frames is False:
        yield doubtful("rights", f"`serve` runs without CAP_NET_RAW: {_NO_FRAMES}", _GIVE_RAW)


_GIVE_RAW = "start `serve` as root (it gives root up), or with CAP_NET_RAW"
_NO_FRAMES = (
    "machines without an address are answered by broadcast, no address is tried before it is "
    "offered, and Debian's signed GRUB gets no lease that leads here"
)


def _low_ports(host: Host) -> Iterator[Finding]:
    low = [
        port.name
        for port in host.ports
        if port.number < host.open_from and not host.by_packet_socket(port)
    ]
    if low and "cap_net_bind_service" not in host.capabilities:
        yield doubtful(
            "rights",
            f"this user may not open {', '.join(low)}: `serve` will not start",
            "start `serve` as root (it gives root up), or with CAP_NET_BIND_SERVICE",
        )
    else:
        yield fine("rights", "this user may open the ports")


def _without_packet_sockets(host: Host) -> Finding:
    fails = "`serve` will not start with `listen: raw`" if host.is_raw else _NO_FRAMES
    return doubtful("rights", f"this user may not open packet sockets: {fails}", _GIVE_RAW)


def check_interfaces(host: Host) -> Iterator[Finding]:
    if not host.interfaces:
        text = "there is no network interface that machines could be on: none is answered"
        yield broken("network", text, "plug one in; a container needs the host's network")
    for interface in host.interfaces:
        yield from _check_interface(host, interface)


def _check_interface(host: Host, interface: Interface) -> Iterator[Finding]:
    name = interface.name
    if interface.part_of:
        yield fine("network", f"{name} is part of {interface.part_of}")
    elif not interface.up:
        yield fine("network", f"{name} is down: nobody is served there")
    elif not interface.has_link:
        yield fine("network", f"{name} has no link: nobody is there, or the cable is out")
    else:
        yield from _of_addresses(host, interface)
    if interface.serves and interface.mtu < _ETHERNET:
        yield doubtful(
            "network",
            f"{name} takes packets of {interface.mtu} bytes: TFTP blocks leave in fragments, "
            "which boot ROMs drop",
            f"`ip link set {name} mtu {_ETHERNET}`, if the network carries it",
        )


def _of_addresses(host: Host, interface: Interface) -> Iterator[Finding]:
    name, usable = interface.name, interface.usable
    if not usable:
        only = " but a link-local one" if interface.addresses else ""
        text = f"{name} has no IPv4 address{only}: machines there get no answer"
        yield doubtful("network", text, f"give {name} an address, or set it down")
        return
    shown = [*map(str, usable), *map(str, interface.addresses6)]
    yield fine("network", f"{name} has {', '.join(shown)}")
    if host.dhcp.mode is not DhcpMode.SERVER:
        return
    if not any(host.dhcp.subnet_of(own.ip) for own in usable):
        text = f"{name} is in no subnet of the site file: machines there get no lease"
        yield doubtful("network", text, f"add {usable[0].network} to `dhcp: {{subnets: …}}`")


def check_clock(host: Host) -> Iterator[Finding]:
    """Installed machines take their first time from what signs and dates their files."""
    now, remedy = f"{host.now:%Y-%m-%d %H:%M} UTC", "set the clock, or start a time service"
    if host.newest and host.newest > host.now + _SLACK:
        text = f"it is {now} here, and the state has news of {host.newest:%Y-%m-%d %H:%M}"
        yield broken("clock", f"{text}: certificates and time-outs go wrong", remedy)
    elif host.now < _BEFORE_THIS_PROGRAM:
        text = f"it is {now} here, which is long past: registries' certificates are not valid yet"
        yield broken("clock", text, remedy)
    elif host.synchronised is False:
        text = f"it is {now} here, and no time service keeps it right: leases and logs will drift"
        yield doubtful("clock", text, "start one: systemd-timesyncd, chrony")
    else:
        yield fine("clock", f"it is {now} here")


def check_space(host: Host) -> Iterator[Finding]:
    gigabytes = f"{host.free / 1e9:.1f} GB free for the state"
    remedy = "`kairos-netboot images gc`, or a larger disk for --state"
    if host.free < _NO_SPACE:
        yield broken("disk", f"{gigabytes}: reports cannot be written soon", remedy)
    elif host.free < _LITTLE_SPACE:
        yield doubtful("disk", f"{gigabytes}: the next image may not fit", remedy)
    else:
        yield fine("disk", gigabytes)
