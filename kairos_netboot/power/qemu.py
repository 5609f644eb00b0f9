"""Switching a virtual machine by QEMU's monitor. What is off has no process, and so no monitor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..boot.power import Host
from ..errors import PowerProblem
from .qmp import Ended, Monitor, NoQemu, open_monitor
from .switch import (
    OFF_ALREADY,
    ON_ALREADY,
    SWITCHED_ON,
    WAS_OFF,
    NetworkBoot,
    Patience,
    Status,
    Supply,
    switched_off,
    wait_until,
)

# What `query-status` calls a machine that has not begun, or that has ended under -no-shutdown.
# All else is on: it runs, is moved, or stands still in the middle.
_OFF = ("shutdown", "prelaunch")


def supply(answer: Mapping[str, Any]) -> Supply:
    return Supply.OFF if answer.get("status") in _OFF else Supply.ON


class Qemu:
    def __init__(self, where: Host | str, patience: Patience | None = None) -> None:
        self._where, self._patience = where, patience or Patience()

    async def status(self) -> Status:
        try:
            async with open_monitor(self._where, self._patience.request) as monitor:
                return await _status(monitor)
        except NoQemu as gone:
            return Status(Supply.OFF, str(gone))

    async def on(self) -> str:
        """Only a machine that is held before its start, or after its end."""
        try:
            async with open_monitor(self._where, self._patience.request) as monitor:
                if (await _status(monitor)).supply is Supply.ON:
                    return ON_ALREADY
                await _start(monitor)
                return SWITCHED_ON
        except NoQemu as gone:
            raise _needs_another(gone) from None

    async def off(self, *, graceful: bool = False) -> str:
        try:
            async with open_monitor(self._where, self._patience.request) as monitor:
                if (await _status(monitor)).supply is Supply.OFF:
                    return OFF_ALREADY
                await _order(monitor, "system_powerdown" if graceful else "quit")
                await wait_until(
                    Supply.OFF, lambda: _status(monitor), self._patience, graceful=graceful
                )
        except NoQemu:
            return OFF_ALREADY
        return switched_off(graceful)

    async def cycle(self, *, graceful: bool = False) -> str:
        if graceful:
            raise PowerProblem(
                "QEMU cannot be started again once its system is shut down: leave --graceful out"
            )
        try:
            async with open_monitor(self._where, self._patience.request) as monitor:
                if (await _status(monitor)).supply is Supply.OFF:
                    await _start(monitor)
                    return WAS_OFF
                await monitor.do("system_reset")
                return "restarted (system_reset)"
        except NoQemu as gone:
            raise _needs_another(gone) from None

    async def boot_from_network_once(self, how: NetworkBoot) -> str:
        return "QEMU has no order for one boot: its network card has to come first (bootindex=1)"


async def _status(monitor: Monitor) -> Status:
    try:
        return Status(supply(await monitor.do("query-status")))
    except Ended:
        return Status(Supply.OFF)


async def _order(monitor: Monitor, command: str) -> None:
    """What may end QEMU before it has answered."""
    try:
        await monitor.do(command)
    except Ended:
        return


async def _start(monitor: Monitor) -> None:
    await monitor.do("system_reset")
    await monitor.do("cont")


def _needs_another(gone: NoQemu) -> PowerProblem:
    return PowerProblem(f"{gone}: start the machine with what started it before")
