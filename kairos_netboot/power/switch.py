"""What all drivers can be asked for, and how long they wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ..errors import PowerProblem


class Supply(StrEnum):
    ON = "on"
    OFF = "off"
    TURNING = "turning"  # on its way to one of both
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Status:
    supply: Supply
    note: str = ""


class NetworkBoot(StrEnum):
    """What the firmware shall do once."""

    PXE = "pxe"  # UEFI's
    BIOS = "bios"  # PXE of a BIOS
    HTTP = "http"  # UEFI HTTP Boot


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds. Controllers are small computers: an answer can take a while, and what it leads to
    longer."""

    request: float = 20.0
    tries: int = 3
    pause: float = 2.0  # before a second try, and twice as long before the third
    settle: float = 60.0  # until an order shows
    shutdown: float = 180.0  # for an operating system to end by itself
    poll: float = 1.0


class Switch(Protocol):
    """Each raises PowerProblem (or ToolMissing), and tells what it did: a few words that follow
    the machine's name."""

    async def on(self) -> str: ...

    async def off(self, *, graceful: bool = False) -> str: ...

    async def cycle(self, *, graceful: bool = False) -> str: ...

    async def status(self) -> Status: ...

    async def boot_from_network_once(self, how: NetworkBoot) -> str: ...


ON_ALREADY = "was on already"
OFF_ALREADY = "was off already"
SWITCHED_ON = "switched on"
WAS_OFF = "was off: switched on"


def switched_off(graceful: bool) -> str:
    return "shut down" if graceful else "switched off"


async def wait_until(
    wanted: Supply,
    status: Callable[[], Awaitable[Status]],
    patience: Patience,
    *,
    graceful: bool = False,
) -> None:
    """Until it is so, or until nobody can tell; PowerProblem where it takes too long."""
    bound = patience.shutdown if graceful else patience.settle
    deadline = asyncio.get_running_loop().time() + bound
    while (await status()).supply not in (wanted, Supply.UNKNOWN):
        if asyncio.get_running_loop().time() > deadline:
            raise PowerProblem(_too_long(wanted, bound, graceful))
        await asyncio.sleep(patience.poll)


def _too_long(wanted: Supply, bound: float, graceful: bool) -> str:
    if graceful:
        return (
            f"still on {bound:.0f} s after its system was asked to shut down: without --graceful"
            " the power is cut"
        )
    return f"not {wanted} {bound:.0f} s after the order, which was taken: ask again with `status`"
