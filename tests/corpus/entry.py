"""One request of the corpus: a text file with the bytes, what they say, and our answer.

The upper part is written by hand or by add.py; all below the mark is made from it, and made anew
by `UPDATE_CORPUS=1 pytest tests/unit/dhcp/test_corpus.py`.
"""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from ipaddress import IPv4Address
from pathlib import Path

from kairos_netboot.config.resources import load_recipes
from kairos_netboot.dhcp.answer import Service, answer_type, reply_for, with_boot
from kairos_netboot.dhcp.client import Client, recognise
from kairos_netboot.dhcp.packet import MessageType, Op, Packet, decode, encode, room_for
from kairos_netboot.values import Stage

FOLDER = Path(__file__).parent / "dhcp"
MARK = "# Made by UPDATE_CORPUS=1 from here on.\n"
SERVER = IPv4Address("192.0.2.2")
_LEASED = IPv4Address("192.0.2.50")
_PORTS = {Service.PROXY: 68, Service.BOOT_SERVER: 4011}
_RECIPES = load_recipes()
# What a machine at each stage is sent to, where an entry does not say.
_FILES = {
    Stage.PXE: "52-54-00-00-00-00/first",
    Stage.HTTP: "http://192.0.2.2:8080/boot/52-54-00-00-00-00/first.efi",
    Stage.IPXE: "http://192.0.2.2:8080/boot/52-54-00-00-00-00/script.ipxe",
    Stage.GRUB: "52-54-00-00-00-00/grub.cfg",
    Stage.UBOOT: "52-54-00-00-00-00/boot.scr.uimg",
    Stage.RASPBERRY: "52-54-00-00-00-00/config.txt",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`source` says where the request is from; `lease`: answered as the DHCP server does."""

    path: Path
    about: str
    source: str
    request: bytes
    service: Service = Service.PROXY
    lease: bool = False
    says: str = ""
    answer: bytes = b""
    answer_says: str = ""

    @property
    def packet(self) -> Packet:
        return decode(self.request)

    @property
    def client(self) -> Client | None:
        return recognise(self.packet)


def entries() -> list[Entry]:
    return [read(path) for path in sorted(FOLDER.glob("*.toml"))]


def read(path: Path) -> Entry:
    data = tomllib.loads(path.read_text())
    return Entry(
        path=path,
        about=data["about"],
        source=data["source"],
        request=bytes.fromhex(data["request"]),
        service=Service(data.get("service", 67)),
        lease=data.get("lease", False),
        says=data.get("says", "").rstrip("\n"),
        answer=bytes.fromhex(data.get("answer", "")),
        answer_says=data.get("answer-says", "").rstrip("\n"),
    )


def write(entry: Entry) -> None:
    """The whole file, with what is made of the request made anew."""
    lines = [f'about = "{entry.about}"', f'source = "{entry.source}"']
    lines += [f"service = {entry.service}"] if entry.service is not Service.PROXY else []
    lines += ["lease = true"] if entry.lease else []
    answer = answer_to(entry)
    made = [_text("says", describe(entry.packet, entry.client))]
    if answer:
        made += [_text("answer-says", describe(decode(answer))), _text("answer", _hex(answer))]
    upper = "\n".join([*lines, _text("request", _hex(entry.request))])
    entry.path.write_text(f"{upper}\n\n{MARK}" + "\n".join(made) + "\n")


def answer_to(entry: Entry) -> bytes:
    """Our answer by the real functions; empty for silence."""
    request, client = entry.packet, entry.client
    rule = _RECIPES.rule_for(client) if client and client.known else None
    if client is None or rule is None:
        return b""
    recipe, file = _RECIPES.named(rule.recipe), _FILES[client.stage]
    if entry.lease:
        lease = _lease(request)
        packet = with_boot(lease, request, boot_file=file, recipe=recipe, server=SERVER)
        return encode(packet, room=room_for(request))
    kind = answer_type(request, entry.service)
    silent = entry.service is Service.BOOT_SERVER and not recipe.port_4011
    if kind is None or silent or not recipe.proxy:
        return b""
    source = (str(request.client_address), _PORTS[entry.service])
    reply = reply_for(request, kind, boot_file=file, recipe=recipe, server=SERVER, source=source)
    return encode(reply.packet, room=room_for(request))


def _lease(request: Packet) -> Packet:
    asked = request.message_type
    kind = MessageType.OFFER if asked is MessageType.DISCOVER else MessageType.ACK
    return Packet(
        op=Op.REPLY,
        xid=request.xid,
        flags=request.flags,
        hardware_address=request.hardware_address,
        relay=request.relay,
        your_address=_LEASED,
        options={
            53: bytes([kind]),
            54: SERVER.packed,
            51: (3600).to_bytes(4, "big"),
            1: bytes((255, 255, 255, 0)),
            3: IPv4Address("192.0.2.1").packed,
        },
    )


def describe(packet: Packet, client: Client | None = None) -> str:
    """Line by line: each field that is set, each option, and who it is."""
    lines = [*_set_fields(packet)]
    lines += [f"option {code} {_shown(value)}" for code, value in packet.options.items()]
    lines += [f"client.{line}" for line in _set_fields(client)] if client else []
    return "\n".join(lines)


def _set_fields(value: Packet | Client) -> Iterator[str]:
    """Those that are not as they would be left out."""
    for field in fields(value):
        said = getattr(value, field.name)
        if field.name != "options" and said != field.default:
            yield f"{field.name} {_shown(said)}"


def _shown(value: object) -> str:
    if not isinstance(value, bytes):
        return repr(str(value)) if type(value) is str else str(value)
    is_text = len(value) > 2 and value.isascii() and value.decode("ascii").isprintable()
    return repr(value.decode("ascii")) if is_text else value.hex()


def _hex(data: bytes) -> str:
    return "\n".join(textwrap.wrap(data.hex(), 96))


def _text(key: str, text: str) -> str:
    return f"{key} = '''\n{text}\n'''"
