"""No second DHCP server on a network: two that do not know of each other lease the same twice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from ..boot.network import DhcpSite
from ..errors import CannotServe
from ..server.addresses import Addresses
from ..server.rivals import Rival, find_rivals


def refuse_rivals(only: frozenset[str], dhcp: DhcpSite, say: Callable[[str], None]) -> None:
    """Raises CannotServe that names the server that answers where we are to be the one. Without
    the right for packet sockets nobody can be asked, which is said."""
    addresses = Addresses()
    names = [
        name
        for index, name in socket.if_nameindex()
        if (not only or name in only)
        and any(dhcp.subnet_of(own.ip) for own in addresses.of(index))
        and name != "lo"
    ]
    try:
        found = asyncio.run(_rivals(names))
    except CannotServe as error:
        say(f"note: {error}; make sure by yourself that there is none")
        return
    for name, rival in found:
        raise CannotServe(
            f"another DHCP server, {rival.address}, answers on {name}: it offers {rival.offer}; "
            "stop it, or serve beside it with `dhcp: {mode: proxy}`, or have both with "
            "`despite-others: true`"
        )


async def _rivals(names: list[str]) -> list[tuple[str, Rival]]:
    found = await asyncio.gather(*(_on(name) for name in names))
    return [
        (name, rival)
        for name, rivals in zip(names, found, strict=True)
        for rival in rivals
        if rival.offers_address
    ]


async def _on(name: str) -> tuple[Rival, ...]:
    try:
        return await find_rivals(name)
    except OSError:  # it is down, or has gone: nobody answers there
        return ()
