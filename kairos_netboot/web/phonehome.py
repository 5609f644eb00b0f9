"""Phone-home: the interface that stock Kairos agents speak (docs/phone-home.md).

An agent registers once, with a token that only the document of its node's boot held, and is given
a key of its own. With that it stays connected, tells how it is, and takes orders.
"""

from __future__ import annotations

import logging
import secrets
import time

from aiohttp import WSCloseCode, web

from ..boot.fleet import Node
from ..boot.lifecycle import Kind
from ..boot.tokens import key_of
from ..errors import InvalidValue
from ..store.agents import Agent, node_of_key, read_agents, register
from ..store.index import Index
from ..store.store import Store
from .keys import INDEX
from .phone_wire import LARGEST_MESSAGE, Registration, read_registration
from .phones import Line, Phones, unauthorized

log = logging.getLogger(__name__)

# The answer may take half of it: a small machine that writes its new system is slow to answer, and
# an agent never repeats the status that it could not send.
_PING_SECONDS = 60.0
# How long the other end may take to close: one that has lost its power never does.
_CLOSE_SECONDS = 2.0
PHONES = web.AppKey("phones", Phones)


def add_phonehome(app: web.Application) -> None:
    app[PHONES] = Phones(app[INDEX])
    app.router.add_post("/api/v1/nodes/register", register_agent)
    app.router.add_get("/api/v1/ws", connect, allow_head=False)
    app.on_shutdown.append(_hang_up)


async def register_agent(request: web.Request) -> web.Response:
    """`{id, apiKey}`; 401 for whoever was not installed by us."""
    index = request.app[INDEX]
    try:
        wanted = read_registration(await request.read())
    except InvalidValue as error:
        return web.json_response({"error": str(error)}, status=400)
    node = index.fleet.by_phone_key(key_of(wanted.token))
    if node is None or node.spec is None or node.denied:
        log.warning("phone-home: %s came with a token of no present boot", request.remote)
        return unauthorized("the registration token belongs to no installed node")
    if not request.app[PHONES].may_register(node.id):
        return web.json_response({"error": "too many registrations: wait"}, status=429)
    key = secrets.token_hex(32)
    try:
        await _register(index, node, wanted, key)
    except InvalidValue as error:
        _note_refusal(index, node, wanted, f"from {request.remote}: {error}")
        return unauthorized(str(error))
    said = f"its agent registered: {wanted.told.version or 'version unknown'}"
    index.note(node, Kind.AGENT, f"{said}, {wanted.told.boot_state or 'boot state unknown'}")
    return web.json_response({"id": node.name, "apiKey": key}, status=201)


def _note_refusal(index: Index, node: Node, wanted: Registration, why: str) -> None:
    """Once for each machine: its agent asks every minute, for ever."""
    said = f"an agent was refused its registration {why}"
    if wanted.told.boot_state:
        said += f" (it runs its {wanted.told.boot_state} system)"
    once = f"phone-refused:{key_of(wanted.token + wanted.machine_id)[:16]}"
    index.note(node, Kind.REFUSED, said, once)


async def _register(index: Index, node: Node, wanted: Registration, key: str) -> None:
    now = int(time.time())
    agent = Agent(
        node=node.id,
        machine_id=wanted.machine_id,
        registered=now,
        seen=now,
        boot_state=wanted.told.boot_state,
        token=key_of(wanted.token),
        version=wanted.told.version,
    )

    def work(store: Store) -> None:
        with store.writing() as connection:
            register(connection, node.id, agent.token, key_of(key), agent, wanted.told.facts)

    await index.change(work)


async def connect(request: web.Request) -> web.StreamResponse:
    """One agent's WebSocket, by its key."""
    phones = request.app[PHONES]
    key = key_of(request.query.get("token", ""))
    agent = await agent_with(request, key)
    if agent is None or phones.node(agent.node) is None:
        log.warning("phone-home: %s came with a key that is nobody's", request.remote)
        return unauthorized("this key is nobody's: it was taken back, or never given")
    socket = web.WebSocketResponse(
        timeout=_CLOSE_SECONDS, heartbeat=_PING_SECONDS, max_msg_size=LARGEST_MESSAGE
    )
    await socket.prepare(request)
    line = Line(socket=socket, agent=agent, key=key, remote=request.remote or "?")
    try:
        await phones.talk(line)
    except InvalidValue as error:
        log.warning("phone-home: %s: %s", request.remote, error)
        await socket.close(code=WSCloseCode.INVALID_TEXT, message=str(error).encode()[:120])
    return socket


async def agent_with(request: web.Request, key: str) -> Agent | None:
    """By the digest of its key."""
    return await request.app[INDEX].ask(lambda store: _agent_of(store, key))


def _agent_of(store: Store, key: str) -> Agent | None:
    with store.reading() as connection:
        node = node_of_key(connection, key)
        return read_agents(connection).get(node) if node is not None else None


async def _hang_up(app: web.Application) -> None:
    await app[PHONES].hang_up()
