"""TFTP on port 69: one task and one connected socket for each transfer."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field

from ..errors import MalformedPacket
from ..tftp.packet import (
    ErrorCode,
    ErrorPacket,
    ReadRequest,
    Request,
    WriteRequest,
    decode,
    encode,
)
from ..tftp.transfer import Content, End, Limits, Outcome, Transfer, negotiate
from ..values import printable
from . import udp
from .conversation import Conversation, connected
from .udp import Datagram, Endpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file somebody asks for. `name` as in the request, without slashes in front; `local`: the
    address of ours that was asked, on `interface`."""

    name: str
    client: str
    local: str
    interface: str = ""


# None: there is no such file. What has a `close` is closed when its transfer is over.
Lookup = Callable[[Wanted], Awaitable[Content | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A request that is over. `size` is the file's own; 0 where there was none."""

    name: str
    client: Endpoint
    local: str
    size: int
    outcome: Outcome
    seconds: float


async def serve_tftp(
    sock: socket.socket,
    lookup: Lookup,
    on_transfer: Callable[[Finished], None],
    *,
    limits: Limits = Limits(),
    at_once: int = 256,
    at_once_per_client: int = 8,
    arrivals: Callable[[socket.socket], AsyncIterator[Datagram]] = udp.arrivals,
) -> None:
    """Answer read requests until cancelled. `arrivals` fits the socket's address family; the
    caller closes it."""
    server = _Server(
        lookup=lookup,
        on_transfer=on_transfer,
        limits=limits,
        at_once=at_once,
        at_once_per_client=at_once_per_client,
    )
    async with asyncio.TaskGroup() as transfers:
        async for datagram in arrivals(sock):
            request = _request_in(datagram)
            if request is not None:
                transfers.create_task(_isolated(server.answer(request, datagram), datagram.source))


def _request_in(datagram: Datagram) -> Request | None:
    try:
        packet = decode(datagram.data)
    except MalformedPacket as problem:
        log.debug("ignored a packet from %s: %s", _who(datagram.source), problem)
        return None
    if isinstance(packet, ReadRequest | WriteRequest):
        return packet
    log.debug("ignored a stray %s from %s", type(packet).__name__, _who(datagram.source))
    return None


async def _isolated(work: Coroutine[None, None, None], client: Endpoint) -> None:
    """A client's crash is not the server's: without this its task group would end them all."""
    try:
        await work
    except OSError as error:
        log.warning("no TFTP answer to %s: %s", _who(client), error)
    except Exception:
        log.exception("a TFTP request of %s failed", _who(client))


@dataclass(slots=True, kw_only=True, eq=False)
class _Running:
    """A request being answered; its conversation begins when the file is found."""

    request: Request
    conversation: Conversation | None = None

    @property
    def is_at_its_start(self) -> bool:
        return self.conversation is None or not self.conversation.transfer.is_answered


@dataclass(slots=True, kw_only=True)
class _Server:
    """What all requests share: the files, the limits, and who is being served."""

    lookup: Lookup
    on_transfer: Callable[[Finished], None]
    limits: Limits
    at_once: int
    at_once_per_client: int
    running: dict[Endpoint, _Running] = field(default_factory=dict)

    async def answer(self, request: Request, datagram: Datagram) -> None:
        client = datagram.source
        if self._is_repeated(request, client):
            return
        refusal = self._refusal(request, client)
        if refusal is not None:
            self._refuse(request, datagram, refusal)
            return
        # From here on a repeat of the request finds it, though the lookup may take its time.
        mine = self.running[client] = _Running(request=request)
        try:
            await self._serve(mine, datagram)
        finally:
            if self.running.get(client) is mine:
                del self.running[client]

    def _is_repeated(self, request: Request, client: Endpoint) -> bool:
        """Whether a transfer answers this already. One that is past its start makes room."""
        earlier = self.running.get(client)
        if earlier is None:
            return False
        if earlier.request == request and earlier.is_at_its_start:
            log.debug("ignored a repeated request from %s for %r", _who(client), request.name)
            return True
        # Boot ROMs use the same port after every reset, so this is a machine that started again.
        del self.running[client]
        if earlier.conversation is not None:
            earlier.conversation.abort("the client asked anew from the same port")
        return False

    def _refusal(self, request: Request, client: Endpoint) -> ErrorPacket | None:
        if isinstance(request, WriteRequest):
            return _error(ErrorCode.ACCESS_VIOLATION, "this server takes no files")
        if request.mode != "octet":
            text = f"mode {request.mode[:20]} is not served here: ask in octet (binary) mode"
            return _error(ErrorCode.UNDEFINED, text)
        of_client = sum(1 for host, *_ in self.running if host == client[0])
        if of_client >= self.at_once_per_client or len(self.running) >= self.at_once:
            return _error(ErrorCode.UNDEFINED, "too many transfers at once: ask again later")
        return None

    async def _serve(self, mine: _Running, datagram: Datagram) -> None:
        request = mine.request
        content = await self.lookup(_wanted(request, datagram))
        try:
            if self.running.get(datagram.source) is not mine:
                return  # the client has asked for something else since
            if content is None:
                text = f"no file {request.name[:200]} here"
                self._refuse(request, datagram, _error(ErrorCode.FILE_NOT_FOUND, text))
                return
            terms = negotiate(request.options, len(content), self.limits)
            if isinstance(terms, ErrorPacket):
                self._refuse(request, datagram, terms)
                return
            await self._run(mine, Transfer(content, terms), datagram)
        finally:
            _close(content)

    def _refuse(self, request: Request, datagram: Datagram, error: ErrorPacket) -> None:
        with connected(datagram) as sock:
            sock.send(encode(error))
        outcome = Outcome(end=End.REFUSED, reason=error.message)
        self._report(request, datagram, outcome, size=0, seconds=0.0)

    async def _run(self, mine: _Running, transfer: Transfer, datagram: Datagram) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        mine.conversation = Conversation(transfer, datagram)
        outcome = await mine.conversation.run()
        self._report(mine.request, datagram, outcome, transfer.size, loop.time() - began)

    def _report(
        self, request: Request, datagram: Datagram, outcome: Outcome, size: int, seconds: float
    ) -> None:
        finished = Finished(
            name=request.name,
            client=datagram.source,
            local=datagram.local,
            size=size,
            outcome=outcome,
            seconds=seconds,
        )
        log.info("%s", summary(finished))
        self.on_transfer(finished)


def _wanted(request: Request, datagram: Datagram) -> Wanted:
    return Wanted(
        name=request.name,
        client=datagram.source[0],
        local=datagram.local,
        interface=udp.interface_name(datagram.interface),
    )


def _close(content: Content | None) -> None:
    close = getattr(content, "close", None)
    if close is not None:
        close()


def _who(client: Endpoint) -> str:
    """`192.0.2.7:1026`, `[fe80::1]:1026`."""
    host = f"[{client[0]}]" if ":" in client[0] else client[0]
    return f"{host}:{client[1]}"


def summary(finished: Finished) -> str:
    """The log's line."""
    who = f"{finished.name!r} for {_who(finished.client)}"
    outcome = finished.outcome
    match outcome.end:
        case End.DONE:
            return f"sent {who}: {finished.size} bytes in {finished.seconds:.2f} s"
        case End.SIZE_ASKED:
            return f"told the size of {who}: {finished.size} bytes"
        case End.REFUSED:
            return f"refused {who}: {printable(outcome.reason)}"
        case End.ABORTED | End.TIMED_OUT:
            sent = f"after {outcome.bytes_sent} of {finished.size} bytes"
            return f"{outcome.end} {who} {sent}: {printable(outcome.reason)}"


def _error(code: ErrorCode, message: str) -> ErrorPacket:
    return ErrorPacket(code=code, message=message)
