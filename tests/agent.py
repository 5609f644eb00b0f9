"""A stand-in for Kairos' agent: what docs/kairos.md says it sends by phone-home, and nothing else.

`python -m tests.agent URL TOKEN FOLDER` runs one until it is stopped. FOLDER is its disk: which
system it boots, what it was installed with, its credentials.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

Json = dict[str, Any]


class Refused(Exception):
    """The server's status for a registration or a connection."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with {status}")
        self.status = status


@dataclass
class Disk:
    """What outlives a restart."""

    machine_id: str
    hostname: str
    boots: str = "active"  # what the boot loader starts next
    active: str = "v4.2.0"
    passive: str = "v4.2.0"
    credentials: Json = field(default_factory=dict)


@dataclass
class Agent:
    """`url` and `token` are what its document says. `starts`: what an upgraded system does when it
    boots for the first time: `active`, or `passive` where it does not start and the boot loader
    falls back. Times in seconds."""

    url: str
    token: str
    disk: Disk
    heartbeat: float = 30.0
    restart_takes: float = 0.0
    starts: str = "active"
    allowed: tuple[str, ...] = ("upgrade", "upgrade-recovery", "reboot", "unregister")
    labels: dict[str, str] = field(default_factory=dict)
    group: str = ""
    done: list[Json] = field(default_factory=list)  # the commands that it carried out
    runs: Callable[[str], str] = lambda command: f"ran {command}"

    @property
    def os_release(self) -> Json:
        version = self.disk.passive if self.disk.boots == "passive" else self.disk.active
        return {"KAIROS_VERSION": version, "NAME": "stand-in"}

    # The wire

    async def register(self, http: aiohttp.ClientSession) -> None:
        """POST /api/v1/nodes/register; raises Refused."""
        told = {
            "machineID": self.disk.machine_id,
            "hostname": self.disk.hostname,
            "registrationToken": self.token,
            "group": self.group,
            "labels": self.labels,
            "osRelease": self.os_release,
            "addresses": [{"type": "InternalIP", "address": "192.0.2.7"}],
            "bootState": self.disk.boots,
        }
        async with http.post(f"{self.url}/api/v1/nodes/register", json=told) as answer:
            if answer.status not in (200, 201):
                raise Refused(answer.status)
            self.disk.credentials = await answer.json()

    def heartbeat_message(self) -> Json:
        data = {
            "agentVersion": "v2.31.4",
            "osRelease": self.os_release,
            "labels": self.labels,
            "addresses": [{"type": "InternalIP", "address": "192.0.2.7"}],
            "bootState": self.disk.boots,
        }
        return {"type": "heartbeat", "data": data}

    async def connect(self, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        """GET /api/v1/ws; raises Refused."""
        address = f"{self.url}/api/v1/ws?token={self.disk.credentials['apiKey']}"
        try:
            return await http.ws_connect(address)
        except aiohttp.WSServerHandshakeError as error:
            raise Refused(error.status) from error

    async def run(self) -> None:
        """Register where that was not done, then stay connected, through restarts as well."""
        async with aiohttp.ClientSession() as http:
            if not self.disk.credentials:
                await self.register(http)
            while True:
                with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                    socket = await self.connect(http)
                    await self._talk(socket)
                await asyncio.sleep(max(self.restart_takes, 0.05))

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Until it restarts, or the server goes away."""
        async with socket:
            beating = asyncio.ensure_future(self._beat(socket))
            try:
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    told = json.loads(message.data)
                    if told["type"] == "command" and await self._obey(socket, told["data"]):
                        return
            finally:
                beating.cancel()

    async def _beat(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await socket.send_json(self.heartbeat_message())
            await asyncio.sleep(self.heartbeat)

    # What it is told to do

    async def _obey(self, socket: aiohttp.ClientWebSocketResponse, command: Json) -> bool:
        """True where the machine restarts after it."""
        self.done.append(command)
        name, args = command["command"], command.get("args") or {}

        async def status(phase: str, result: str = "") -> None:
            data = {"id": command["id"], "phase": phase, "result": result}
            await socket.send_json({"type": "command_status", "data": data})

        if name not in self.allowed:
            await status("Failed", f"command {name} is not allowed")
            return False
        await status("Running")
        result, restarts = self._carry_out(name, args)
        await status("Completed", result)
        return restarts

    def _carry_out(self, name: str, args: Json) -> tuple[str, bool]:
        match name:
            case "upgrade":
                self.disk.passive, self.disk.active = self.disk.active, str(args["source"])
                self.disk.boots = self.starts
                return "upgraded", True
            case "upgrade-recovery":
                return "recovery upgraded", False
            case "reboot" | "reset":
                return name, True
            case "exec":
                return self.runs(str(args.get("command", ""))), False
        return name, False


def _from_folder(folder: Path) -> Disk:
    path = folder / "disk.json"
    if path.exists():
        return Disk(**json.loads(path.read_text()))
    return Disk(machine_id=folder.name, hostname=folder.name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--heartbeat", type=float, default=30.0)
    parser.add_argument("--starts", default="active")
    known = parser.parse_args()
    known.folder.mkdir(parents=True, exist_ok=True)
    agent = Agent(
        url=known.url,
        token=known.token,
        disk=_from_folder(known.folder),
        heartbeat=known.heartbeat,
        starts=known.starts,
    )
    try:
        asyncio.run(agent.run())
    finally:
        (known.folder / "disk.json").write_text(json.dumps(agent.disk.__dict__))


if __name__ == "__main__":
    main()
