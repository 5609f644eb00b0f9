"""Switching by IPMI 2.0, with ipmitool: RMCP+ is its affair."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence

from ..boot.power import Host
from ..errors import PowerProblem, ToolMissing
from ..store.logins import Login
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

TOOL = "ipmitool"
_KEPT = ("PATH", "HOME", "LANG")
_LONGEST = 200
# Words of ipmitool's, and what they mean.
_MEANINGS = (
    ("insufficient privilege", "the user may not do that: it needs the privilege ADMINISTRATOR"),
    ("Insufficient resources", "its controller has no session left: try again later"),
    ("password is longer", "IPMI takes passwords of at most 20 bytes"),
    ("Address lookup for", "its address cannot be looked up"),
    ("no matching cipher suite", "its controller offers no cipher suite that ipmitool takes"),
    # It tells no more than this, whatever was wrong.
    ("Unable to establish", "no controller answers there, or it refuses the user or the password"),
)


def arguments(host: Host, user: str, words: Sequence[str]) -> list[str]:
    """The password is not among them: everybody on this host can read them."""
    where = ["-I", "lanplus", "-H", host.name, "-p", str(host.port)]
    return [TOOL, *where, "-U", user, "-E", *words]


def environment(password: str, environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: environ[name] for name in _KEPT if name in environ}
    return {**kept, "LC_ALL": "C", "IPMI_PASSWORD": password}


def boot_words(how: NetworkBoot) -> list[str]:
    if how is NetworkBoot.HTTP:
        raise PowerProblem("IPMI knows no HTTP Boot: choose it in the firmware's boot order")
    # Without the option the flag asks for a BIOS' way to boot, which UEFI may leave alone.
    efi = ["options=efiboot"] if how is NetworkBoot.PXE else []
    return ["chassis", "bootdev", "pxe", *efi]


def supply(said: str) -> Supply:
    """What `chassis power status` prints."""
    line = said.strip().lower()
    if line.endswith(" is on"):
        return Supply.ON
    return Supply.OFF if line.endswith(" is off") else Supply.UNKNOWN


def complaint(said: str, password: str) -> str:
    """What its words on standard error mean; its own where that is not known."""
    for words, meaning in _MEANINGS:
        if words.lower() in said.lower():
            return meaning
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    line = "".join(c if c.isprintable() else " " for c in lines[-1]) if lines else "it says nothing"
    shown = line.replace(password, "…") if password else line
    return f"{TOOL}: {shown[:_LONGEST]}"


class Ipmi:
    def __init__(
        self,
        host: Host,
        login: Login,
        patience: Patience | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._host, self._login = host, login
        self._patience, self._environ = patience or Patience(), environ

    async def status(self) -> Status:
        return Status(supply(await self._run("chassis", "power", "status")))

    async def on(self) -> str:
        if (await self.status()).supply is Supply.ON:
            return ON_ALREADY
        await self._power("on")
        await wait_until(Supply.ON, self.status, self._patience)
        return SWITCHED_ON

    async def off(self, *, graceful: bool = False) -> str:
        if (await self.status()).supply is Supply.OFF:
            return OFF_ALREADY
        await self._power("soft" if graceful else "off")
        await wait_until(Supply.OFF, self.status, self._patience, graceful=graceful)
        return switched_off(graceful)

    async def cycle(self, *, graceful: bool = False) -> str:
        # A machine that is off cannot be cycled (IPMI 2.0, 28.3: the command may be refused).
        if (await self.status()).supply is Supply.OFF:
            await self.on()
            return WAS_OFF
        if graceful:
            await self.off(graceful=True)
            await self.on()
            return "shut down and on again"
        await self._power("cycle")
        await wait_until(Supply.ON, self.status, self._patience)
        return "restarted (power cycle)"

    async def boot_from_network_once(self, how: NetworkBoot) -> str:
        await self._run(*boot_words(how))
        return "boots once from the network (pxe)"

    async def _power(self, verb: str) -> None:
        await self._run("chassis", "power", verb)

    async def _run(self, *words: str) -> str:
        """What it prints; raises ToolMissing or PowerProblem."""
        argv = arguments(self._host, self._login.user, words)
        process = await self._start(argv)
        # ipmitool asks again by itself; what it takes longer for than this is no controller.
        bound = self._patience.request * self._patience.tries
        try:
            out, complained = await asyncio.wait_for(process.communicate(), bound)
        except TimeoutError:
            raise PowerProblem(f"its controller at {self._host} does not answer") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            why = complaint(complained.decode(errors="replace"), self._login.password)
            raise PowerProblem(f"{self._host}: {why}")
        return out.decode(errors="replace")

    async def _start(self, argv: Sequence[str]) -> asyncio.subprocess.Process:
        pipe, env = asyncio.subprocess.PIPE, environment(self._login.password, self._environ)
        try:
            return await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=env
            )
        except FileNotFoundError:
            raise ToolMissing(
                f"{TOOL} is not installed, which IPMI needs: apt-get install {TOOL}"
            ) from None
        except OSError as error:
            raise ToolMissing(f"{TOOL} cannot be run: {error.strerror}") from None
