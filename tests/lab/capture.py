"""A packet capture as simple values: who sent what to whom, DHCP, TFTP and HTTP by name."""

from __future__ import annotations

import functools
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from scapy.layers.dhcp import BOOTP, DHCP, DHCPTypes
from scapy.layers.tftp import TFTP, TFTP_RRQ
from scapy.utils import RawPcapReader

from kairos_netboot.values import Mac

_DHCP_PORTS = {67, 68, 4011}
_HTTP_VERBS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"HTTP/1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One Ethernet frame. Addresses and ports are empty and 0 where it has none."""

    at: float  # seconds since the epoch; QEMU knows the start only to the second
    source_mac: Mac
    target_mac: Mac
    source_ip: str = ""
    target_ip: str = ""
    protocol: str = ""  # "udp", "tcp" or another's number; "" is not IPv4
    source_port: int = 0
    target_port: int = 0
    payload: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpPacket:
    frame: Frame
    client: Mac  # chaddr
    kind: str  # "discover", "offer", "request", "ack", …
    offered: str  # yiaddr
    next_server: str  # siaddr
    file: str
    options: Mapping[str, object]  # by scapy's names; a number's text where it has none

    @property
    def arch(self) -> int | None:
        """The first of option 93, or None: not a machine that boots."""
        value = self.options.get("pxe_client_architecture")
        return int.from_bytes(value[:2], "big") if isinstance(value, bytes) else None

    @property
    def is_ipxe(self) -> bool:
        return self.options.get("user_class") == b"iPXE"


@dataclass(frozen=True, slots=True, kw_only=True)
class TftpRequest:
    frame: Frame
    file: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLine:
    """The first line of a request, or of an answer (`HTTP/1.1 200 OK`)."""

    frame: Frame
    line: str


@dataclass(frozen=True, slots=True)
class Capture:
    frames: Sequence[Frame]

    def dhcp(self, client: Mac | None = None) -> list[DhcpPacket]:
        """Every DHCP packet, or those from and for one client."""
        found = [p for f in self.frames if (p := _dhcp(f)) is not None]
        return [p for p in found if client is None or p.client == client]

    def tftp(self, machine: Mac | None = None) -> list[TftpRequest]:
        requests = [r for f in self._of(machine) if (r := _tftp(f)) is not None]
        return [r for r in requests if r.file]

    def http(self, machine: Mac | None = None) -> list[HttpLine]:
        """Requests and answers, of one machine or of all."""
        return [
            HttpLine(frame=f, line=f.payload.split(b"\r\n", 1)[0].decode("latin-1"))
            for f in self._of(machine)
            if f.protocol == "tcp" and f.payload.startswith(_HTTP_VERBS)
        ]

    def sent_to(self, machine: Mac, *, by: str) -> list[Frame]:
        """What the host at the address `by` sent to one machine: its frames, and broadcast
        DHCP answers that name it."""
        own = [f for f in self.frames if f.source_ip == by]
        direct = [f for f in own if f.target_mac == machine]
        named = [p.frame for p in Capture(own).dhcp(machine) if p.frame.target_mac != machine]
        return sorted([*direct, *named], key=lambda f: f.at)

    def timeline(self, machine: Mac | None = None) -> list[str]:
        """One line for each DHCP packet, TFTP request and HTTP line, in their order."""
        lines = [(p.frame, _dhcp_line(p)) for p in self.dhcp(machine)]
        lines += [(r.frame, f"TFTP read {r.file} {dict(r.options)}") for r in self.tftp(machine)]
        lines += [(h.frame, h.line) for h in self.http(machine)]
        lines.sort(key=lambda line: line[0].at)
        start = lines[0][0].at if lines else 0.0
        return [f"{f.at - start:8.3f}  {_hop(f)}  {text}" for f, text in lines]

    def _of(self, machine: Mac | None) -> Iterable[Frame]:
        pair = (f for f in self.frames if machine in (f.source_mac, f.target_mac))
        return self.frames if machine is None else pair


def read_captures(paths: Sequence[Path]) -> Capture:
    """One capture from those of several machines.

    A broadcast reaches each of them: the n-th of the same bytes is the same frame.
    """
    seen: set[tuple[bytes, int]] = set()
    frames: list[Frame] = []
    for path in paths:
        count: Counter[bytes] = Counter()
        for raw, at in _records(path):
            if raw[0] & 1:
                count[raw] += 1
                if (raw, count[raw]) in seen:
                    continue
                seen.add((raw, count[raw]))
            frames.append(_frame(raw, at))
    return Capture(sorted(frames, key=lambda f: f.at))


