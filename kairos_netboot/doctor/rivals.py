"""Who else answers DHCP on our networks, and with what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import NetbootError
from ..server.rivals import Rival, find_rivals
from .findings import Finding, broken, doubtful, fine


async def check_rivals(interfaces: Sequence[str], as_server: bool) -> list[Finding]:
    """`as_server`: we hand out addresses ourselves."""
    found: list[Finding] = []
    for name in interfaces:
        try:
            rivals = await find_rivals(name)
        except (NetbootError, OSError) as error:
            text = f"{name} could not be asked for other DHCP servers: {error}"
            found.append(doubtful("dhcp", text, "run the doctor as root"))
            continue
        found += judged(name, rivals, as_server)
    return found


def judged(interface: str, rivals: Sequence[Rival], as_server: bool) -> Iterator[Finding]:
    """What other servers on an interface mean for us. Pure."""
    leasing = [r for r in rivals if r.offers_address]
    for rival in rivals:
        yield _of_one(interface, rival, as_server)
    if not leasing and not as_server:
        yield doubtful(
            "dhcp",
            f"no DHCP server answers on {interface}: machines there get no address",
            "start one, or let this one be it: `dhcp: {mode: server}` in the site file",
        )


def _of_one(interface: str, rival: Rival, as_server: bool) -> Finding:
    where = f"{rival.address} on {interface} offers {rival.offer}"
    if rival.offers_address and as_server:
        return broken(
            "dhcp",
            f"another DHCP server: {where}; two that do not know of each other give out "
            "the same addresses",
            "stop one of them, or `mode: proxy`",
        )
    if rival.boot_file:
        return doubtful(
            "dhcp",
            f"another boot server: {where}; firmware may take its answer for ours",
            "take its boot file out of that server",
        )
    return fine("dhcp", f"the site's DHCP server: {where}")
