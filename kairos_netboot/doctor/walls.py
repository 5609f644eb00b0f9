"""Which packets between machines and us the firewall of this host stops. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from .facts import DHCP, DHCP6, HTTP, TFTP, Host, Interface, Port
from .findings import Finding, broken, doubtful, fine
from .firewall import Verdict, ruling
from .matches import Network, Span, Wanted

_CLIENT_PORTS = (1024, 65535)
_BEFORE_ITS_LEASE = ipaddress.ip_network("0.0.0.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One that has to pass. `what`: in words; `match` and `value`: what nftables knows it by."""

    what: str
    match: str
    value: str
    wanted: Wanted


def check_firewall(host: Host) -> Iterator[Finding]:
    if host.has_legacy_rules:
        text = "there are rules of the older iptables, which are not read here"
        yield doubtful("firewall", text, "look at them with iptables-legacy -S")
    if host.ruleset is None:
        text = f"nftables' rules could not be read: {host.why_not}"
        yield doubtful("firewall", text, "run the doctor as root, with nftables installed")
        return
    found = list(_stopped(host))
    yield from found
    if not found:
        yield fine("firewall", "no nftables rule stands between machines and this server")


_Stop = tuple[Verdict, str, bool]  # in which chain, and whether on the way out


def _stopped(host: Host) -> Iterator[Finding]:
    """One finding for each chain that stops something, whatever and however much that is."""
    found: dict[_Stop, list[Packet]] = {}
    for packet in packets(host):
        ruled = ruling(host.ruleset or {}, packet.wanted)
        if ruled.verdict is not Verdict.PASSED:
            key = (ruled.verdict, ruled.where, packet.wanted.outward)
            found.setdefault(key, []).append(packet)
    for (verdict, where, outward), stopped in found.items():
        sure = verdict is Verdict.DROPPED
        names = _list(p.wanted.interface or "any interface" for p in stopped)
        fails = "our answers do not get out" if outward else "machines get no answer"
        text = (
            f"nftables {'drops' if sure else 'may drop'} {_list(p.what for p in stopped)} on "
            f"{names}, in chain {where}: {fails if sure else f'then {fails}'}"
        )
        rules = ", ".join(f"`nft insert rule {where} {rule}`" for rule in _rules(stopped))
        remedy = f"let it pass, here and in the firewall's own file: {rules}"
        yield broken("firewall", text, remedy) if sure else doubtful("firewall", text, remedy)


def _rules(stopped: Iterable[Packet]) -> Iterator[str]:
    values: dict[str, dict[str, None]] = {}
    for packet in stopped:
        values.setdefault(packet.match, {})[packet.value] = None
    for match, several in values.items():
        shown = ", ".join(several)
        yield f"{match} {shown if len(several) == 1 else f'{{ {shown} }}'} accept"


def _list(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def packets(host: Host) -> Iterator[Packet]:
    """All kinds that boots are made of, on each interface that serves."""
    serving = [i for i in host.interfaces if i.serves] or [Interface(name="", up=True, mtu=0)]
    for interface in serving:
        for port in host.ports:
            for family in _families(interface, port):
                for packet in _of_port(host, port, interface, family):
                    wanted = replace(packet.wanted, interface=interface.name, family=family)
                    yield replace(packet, wanted=wanted)


def _families(interface: Interface, port: Port) -> tuple[str, ...]:
    if port.ipv6 or port.use == DHCP:
        return ("ip6",) if port.ipv6 else ("ip",)
    return ("ip", "ip6") if interface.addresses6 else ("ip",)


def _of_port(host: Host, port: Port, interface: Interface, family: str) -> Iterator[Packet]:
    own: Span = (port.number, port.number)
    framed = host.by_packet_socket(port)
    from_lease = next((i.network for i in interface.usable), None) if family == "ip" else None
    source = _BEFORE_ITS_LEASE if port.use == DHCP else from_lease
    sent = Wanted(
        protocol=port.protocol,
        to=own,
        source=source,
        broadcast=port.use == DHCP,
        framed=framed,
    )
    kind = f"{port.name} ({port.use}{'' if family == 'ip' or port.ipv6 else ', IPv6'})"
    yield Packet(what=kind, match=f"{port.protocol} dport", value=str(port.number), wanted=sent)
    if port.use == TFTP:
        yield from _transfer(host.free_ports, from_lease)
        return
    yield Packet(
        what=f"answers from {kind}",
        match=f"{port.protocol} sport",
        value=str(port.number),
        wanted=Wanted(
            protocol=port.protocol,
            to={DHCP: (68, 68), DHCP6: (546, 546)}.get(port.use, _CLIENT_PORTS),
            by=own,
            outward=True,
            state="established" if port.use == HTTP else "new",
            framed=framed,
        ),
    )


def _transfer(free_ports: Span, source: Network | None) -> Iterator[Packet]:
    """TFTP answers from a free port, and is answered there: the packets of a file are of another
    conversation than its request, which the server begins."""
    data = Wanted(protocol="udp", to=_CLIENT_PORTS, by=free_ports, outward=True, state="new")
    span = f"{free_ports[0]}-{free_ports[1]}"
    yield Packet(what="TFTP's files", match="udp sport", value=span, wanted=data)
    acks = Wanted(
        protocol="udp", to=free_ports, by=_CLIENT_PORTS, source=source, state="established"
    )
    yield Packet(
        what="the acknowledgements of TFTP's files",
        match="ct state",
        value="established,related",
        wanted=acks,
    )