def _records(path: Path) -> list[tuple[bytes, float]]:
    if path.stat().st_size < 24:  # the header of a machine that is just being started
        return []
    with RawPcapReader(str(path)) as reader:
        return [(raw, meta.sec + meta.usec / 1e6) for raw, meta in reader if len(raw) >= 14]


# A capture has few addresses and very many frames.
@functools.cache
def _mac(raw: bytes) -> Mac:
    return Mac.from_bytes(raw)


@functools.cache
def _ip(raw: bytes) -> str:
    return str(IPv4Address(raw))


def _frame(raw: bytes, at: float) -> Frame:
    # By hand and not by scapy, which needs a minute for one installation's frames.
    source, target = _mac(raw[6:12]), _mac(raw[:6])
    if raw[12:14] != b"\x08\x00" or len(raw) < 34:
        return Frame(at=at, source_mac=source, target_mac=target)
    protocol, source_port, target_port, payload = _transport(raw, 14 + (raw[14] & 15) * 4)
    return Frame(
        at=at,
        source_mac=source,
        target_mac=target,
        source_ip=_ip(raw[26:30]),
        target_ip=_ip(raw[30:34]),
        protocol=protocol,
        source_port=source_port,
        target_port=target_port,
        payload=payload,
    )


def _transport(raw: bytes, start: int) -> tuple[str, int, int, bytes]:
    """(protocol, source port, target port, payload); `start` is where IP's header ends."""
    end = 14 + int.from_bytes(raw[16:18], "big")  # what follows is Ethernet's padding
    match raw[23]:
        case 6 if len(raw) >= start + 20:
            length, name = (raw[start + 12] >> 4) * 4, "tcp"
        case 17 if len(raw) >= start + 8:
            length, name = 8, "udp"
        case number:
            return str(number), 0, 0, raw[start:end]
    source, target = struct.unpack_from("!HH", raw, start)
    return name, source, target, raw[start + length : end]


def _dhcp(frame: Frame) -> DhcpPacket | None:
    if frame.protocol != "udp" or not {frame.source_port, frame.target_port} & _DHCP_PORTS:
        return None
    message = BOOTP(frame.payload)
    if DHCP not in message:
        return None
    options = dict(_options(message[DHCP].options))
    return DhcpPacket(
        frame=frame,
        client=Mac.from_bytes(message.chaddr[:6]),
        kind=DHCPTypes.get(options.get("message-type"), "bootp"),
        offered=message.yiaddr,
        next_server=message.siaddr,
        file=message.file.split(b"\0", 1)[0].decode("latin-1"),
        options=options,
    )


def _options(parsed: Iterable[object]) -> Iterable[tuple[str, object]]:
    """scapy gives (name, value), (name, value, value …), "end", and a number it cannot name."""
    for option in parsed:
        if isinstance(option, tuple):
            name, *values = option
            yield str(name), values[0] if len(values) == 1 else tuple(values)


def _tftp(frame: Frame) -> TftpRequest | None:
    if frame.protocol != "udp" or frame.target_port != 69:
        return None
    message = TFTP(frame.payload)
    if TFTP_RRQ not in message:
        return None
    request = message[TFTP_RRQ]
    # scapy reads `mode` up to its zero; what follows are pairs of texts.
    rest = bytes(request.payload).split(b"\0")
    pairs = zip(rest[::2], rest[1::2], strict=False)
    options = {k.decode("latin-1"): v.decode("latin-1") for k, v in pairs if k}
    return TftpRequest(frame=frame, file=request.filename.decode("latin-1"), options=options)


def _dhcp_line(packet: DhcpPacket) -> str:
    words = [
        f"DHCP {packet.kind.upper()}",
        f"arch={packet.arch}" if packet.arch is not None else "",
    ]
    words += ["iPXE" if packet.is_ipxe else "", f"file={packet.file}" if packet.file else ""]
    return " ".join(word for word in words if word)


def _hop(frame: Frame) -> str:
    source = f"{frame.source_ip}:{frame.source_port}"
    return f"{source:>21} > {f'{frame.target_ip}:{frame.target_port}':<21}"
