"""The agents that are connected, what they tell, and the orders they are sent."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from aiohttp import WSCloseCode, WSMsgType, web

from ..boot.fleet import Node
from ..boot.fleetwork import Phase
from ..boot.lifecycle import Kind
from ..errors import InvalidValue, NetbootError
from ..store.agents import (
    Agent,
    Command,
    forget_connections,
    go_on,
    keep,
    open_commands,
    read_keys,
)
from ..store.index import Index
from ..store.store import Store
from .phone_wire import Status, Told, read_message

log = logging.getLogger(__name__)

# How often what people ordered is looked for.
_LOOK_SECONDS = 1.0
# Heartbeats alone are written this often; a change at once.
_WRITE_SECONDS = 30.0
# A command to an agent that does not come is given up.
_PATIENCE_SECONDS = 3600
# Of an agent within ten seconds; it sends one every thirty, and a few for each command.
_MOST_MESSAGES = 50
# Of a node within ten minutes: an agent registers once, and again where it has lost its key.
_MOST_REGISTRATIONS = 10


@dataclass(slots=True)
class Line:
    """One agent's connection. `key`: the digest of the one that it came with."""

    socket: web.WebSocketResponse
    agent: Agent
    key: str
    remote: str
    written: float = 0.0


class Phones:
    """Who is connected. `run` sends orders, until it is cancelled."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._lines: dict[int, Line] = {}
        self._registered: dict[int, deque[float]] = {}

    def may_register(self, node: int) -> bool:
        """Each registration is an entry of the timeline: nobody fills the disk with them."""
        now = time.monotonic()
        times = self._registered.setdefault(node, deque(maxlen=_MOST_REGISTRATIONS))
        if len(times) == _MOST_REGISTRATIONS and now - times[0] < 600:
            return False
        times.append(now)
        return True

    def node(self, number: int) -> Node | None:
        """One that the site names and nobody denied."""
        found = next((n for n in self._index.fleet.nodes if n.id == number), None)
        return found if found and found.spec and not found.denied else None

    async def run(self) -> None:
        is_clean = False
        while True:
            await asyncio.sleep(_LOOK_SECONDS if is_clean else 0)
            try:
                if not is_clean:
                    await self._forget_earlier()
                    is_clean = True
                await self._drop_strangers()
                await self._send_orders()
            except NetbootError as error:
                log.error("phone-home: %s", error)
                await asyncio.sleep(_LOOK_SECONDS)

    async def _forget_earlier(self) -> None:
        """Connections of the run before; whoever came since is put down again."""
        await self._index.ask(_forget)
        for line in list(self._lines.values()):
            await self._keep(line, {})

    async def hang_up(self) -> None:
        """The server stops: its agents come again when it is back."""
        await _close(self._lines.values(), WSCloseCode.GOING_AWAY, b"the server stops")

    async def _drop_strangers(self) -> None:
        """Keys are taken back by other processes, too: a node that is armed again has none."""
        if not self._lines:
            return
        keys = await self._index.ask(_keys)
        known = {n.id for n in self._index.fleet.nodes if n.spec and not n.denied}
        strangers = [
            line
            for number, line in self._lines.items()
            if number not in known or keys.get(number) != line.key
        ]
        await _close(strangers, WSCloseCode.POLICY_VIOLATION, b"key revoked")

    async def _send_orders(self) -> None:
        now = int(time.time())
        for command in await self._index.ask(_open_commands):
            line = self._lines.get(command.node)
            if command.phase is Phase.PENDING and line is not None:
                await self._send(line, command)
            elif now - command.changed > _PATIENCE_SECONDS:
                why = "its agent did not come" if command.phase is Phase.PENDING else "no end told"
                await self._go_on(replace(command, phase=Phase.FAILED, result=why, changed=now))

    async def _send(self, line: Line, command: Command) -> None:
        """On the disk before it is on the wire: what was sent once is not sent again."""
        sent = replace(command, phase=Phase.SENT, changed=int(time.time()))
        if not await self._go_on(sent):
            return
        data = {"id": command.id, "command": command.command, "args": dict(command.args)}
        try:
            await line.socket.send_str(json.dumps({"type": "command", "data": data}))
        except ConnectionError as error:
            log.info("phone-home: %s broke off: %s", line.remote, error)

    async def _go_on(self, command: Command) -> bool:
        went = await self._index.ask(lambda store: _put(store, command))
        node = self.node(command.node)
        if went and node is not None:
            self._index.note(node, Kind.COMMAND, _sentence(command))
        return went

    # One agent

    async def talk(self, line: Line) -> None:
        """Until it goes away, or is replaced by a connection of its own."""
        number = line.agent.node
        old = self._lines.get(number)
        self._lines[number] = line  # before anything is waited for: each of three must be known
        try:
            if old is not None:
                await self._replace(old, line)
            now = time.time()
            line.agent = replace(line.agent, connected=now, telling=None, seen=int(now))
            await self._keep(line, {})
            async for text in _messages(line.socket):
                await self._heard(line, text)
        finally:
            if self._lines.get(number) is line:
                del self._lines[number]
                line.agent = replace(line.agent, connected=None, telling=None)
                await self._keep(line, {})

    async def _replace(self, old: Line, new: Line) -> None:
        """The newer one wins: the older may be that of a machine that lost its power."""
        node = self.node(new.agent.node)
        if node is not None and old.remote != new.remote:
            said = f"its agent's key came from {new.remote} while {old.remote} was connected"
            once = f"phone-twice:{new.key[:16]}:{new.remote}:{old.remote}"
            self._index.note(node, Kind.REFUSED, said, once)
        await _close([old], WSCloseCode.POLICY_VIOLATION, b"connected anew")

    async def _heard(self, line: Line, text: str) -> None:
        told = read_message(text)
        if isinstance(told, Told):
            await self._beat(line, told)
        elif isinstance(told, Status):
            await self._status(line, told)

    async def _beat(self, line: Line, told: Told) -> None:
        before, now = line.agent, time.time()
        line.agent = replace(
            before,
            seen=int(now),
            telling=before.telling or now,
            boot_state=told.boot_state,
            version=told.version or before.version,
            agent_version=told.agent_version or before.agent_version,
        )
        node = self.node(line.agent.node)
        changed = node is not None and any(node.facts.get(k) != v for k, v in told.facts.items())
        if node is not None:
            self._index.signs.heard(node.id, time.monotonic())
            self._tell_state(node, before.boot_state, line.agent.boot_state)
        is_news = before.telling is None or before.boot_state != told.boot_state
        if changed or is_news or time.monotonic() - line.written > _WRITE_SECONDS:
            await self._keep(line, told.facts if changed else {})

    def _tell_state(self, node: Node, before: str, after: str) -> None:
        if after in ("", before):
            return
        said = f"its agent reports that it runs its {after} system"
        if after in ("passive", "recovery"):
            said += ": what is before it in the boot order did not start"
        self._index.note(node, Kind.AGENT, said)

    async def _keep(self, line: Line, facts: dict[str, str]) -> None:
        line.written = time.monotonic()
        agent, key = line.agent, line.key

        def is_replaced() -> bool:
            return self._lines.get(agent.node, line) is not line

        work = partial(_keep, agent=agent, key=key, facts=facts, is_replaced=is_replaced)
        await (self._index.change(work) if facts else self._index.ask(work))

    async def _status(self, line: Line, told: Status) -> None:
        command = Command(
            id=told.id,
            node=line.agent.node,
            command="",
            phase=told.phase,
            result=told.result,
            at=0,
            changed=int(time.time()),
        )
        known = await self._index.ask(_open_commands)
        mine = next((c for c in known if (c.id, c.node) == (command.id, command.node)), None)
        if mine is None or not await self._go_on(replace(command, command=mine.command)):
            node = self.node(line.agent.node)
            if node is not None:
                said = "its agent told the status of a command that it does not have: ignored"
                self._index.note(node, Kind.REFUSED, said, f"phone-status:{line.key[:16]}")


def _sentence(command: Command) -> str:
    """Without what a command printed: that may be anything, secrets too."""
    why = command.result.rpartition("\n")[2][:200] if command.phase is Phase.FAILED else ""
    said = f"{command.command}: {command.phase}{f', {why}' if why else ''}"
    return said if command.command != "exec" else f"exec: {command.phase}"


async def _close(lines: Iterable[Line], code: WSCloseCode, why: bytes) -> None:
    closing = [line.socket.close(code=code, message=why) for line in lines]
    await asyncio.gather(*closing, return_exceptions=True)


def unauthorized(why: str) -> web.Response:
    return web.json_response({"error": why}, status=401)


async def _messages(socket: web.WebSocketResponse) -> AsyncIterator[str]:
    """Raises InvalidValue for what is no text, and for a flood."""
    since, count = time.monotonic(), 0
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            raise InvalidValue("only texts are spoken here")
        now = time.monotonic()
        if now - since > 10:
            since, count = now, 0
        count += 1
        if count > _MOST_MESSAGES:
            raise InvalidValue("too many messages at once")
        yield message.data


def _forget(store: Store) -> None:
    with store.writing() as connection:
        forget_connections(connection)


def _keys(store: Store) -> dict[int, str]:
    with store.reading() as connection:
        return read_keys(connection)


def _open_commands(store: Store) -> list[Command]:
    with store.reading() as connection:
        return open_commands(connection)


def _put(store: Store, command: Command) -> bool:
    with store.writing() as connection:
        return go_on(connection, command)


def _keep(
    store: Store, agent: Agent, key: str, facts: dict[str, str], is_replaced: Callable[[], bool]
) -> None:
    if not is_replaced():
        with store.writing() as connection:
            keep(connection, agent, key, facts)
