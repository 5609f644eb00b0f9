"""The site file's words on networks and first boot files: `boot`, `dhcp`, `network`, `address`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, ip_address
from itertools import pairwise
from typing import TypeVar

from ..boot.chains import ROW_NAMES, ROWS, Method, row_named
from ..boot.cmdline import refuse_meaningful
from ..boot.network import (
    DhcpMode,
    DhcpOptions,
    DhcpSite,
    KernelNetwork,
    Listen,
    Range,
    Subnet,
)
from ..cloudconfig.spelling import hint_or_known
from .fields import checked, choice, texts
from .keys import names
from .located import Located

T = TypeVar("T")

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+")
_DURATION = re.compile(r"(\d{1,9})([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_INFINITE = 0xFFFFFFFF  # RFC 2132, section 9.2
_OPTIONS = ("routers", "dns", "ntp", "domain", "mtu", "routes", "lease")


def boot_table(at: Located | None) -> dict[str, str]:
    """`boot: METHOD` for every kind of firmware that has it, or a METHOD or FILE for each."""
    if at is None:
        return {}
    if isinstance(at.value(), str):
        method = Method(at.choice(*Method))
        return {row.name: method.value for row in ROWS if method in row.loaders}
    return {name: _way(value, name) for name, value in at.fields(*ROW_NAMES).items()}


def _way(at: Located, row: str) -> str:
    word, known = at.text(), row_named(row).loaders
    if word in set(Method) and word not in known:
        raise at.mistake(f"{row} has no '{word}': it has {', '.join(known)}, or a file's name")
    if word not in set(Method) and not _FILE.fullmatch(word):
        raise at.mistake(
            f"'{word}' is neither a way to boot nor a boot loader's file name"
            f"{hint_or_known(word, [method.value for method in known])}"
        )
    return word


def dhcp_site(at: Located | None) -> DhcpSite:
    if at is None:
        return DhcpSite()
    fields = at.fields(*names("dhcp"))
    entries = fields["subnets"].entries() if "subnets" in fields else ()
    subnets = tuple(_subnet(key, value) for key, value in entries)
    mode = choice(fields, "mode", DhcpMode.PROXY)
    if mode is DhcpMode.SERVER and not subnets:
        raise at.mistake("a DHCP server needs `subnets`: name the networks it has addresses for")
    _refuse_overlap(at, [subnet.network for subnet in subnets])
    return DhcpSite(
        mode=mode,
        listen=choice(fields, "listen", Listen.UDP),
        subnets=subnets,
        check_address=fields["check-address"].flag() if "check-address" in fields else True,
        despite_others=fields["despite-others"].flag() if "despite-others" in fields else False,
    )


def _refuse_overlap(at: Located, networks: list[IPv4Network]) -> None:
    for one, next_one in pairwise(sorted(networks)):
        if one.overlaps(next_one):
            raise at.mistake(f"the subnets {one} and {next_one} overlap: an address is in one")


def _subnet(key: str, at: Located) -> Subnet:
    network = _parsed(at, IPv4Network, key, "a network like 192.168.77.0/24")
    fields = at.fields(*names("subnet"))
    ranges = tuple(_range(text, network) for text in texts(fields.get("ranges")))
    for (_, last), (first, _) in pairwise(sorted(ranges)):
        if first <= last:
            raise fields["ranges"].mistake(f"two ranges of {network} overlap at {first}")
    return Subnet(network=network, ranges=ranges, options=_options(fields))


def _range(at: Located, network: IPv4Network) -> Range:
    first_text, _, last_text = at.text().replace(" ", "").partition("-")
    wanted = "a range like 192.168.77.100-192.168.77.199"
    first = _parsed(at, IPv4Address, first_text, wanted)
    last = _parsed(at, IPv4Address, last_text or first_text, wanted)
    if first > last:
        raise at.mistake(f"the range {first}-{last} ends before it begins")
    for address in (first, last):
        if address not in network:
            raise at.mistake(f"{address} is not in the subnet {network}")
    if first == network.network_address or last == network.broadcast_address:
        raise at.mistake(f"the first and the last address of {network} are no machine's")
    return first, last


def dhcp_options(at: Located | None) -> DhcpOptions:
    return _options(at.fields(*_OPTIONS)) if at else DhcpOptions()


def _options(fields: Mapping[str, Located]) -> DhcpOptions:
    return DhcpOptions(
        routers=_addresses(fields.get("routers")),
        dns=_addresses(fields.get("dns")),
        ntp=_addresses(fields.get("ntp")),
        domain=_domain(fields["domain"]) if "domain" in fields else "",
        mtu=_mtu(fields["mtu"]) if "mtu" in fields else None,
        routes=dict(_route(*entry) for entry in fields["routes"].entries())
        if "routes" in fields
        else {},
        lease_seconds=_lease(fields["lease"]) if "lease" in fields else None,
    )


def _addresses(at: Located | None) -> tuple[IPv4Address, ...]:
    return tuple(address(text) for text in texts(at))


def address(at: Located) -> IPv4Address:
    return _parsed(at, IPv4Address, at.text(), "an address like 192.168.77.50")


def _domain(at: Located) -> str:
    text = at.text()
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", text):
        raise at.mistake(f"'{text}' is no domain: write it like rack.example.org")
    return text


def _mtu(at: Located) -> int:
    text = at.text()
    if not text.isdecimal() or not 68 <= int(text) <= 65535:  # RFC 2132, section 5.1
        raise at.mistake(f"'{text}' is no MTU: a number from 68 to 65535")
    return int(text)


def _route(key: str, at: Located) -> tuple[IPv4Network, IPv4Address]:
    return _parsed(at, IPv4Network, key, "a network like 10.0.0.0/8"), address(at)


def _lease(at: Located) -> int:
    text = at.text()
    if text == "infinite":
        return _INFINITE
    match = _DURATION.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 60 <= seconds < _INFINITE:
        raise at.mistake(f"'{text}' is no lease time: write 90s, 30m, 12h, 7d or infinite")
    return seconds


_KERNEL = ("vlan", "bond", "ifname", "ip", "nameserver")


def kernel_network(at: Located | None) -> KernelNetwork:
    """What dracut is told of the network; each text is what follows `vlan=` and so on."""
    if at is None:
        return KernelNetwork()
    fields = at.fields(*_KERNEL)
    for server in texts(fields.get("nameserver")):
        _parsed(server, ip_address, server.text(), "an address like 192.168.77.1")
    return KernelNetwork(**{key: tuple(_words(texts(value))) for key, value in fields.items()})


def _words(found: Iterable[Located]) -> Iterable[str]:
    for at in found:
        text = at.text()
        if not text or not text.isprintable() or " " in text or '"' in text or "${" in text:
            raise at.mistake("one word, as it follows the `=` on the kernel's command line")
        checked(at, refuse_meaningful, text)
        yield text


def _parsed(at: Located, read: Callable[[str], T], text: str, wanted: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise at.mistake(f"'{text}' is not {wanted}: {error}") from None
