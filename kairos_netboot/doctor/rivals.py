"""Who else answers DHCP on our networks, and with what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from ..boot.network import DhcpMode, DhcpSite
from ..errors import NetbootError
from ..server.rivals import Rival, find_rivals
from .findings import Finding, broken, doubtful, fine


async def check_rivals(
    interfaces: Sequence[str], dhcp: DhcpSite, beside: str = ""
) -> list[Finding]:
    """All at once: each takes two seconds. `beside`: the DHCP daemon of this host, which does not
    hear what this host asks."""
    found = await asyncio.gather(*(_on(name, dhcp, beside) for name in interfaces))
    return [finding for of_one in found for finding in of_one]


async def _on(name: str, dhcp: DhcpSite, beside: str) -> list[Finding]:
    try:
        return list(judged(name, await find_rivals(name), dhcp, beside))
    except (NetbootError, OSError) as error:
        text = f"{name} was not asked for other DHCP servers, so none is known: {error}"
        return [doubtful("dhcp", text, "run the doctor as root, or leave this out: --no-probe")]


def judged(
    interface: str, rivals: Sequence[Rival], dhcp: DhcpSite, beside: str = ""
) -> Iterator[Finding]:
    """What other servers on an interface mean for us. Pure."""
    for rival in rivals:
        yield _of_one(interface, rival, dhcp)
    if any(rival.offers_address for rival in rivals) or dhcp.mode is DhcpMode.SERVER:
        return
    if beside:
        text = f"no other DHCP server answers on {interface} than, perhaps, {beside} of this host"
        yield fine("dhcp", text)
        return
    yield doubtful(
        "dhcp",
        f"no DHCP server answers on {interface}: machines there get no address",
        "start one, or let this one be it: `dhcp: {mode: server, subnets: …}`; or name the "
        "interfaces that matter with --interface",
    )


def _of_one(interface: str, rival: Rival, dhcp: DhcpSite) -> Finding:
    where = f"{rival.address} on {interface} offers {rival.offer}"
    if rival.offers_address and dhcp.mode is DhcpMode.SERVER:
        return _second_server(where, dhcp)
    if rival.leads_here:
        return fine("dhcp", f"the site's DHCP server leads here: {where}")
    if not rival.sends_boot:
        return fine("dhcp", f"the site's DHCP server: {where}")
    if dhcp.mode is DhcpMode.OFF:
        text = f"another boot server: {where}; machines that it answers do not come here"
        return doubtful("dhcp", text, "name this server's address and files there")
    return doubtful(
        "dhcp",
        f"another boot server: {where}; machines may take its answer in place of ours",
        "take the boot file out of that server, or stop it",
    )


def _second_server(where: str, dhcp: DhcpSite) -> Finding:
    text = f"another DHCP server: {where}; both may lease the same address twice"
    if dhcp.despite_others:
        return doubtful("dhcp", text, "see to it that their ranges do not overlap")
    remedy = "stop one of them, or `dhcp: {mode: proxy}`"
    return broken("dhcp", f"{text}, and `serve` will not start", remedy)
