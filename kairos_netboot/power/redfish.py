"""Switching by Redfish."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ..boot.power import Power
from ..errors import PowerProblem
from ..store.logins import Login
from .redfish_body import (
    ROOT,
    Json,
    boot_orders,
    boot_target,
    choose_system,
    first_of,
    link,
    matches,
    members,
    reset_info,
    reset_target,
    reset_types,
    reset_types_in,
    settings_of,
    supply,
    takes_boot_orders,
    will_boot,
)
from .redfish_http import Answer, Service, open_service
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

_MOST_PAGES = 16
_ON = ("On", "ForceOn")
_OFF = ("ForceOff",)
_SHUTDOWN = ("GracefulShutdown", "PushPowerButton")
_RESTART = ("ForceRestart", "PowerCycle")
_GRACEFUL_RESTART = ("GracefulRestart",)


@asynccontextmanager
async def open_redfish(
    power: Power, login: Login, patience: Patience | None = None
) -> AsyncIterator[Redfish]:
    how = patience or Patience()
    async with open_service(power, login, how) as service:
        yield Redfish(service, power.system, how)


class Redfish:
    """One system of a service; it is looked for when it is first needed."""

    def __init__(self, service: Service, wanted: str, patience: Patience) -> None:
        self._service, self._wanted, self._patience = service, wanted, patience
        self._path = ""

    async def status(self) -> Status:
        return Status(supply((await self._system()).body))

    async def on(self) -> str:
        if (await self.status()).supply is Supply.ON:
            return ON_ALREADY
        await self._reset(_ON)
        await wait_until(Supply.ON, self.status, self._patience)
        return SWITCHED_ON

    async def off(self, *, graceful: bool = False) -> str:
        if (await self.status()).supply is Supply.OFF:
            return OFF_ALREADY
        await self._reset(_SHUTDOWN if graceful else _OFF)
        await wait_until(Supply.OFF, self.status, self._patience, graceful=graceful)
        return switched_off(graceful)

    async def cycle(self, *, graceful: bool = False) -> str:
        if (await self.status()).supply is Supply.OFF:
            await self.on()
            return WAS_OFF
        kinds = _GRACEFUL_RESTART if graceful else _RESTART
        if first_of(kinds, await self._offered(await self._system())) is None:
            await self.off(graceful=graceful)
            await self.on()
            return f"{switched_off(graceful)} and on again"
        kind = await self._reset(kinds)
        await wait_until(Supply.ON, self.status, self._patience)
        return f"restarted ({kind})"

    async def boot_from_network_once(self, how: NetworkBoot) -> str:
        system = await self._system()
        target = boot_target(system.body, how)
        refusal = await self._order_boot(self._path, system, target)
        if refusal is None and will_boot((await self._system()).body, target):
            return f"boots once from the network ({target})"
        # A resource of what shall be, beside that of what is (DSP0266, 6.7.2): most services take
        # the order at the system itself, AMI's there only (NVIDIA libredfish, pull request 74).
        settings = await self._settings(system.body)
        if settings is not None:
            where, now = settings
            refusal = await self._order_boot(where, now, target)
            if refusal is None and will_boot((await self._service.get(where)).body, target):
                return f"boots once from the network ({target})"
        if refusal is not None:
            self._service.checked(refusal)
        return (
            f"boots once from the network ({target}), which its controller took and does not show"
        )

    async def _settings(self, system: Json) -> tuple[str, Answer] | None:
        where = settings_of(system)
        if not where:
            return None
        now = await self._service.ask("GET", where)
        return (where, now) if takes_boot_orders(now.body) else None

    async def _order_boot(self, path: str, now: Answer, target: str) -> Answer | None:
        """None if one way to say it was taken, else how the last was refused."""
        answer = now
        for order in boot_orders(target, now.body):
            answer = await self._change(path, order)
            if answer.status < 300:
                await self._service.finish(answer)
                return None
            if answer.status == 403:
                break
        return answer

    async def _change(self, path: str, body: Json) -> Answer:
        """With the tag that it has now: each read may give another."""
        now = await self._service.get(path)
        answer = now
        for etag in matches(now.etag):
            headers = {"If-Match": etag} if etag else {}
            answer = await self._service.ask("PATCH", path, body, headers)
            if answer.status != 412:
                break
        return answer

    async def _reset(self, kinds: Sequence[str]) -> str:
        system = await self._system()
        offered = await self._offered(system)
        kind = first_of(kinds, offered)
        if kind is None:
            raise PowerProblem(
                f"its service does not offer {' or '.join(kinds)}, but {', '.join(offered or ())}"
            )
        where = reset_target(system.body)
        answer = await self._service.ask("POST", where, {"ResetType": kind})
        await self._service.finish(answer)
        return kind

    async def _offered(self, system: Answer) -> Sequence[str] | None:
        offered = reset_types(system.body)
        if offered is None and (where := reset_info(system.body)):
            return reset_types_in((await self._service.ask("GET", where)).body)
        return offered

    async def _system(self) -> Answer:
        if not self._path:
            self._path = choose_system(await self._systems(), self._wanted)
        return await self._service.get(self._path)

    async def _systems(self) -> list[str]:
        root = await self._service.get(ROOT)
        where, found = link(root.body, "Systems"), list[str]()
        if not where:
            raise PowerProblem("this is no Redfish service with systems: is it the right address?")
        for _ in range(_MOST_PAGES):
            page = (await self._service.get(where)).body
            found += members(page)
            where = str(page.get("Members@odata.nextLink", ""))
            if not where:
                break
        return found
