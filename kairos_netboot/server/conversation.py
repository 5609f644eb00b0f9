"""One transfer on a socket of its own: packets in, packets out, a timer."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable

from ..errors import MalformedPacket, NetbootError
from ..tftp.packet import decode
from ..tftp.transfer import Outcome, Transfer
from .udp import Datagram

log = logging.getLogger(__name__)

_LARGEST = 1024  # acks have 4 bytes, errors a line of text


class Conversation:
    """A transfer on a socket of its own. `run` it once."""

    def __init__(self, transfer: Transfer, datagram: Datagram) -> None:
        self.transfer = transfer
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Outcome] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._sock = connected(datagram)

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
        except (OSError, NetbootError) as error:
            self.transfer.abort(_why(error))
        except Exception as error:  # carried to `_isolated`; the event loop would only log it
            if not self._ended.done():
                self._ended.set_exception(error)
        self._notice_end()

    def _notice_end(self) -> None:
        if self.transfer.outcome is not None and not self._ended.done():
            self._ended.set_result(self.transfer.outcome)


def _why(error: OSError | NetbootError) -> str:
    match error:
        case ConnectionRefusedError():  # an ICMP message said so
            return "the client has closed its port"
        case OSError():
            return f"the network: {error.strerror or error}"
    return str(error)  # of the file being sent


def connected(asked: Datagram) -> socket.socket:
    """A socket only this client can reach: the kernel turns strangers away (RFC 1350, section 4).

    Bound to the address that was asked, as firmware ignores an answer from any other.
    """
    family = socket.AF_INET6 if ":" in asked.local else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind(_socket_address(asked.local, 0, asked.interface))
        sock.connect(_socket_address(asked.source[0], asked.source[1], asked.interface))
    except OSError:
        sock.close()
        raise
    return sock


def _socket_address(text: str, port: int, interface: int) -> tuple[str | int, ...]:
    """For `bind` and `connect`. A link-local IPv6 address means nothing without its link."""
    address = ipaddress.ip_address(text)
    if address.version == 4:
        return (text, port)
    plain = text.partition("%")[0]
    return (plain, port, 0, interface if address.is_link_local else 0)
