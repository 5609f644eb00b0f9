"""TFTP on port 69: one task and one connected socket for each transfer."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
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
from ..tftp.transfer import End, Limits, Outcome, Transfer, negotiate
from ..values import printable
from . import udp
from .udp import Datagram, Endpoint

log = logging.getLogger(__name__)

Lookup = Callable[[str], bytes | None]

_LARGEST = 1024  # acks have 4 bytes, errors a line of text


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
) -> None:
    """Answer read requests on a socket of `udp.bind`, until cancelled. The caller closes it."""
    server = _Server(
        sock=sock,
        lookup=lookup,
        on_transfer=on_transfer,
        limits=limits,
        at_once=at_once,
        at_once_per_client=at_once_per_client,
    )
    async with asyncio.TaskGroup() as transfers:
        async for datagram in udp.arrivals(sock):
            request = _request_in(datagram)
            if request is not None:
                transfers.create_task(_isolated(server.answer(request, datagram), datagram.source))


def _request_in(datagram: Datagram) -> Request | None:
    try:
        packet = decode(datagram.data)
    except MalformedPacket as problem:
        log.debug("ignored a packet from %s:%d: %s", *datagram.source, problem)
        return None
    if isinstance(packet, ReadRequest | WriteRequest):
        return packet
    log.debug("ignored a stray %s from %s:%d", type(packet).__name__, *datagram.source)
    return None


async def _isolated(work: Coroutine[None, None, None], client: Endpoint) -> None:
    """A client's crash is not the server's: without this its task group would end them all."""
    try:
        await work
    except OSError as error:
        log.warning("no TFTP answer to %s:%d: %s", *client, error)
    except Exception:
        log.exception("a TFTP request of %s:%d failed", *client)


@dataclass(slots=True, kw_only=True)
class _Server:
    """What all requests share: the files, the limits, and who is being served."""

    sock: socket.socket
    lookup: Lookup
    on_transfer: Callable[[Finished], None]
    limits: Limits
    at_once: int
    at_once_per_client: int
    running: dict[Endpoint, tuple[Request, _Conversation]] = field(default_factory=dict)

    async def answer(self, request: Request, datagram: Datagram) -> None:
        if self._is_repeated(request, datagram.source):
            return
        transfer = self._transfer_for(request, datagram.source)
        if isinstance(transfer, ErrorPacket):
            self._refuse(request, datagram, transfer)
        else:
            await self._run(transfer, request, datagram)

    def _is_repeated(self, request: Request, client: Endpoint) -> bool:
        """Whether a transfer answers this already. One that is past its start makes room."""
        if client not in self.running:
            return False
        earlier, conversation = self.running[client]
        if earlier == request and not conversation.transfer.is_answered:
            log.debug("ignored a repeated request from %s:%d for %r", *client, request.name)
            return True
        # Boot ROMs use the same port after every reset, so this is a machine that started again.
        del self.running[client]
        conversation.abort("the client asked anew from the same port")
        return False

    def _transfer_for(self, request: Request, client: Endpoint) -> Transfer | ErrorPacket:
        if isinstance(request, WriteRequest):
            return _error(ErrorCode.ACCESS_VIOLATION, "this server takes no files")
        if request.mode != "octet":
            text = f"mode {request.mode[:20]} is not served here: ask in octet (binary) mode"
            return _error(ErrorCode.UNDEFINED, text)
        content = self.lookup(request.name)
        if content is None:
            return _error(ErrorCode.FILE_NOT_FOUND, f"no file {request.name[:200]} here")
        of_client = sum(1 for host, _ in self.running if host == client[0])
        if of_client >= self.at_once_per_client or len(self.running) >= self.at_once:
            return _error(ErrorCode.UNDEFINED, "too many transfers at once: ask again later")
        terms = negotiate(request.options, len(content), self.limits)
        return terms if isinstance(terms, ErrorPacket) else Transfer(content, terms)

    def _refuse(self, request: Request, datagram: Datagram, error: ErrorPacket) -> None:
        udp.send(
            self.sock,
            encode(error),
            datagram.source,
            via=datagram,
        )
        outcome = Outcome(end=End.REFUSED, reason=error.message)
        self._report(request, datagram, outcome, size=0, seconds=0.0)

    async def _run(self, transfer: Transfer, request: Request, datagram: Datagram) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        conversation = _Conversation(transfer, datagram.local, datagram.source)
        mine = self.running[datagram.source] = (request, conversation)
        try:
            outcome = await conversation.run()
        finally:
            if self.running.get(datagram.source) is mine:
                del self.running[datagram.source]
        self._report(request, datagram, outcome, transfer.size, loop.time() - began)

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


class _Conversation:
    """A transfer on a socket of its own. `run` it once."""

    def __init__(self, transfer: Transfer, local: str, client: Endpoint) -> None:
        self.transfer = transfer
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Outcome] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._sock = _connected(local, client)

    async def run(self) -> Outcome:
        with self._sock:
            self._loop.add_reader(self._sock, self._step, self._take)
            try:
                self._step(self.transfer.start)
                self._on_deadline()
                return await self._ended
            finally:
                self._loop.remove_reader(self._sock)
                if self._timer is not None:
                    self._timer.cancel()

    def abort(self, reason: str) -> None:
        self.transfer.abort(reason)
        self._notice_end()

    def _take(self, now: float) -> list[bytes]:
        return self.transfer.receive(decode(self._sock.recv(_LARGEST)), now)

    def _on_deadline(self) -> None:
        # The timer is not moved at each ack, which would cost more than the ack: it fires at an
        # old deadline, finds a later one and sleeps on.
        self._step(self.transfer.wake)
        if self.transfer.deadline is not None:
            self._timer = self._loop.call_at(self.transfer.deadline, self._on_deadline)

    def _step(self, act: Callable[[float], list[bytes]]) -> None:
        try:
            for data in act(self._loop.time()):
                self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            pass  # a full send buffer loses packets like any other place on the way
        except MalformedPacket as problem:
            log.debug("ignored a packet of a transfer: %s", problem)
        except ConnectionRefusedError:  # an ICMP message said so
            self.transfer.abort("the client has closed its port")
        except OSError as error:
            self.transfer.abort(f"the network: {error.strerror or error}")
        except Exception as error:  # carried to `_isolated`; the event loop would only log it
            if not self._ended.done():
                self._ended.set_exception(error)
        self._notice_end()

    def _notice_end(self) -> None:
        if self.transfer.outcome is not None and not self._ended.done():
            self._ended.set_result(self.transfer.outcome)


def _connected(local: str, client: Endpoint) -> socket.socket:
    """A socket only this client can reach: the kernel turns strangers away (RFC 1350, section 4).

    Bound to the address that was asked, as firmware ignores an answer from any other.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind((local, 0))
        sock.connect(client)
    except OSError:
        sock.close()
        raise
    return sock


def summary(finished: Finished) -> str:
    """The log's line."""
    who = f"{finished.name!r} for {finished.client[0]}:{finished.client[1]}"
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
