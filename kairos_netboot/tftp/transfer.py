"""One file on its way to one client: blocks, windows, options, repeats. No socket, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from .packet import Ack, ErrorCode, ErrorPacket, OptionAck, Packet, data_packet, encode

_DEFAULT_BLOCK = 512  # RFC 1350
_SMALLEST_BLOCK, _LARGEST_BLOCK = 8, 65464  # RFC 2348
_LARGEST_WINDOW = 65535  # RFC 7440
_LONGEST_TIMEOUT = 255  # RFC 2349
_TRIES = 6
# Without a timeout of the client's own: soon at first, as a LAN loses single packets; then
# slower, for a switch that is still learning. Given up after 1 + 2 + 4 + 4 + 4 + 4 s.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 4.0
# Once it is known how fast this client answers, a loss costs some of its answers' time and not a
# second: GRUB's 14 MB kernel is 14,000 blocks, each waited for. Given up after as long as above.
_SHORTEST_PAUSE, _KNOWN_LONGEST_PAUSE = 0.1, 1.0
_ANSWERS_TO_WAIT = 4
_PATIENCE = 19.0
_OPTIONS_ASKED = -1  # before block 0, which is the client's "yes" to our options


class Content(Protocol):
    """A file's bytes: `bytes`, or whatever gives slices of them without holding the whole."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class End(StrEnum):
    """How a request ended."""

    DONE = "done"
    SIZE_ASKED = "size asked"  # read the size from our options, then broke off: as intended
    ABORTED = "aborted"
    TIMED_OUT = "timed out"
    REFUSED = "refused"  # answered with an error: no such file, no such mode, …


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`bytes_sent` counts each byte of the file once. `reason` is empty where all went well."""

    end: End
    bytes_sent: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most a client is granted. 1468 bytes fill one Ethernet frame (1500 - 20 - 8 - 4)."""

    block_size: int = 1468
    window: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was agreed. `acknowledged` is what the OACK says; empty: there is none."""

    block_size: int = _DEFAULT_BLOCK
    window: int = 1
    timeout: int | None = None
    acknowledged: Mapping[str, str] = field(default_factory=dict)


def negotiate(asked: Mapping[str, str], size: int, limits: Limits) -> Terms | ErrorPacket:
    """The terms for a file of `size` bytes, or error 8 for an option nobody could meet.

    Unknown options and values that are no number in range are left out of the answer, which
    RFC 2347 makes equal to not having asked.
    """
    block_size = _number(asked, "blksize", 0)
    if block_size is not None and block_size < _SMALLEST_BLOCK:
        # Leaving it out would send 512 bytes to a client that has no room for 8.
        text = f"blksize {block_size}: RFC 2348 wants {_SMALLEST_BLOCK} to {_LARGEST_BLOCK}"
        return ErrorPacket(code=ErrorCode.OPTION_REFUSED, message=text)
    window = _number(asked, "windowsize", 1)
    timeout = _number(asked, "timeout", 1)
    if timeout is not None and timeout > _LONGEST_TIMEOUT:
        timeout = None  # RFC 2349: the answer is the client's own value or none
    granted = {
        "blksize": block_size and min(block_size, limits.block_size, _LARGEST_BLOCK),
        "tsize": None if _number(asked, "tsize", 0) is None else size,
        "timeout": timeout,
        "windowsize": window and min(window, limits.window, _LARGEST_WINDOW),
    }
    return Terms(
        block_size=granted["blksize"] or _DEFAULT_BLOCK,
        window=granted["windowsize"] or 1,
        timeout=timeout,
        acknowledged={key: str(value) for key, value in granted.items() if value is not None},
    )


def _number(asked: Mapping[str, str], option: str, smallest: int) -> int | None:
    text = asked.get(option, "")
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        return None
    return int(text) if int(text) >= smallest else None


class Transfer:
    """Feed it packets and wake it at `deadline`; send what it returns, until `outcome` is set."""

    def __init__(self, content: Content, terms: Terms) -> None:
        self._content = content
        self.size = len(content)
        self._terms = terms
        # A size that is a multiple of the block size ends with an empty block (RFC 1350).
        self._last = self.size // terms.block_size + 1
        self._before = _OPTIONS_ASKED if terms.acknowledged else 0
        self._acked = self._before
        self._sent = 0
        self._tries = 0
        self._first_sent_at = 0.0
        self._answer_time: float | None = None
        self.deadline: float | None = None
        self.outcome: Outcome | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the client has acknowledged anything yet."""
        return self._acked > self._before

    def start(self, now: float) -> list[bytes]:
        return self._send_window(now)

    def receive(self, packet: Packet, now: float) -> list[bytes]:
        """The client's next packet. What doesn't belong here is ignored, silently."""
        if self.outcome is not None:
            return []
        match packet:
            case Ack():
                return self._acknowledge(packet.block, now)
            case ErrorPacket():
                self._give_up(packet)
        return []

    def wake(self, now: float) -> list[bytes]:
        """The deadline has passed: the window again, or the end. Too early: nothing."""
        if self.deadline is None or now < self.deadline:
            return []
        if self._is_hopeless(now):
            self._finish(End.TIMED_OUT, f"no answer to {self._waiting_for()}, sent {_TRIES} times")
            return []
        return self._send_window(now)

    def abort(self, reason: str) -> None:
        """The network or the server ends it."""
        if self.outcome is None:
            self._finish(End.ABORTED, reason)

    def _acknowledge(self, block: int, now: float) -> list[bytes]:
        # Block numbers wrap at 16 bits, so the ack is read as a step onward from the last one.
        step = (block - self._acked) % 65536
        if not 1 <= step <= self._sent - self._acked:
            # A late duplicate. Answering it would send everything twice from here on: the
            # Sorcerer's Apprentice (RFC 1123, 4.2.3.1).
            return []
        self._acked += step
        self._learn_answer_time(now)
        self._tries = 0
        if self._acked == self._last:
            self._finish(End.DONE, "")
            return []
        # RFC 7440: an ack inside the window means that what came behind it was lost.
        return self._send_window(now)

    def _send_window(self, now: float) -> list[bytes]:
        if self._tries == 0:
            self._first_sent_at = now
        self.deadline = now + self._pause()
        self._tries += 1
        if self._acked == _OPTIONS_ASKED:
            return [encode(OptionAck(options=self._terms.acknowledged))]
        self._sent = min(self._acked + self._terms.window, self._last)
        return [self._block(number) for number in range(self._acked + 1, self._sent + 1)]

    def _block(self, number: int) -> bytes:
        size = self._terms.block_size
        return data_packet(number % 65536, self._content[(number - 1) * size : number * size])

    def _pause(self) -> float:
        if self._terms.timeout is not None:
            return float(self._terms.timeout)
        if self._answer_time is None:
            return min(_FIRST_PAUSE * (1 << self._tries), _LONGEST_PAUSE)
        first = max(_ANSWERS_TO_WAIT * self._answer_time, _SHORTEST_PAUSE)
        return min(first * (1 << min(self._tries, 8)), _KNOWN_LONGEST_PAUSE)

    def _learn_answer_time(self, now: float) -> None:
        # An ack after a repeat may be of the first packet or of the second (Karn's algorithm).
        if self._tries == 1:
            taken = now - self._first_sent_at
            before = taken if self._answer_time is None else self._answer_time
            self._answer_time = before + (taken - before) / 8

    def _is_hopeless(self, now: float) -> bool:
        if self._terms.timeout is not None or self._answer_time is None:
            return self._tries >= _TRIES
        return now - self._first_sent_at >= _PATIENCE

    def _give_up(self, error: ErrorPacket) -> None:
        said = f"error {error.code}: {error.message or 'no text'}"
        # UEFI opens a transfer only to learn the size, and ends it by error 8; a request of its
        # own for the file follows.
        if self._acked == _OPTIONS_ASKED and "tsize" in self._terms.acknowledged:
            self._finish(End.SIZE_ASKED, "")
        else:
            self._finish(End.ABORTED, f"the client broke off, {said}")

    def _waiting_for(self) -> str:
        if self._acked == _OPTIONS_ASKED:
            return "the options"
        return f"block {self._sent} of {self._last}"

    def _finish(self, end: End, reason: str) -> None:
        bytes_sent = min(self._sent * self._terms.block_size, self.size)
        self.outcome = Outcome(end=end, bytes_sent=bytes_sent, reason=reason)
        self.deadline = None
