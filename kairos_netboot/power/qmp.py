"""QEMU's machine protocol: a line of JSON each way, events between them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ..boot.power import Host
from ..errors import PowerProblem

_LONGEST_LINE = 1 << 20
# Nobody has the socket open any more, or it is gone.
_GONE = (errno.ENOENT, errno.ECONNREFUSED)


class NoQemu(PowerProblem):
    """Nobody listens there: the process is gone."""


class Ended(PowerProblem):
    """It closed the connection, as it does when it ends."""


@asynccontextmanager
async def open_monitor(where: Host | str, patience: float) -> AsyncIterator[Monitor]:
    """Raises NoQemu where nobody listens."""
    try:
        reader, writer = await asyncio.wait_for(_connect(where), patience)
    except TimeoutError:
        raise PowerProblem(f"QEMU at {where} cannot be reached") from None
    except OSError as error:
        if error.errno in _GONE:
            raise NoQemu(f"no QEMU listens at {where}") from None
        raise PowerProblem(f"QEMU at {where} cannot be reached: {error.strerror}") from None
    try:
        monitor = Monitor(reader, writer, where, patience)
        await monitor.greet()
        yield monitor
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _connect(where: Host | str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(where, Host):
        return await asyncio.open_connection(where.name, where.port, limit=_LONGEST_LINE)
    return await asyncio.open_unix_connection(where, limit=_LONGEST_LINE)


class Monitor:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        where: Host | str,
        patience: float,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._where, self._patience = where, patience

    async def greet(self) -> None:
        """It serves one program at a time: others wait for its first word."""
        try:
            await asyncio.wait_for(self._until("QMP"), self._patience)
        except Ended:  # it was about to when we came
            raise NoQemu(f"no QEMU listens at {self._where}") from None
        except TimeoutError:
            raise PowerProblem(
                f"QEMU at {self._where} says nothing: does another program hold its monitor?"
            ) from None
        await self.do("qmp_capabilities")

    async def do(self, command: str) -> Mapping[str, Any]:
        """Run one command; raises Ended where it ends before it answers."""
        try:
            self._writer.write(json.dumps({"execute": command}).encode() + b"\n")
            await self._writer.drain()
            answer = await asyncio.wait_for(self._until("return"), self._patience)
        except TimeoutError:
            raise PowerProblem(f"QEMU at {self._where} does not answer `{command}`") from None
        except OSError:
            raise Ended(f"QEMU at {self._where} has ended") from None
        found = answer["return"]
        return found if isinstance(found, dict) else {}

    async def _until(self, key: str) -> Mapping[str, Any]:
        while True:
            message = await self._message()
            if "error" in message:
                said = message["error"]
                words = said.get("desc") if isinstance(said, dict) else ""
                raise PowerProblem(f"QEMU at {self._where} refuses: {words or 'no reason given'}")
            if key in message:
                return message

    async def _message(self) -> Mapping[str, Any]:
        try:
            line = await self._reader.readline()
        except ValueError:
            raise PowerProblem(f"{self._where} is no QMP monitor: its lines are endless") from None
        except OSError:
            line = b""
        if not line:
            raise Ended(f"QEMU at {self._where} has ended")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise PowerProblem(f"{self._where} is no QMP monitor: start QEMU with `-qmp`")
        return message
