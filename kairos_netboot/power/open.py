"""A node's switch, by what the site file says of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from ..boot.power import IPMI_PORT, Power, PowerKind, broadcast, host_and_port, monitor
from ..errors import PowerProblem
from ..store.logins import Login
from ..values import Mac
from .ipmi import Ipmi
from .qemu import Qemu
from .redfish import open_redfish
from .switch import Patience, Switch
from .wake import Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`broadcasts`: those of this host's networks, where the site file names none."""

    power: Power
    login: Login | None = None
    macs: Sequence[Mac] = ()
    broadcasts: Sequence[IPv4Address] = ()


@asynccontextmanager
async def open_switch(target: Target, patience: Patience | None = None) -> AsyncIterator[Switch]:
    power = target.power
    match power.kind:
        case PowerKind.REDFISH:
            async with open_redfish(power, _login(target), patience) as redfish:
                yield redfish
        case PowerKind.IPMI:
            yield Ipmi(host_and_port(power.address, IPMI_PORT), _login(target), patience)
        case PowerKind.WAKE:
            named = [broadcast(power.address)] if power.address else target.broadcasts
            yield Wake(target.macs, named)
        case PowerKind.QEMU:
            yield Qemu(monitor(power.address), patience)


def _login(target: Target) -> Login:
    if target.login is None:
        raise PowerProblem(f"{target.power.kind} needs a login: name one as `power.login`")
    return target.login
