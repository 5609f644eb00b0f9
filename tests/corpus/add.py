"""Take the DHCP requests of a capture into the corpus.

    python -m tests.corpus.add CAPTURE.pcap NAME "about" "source"

writes tests/corpus/dhcp/NAME-discover.toml and the like, one for each kind of message that each
kind of client sent; what is in the corpus already, but for addresses and times, is left out.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from kairos_netboot.dhcp.answer import Service
from kairos_netboot.dhcp.client import recognise
from kairos_netboot.dhcp.packet import Op, Packet, decode, encode
from kairos_netboot.errors import MalformedPacket
from tests.corpus.entry import FOLDER, Entry, entries, write
from tests.lab.capture import read_captures

_CHANGING = {50, 54, 61, 97}  # addresses, and what names one machine


def main(argv: list[str]) -> int:
    if len(argv) != 4:
        sys.stderr.write(__doc__ or "")
        return 2
    for path in add(Path(argv[0]), FOLDER / argv[1], argv[2], argv[3]):
        sys.stdout.write(f"{path}\n")
    return 0


def add(capture: Path, stem: Path, about: str, source: str) -> list[Path]:
    """The files that were written: `stem` and what each request says."""
    known = {_shape(entry.packet) for entry in entries()}
    written = []
    for service, data in _requests(capture):
        packet = decode(data)
        if _shape(packet) in known:
            continue
        known.add(_shape(packet))
        said = _said(packet, service).removeprefix(f"{stem.name}-")
        path = _free(stem.with_name(f"{stem.name}-{said}"))
        write(Entry(path=path, about=about, source=source, request=data, service=service))
        written.append(path)
    return written


def _requests(capture: Path) -> list[tuple[Service, bytes]]:
    frames = read_captures([capture]).frames
    found = [(f.target_port, f.payload) for f in frames if f.protocol == "udp"]
    return [(Service(port), data) for port, data in found if port in (67, 4011) and _asks(data)]


def _asks(data: bytes) -> bool:
    try:
        packet = decode(data)
    except MalformedPacket:
        return False
    return packet.op is Op.REQUEST and recognise(packet) is not None


def _shape(packet: Packet) -> bytes:
    """What is left where the machine, the network and the time are taken out."""
    options = {code: b"" if code in _CHANGING else v for code, v in packet.options.items()}
    bare = replace(packet, xid=0, secs=0, hardware_address=b"", options=options)
    nobody = IPv4Address(0)
    return encode(replace(bare, client_address=nobody, relay=nobody), room=65507)


def _said(packet: Packet, service: Service) -> str:
    kind = packet.message_type.name.lower() if packet.message_type else "bootp"
    client = recognise(packet)
    stage = f"{client.stage}-" if client else ""
    return stage + ("4011-" if service is Service.BOOT_SERVER else "") + kind


def _free(stem: Path) -> Path:
    names = [stem.name, *(f"{stem.name}-{number}" for number in range(2, 100))]
    return next(p for name in names if not (p := stem.with_name(f"{name}.toml")).exists())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
