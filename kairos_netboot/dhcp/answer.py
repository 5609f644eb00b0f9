"""The proxy-DHCP answer: what is sent, and where to (PXE 2.1, RFC 2131 section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from .options import Option
from .packet import MessageType, Op, Packet
from .recipe import Recipe

_BROADCAST_FLAG = 0x8000
_EVERYONE = "255.255.255.255"
CLIENT_PORT = 68
SERVER_PORT = 67


class Service(IntEnum):
    """Which of our two DHCP sockets was asked, by the port it has in the standard."""

    PROXY = 67
    BOOT_SERVER = 4011


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    packet: Packet
    destination: tuple[str, int]


def answer_type(request: Packet, service: Service) -> MessageType | None:
    """OFFER, ACK, or None for a message that is not ours to answer.

    On 67 only DISCOVER: a REQUEST there accepts the lease of the site's own DHCP server.
    On 4011 a boot server is asked with REQUEST (EDK2, iPXE) or INFORM (PXE 2.1's text).
    """
    if request.op is not Op.REQUEST:
        return None
    wanted = request.message_type
    if service is Service.PROXY:
        return MessageType.OFFER if wanted is MessageType.DISCOVER else None
    asks = wanted in (MessageType.REQUEST, MessageType.INFORM)
    return MessageType.ACK if asks else None


def reply_for(
    request: Packet,
    kind: MessageType,
    *,
    boot_file: str,
    recipe: Recipe,
    server: IPv4Address,
    source: tuple[str, int],
) -> Reply:
    """The answer that sends a client to `boot_file` at `server`, in the recipe's shape."""
    name = boot_file.encode()
    packet = Packet(
        op=Op.REPLY,
        hardware_type=request.hardware_type,
        hardware_address=request.hardware_address,
        xid=request.xid,
        # A client without an address cannot take unicast; some ROMs forget to say so.
        flags=request.flags | _BROADCAST_FLAG if kind is MessageType.OFFER else request.flags,
        client_address=request.client_address if kind is MessageType.ACK else IPv4Address(0),
        next_server=server,
        relay=request.relay,
        server_name=str(server).encode() if recipe.sname else b"",
        boot_file=name if len(name) <= 127 else b"",
        options=_options(request, kind, name, recipe, server),
    )
    return Reply(packet=packet, destination=_destination(request, kind, source))


def _options(
    request: Packet, kind: MessageType, name: bytes, recipe: Recipe, server: IPv4Address
) -> dict[int, bytes]:
    options: dict[int, bytes] = {
        Option.MESSAGE_TYPE: bytes([kind]),
        Option.SERVER_IDENTIFIER: server.packed,
        Option.CLASS_IDENTIFIER: b"PXEClient",
    }
    if Option.CLIENT_UUID in request.options:
        options[Option.CLIENT_UUID] = request.options[Option.CLIENT_UUID]
    if recipe.option_43:
        options[Option.VENDOR_SPECIFIC] = recipe.option_43
    if recipe.option_66:
        options[Option.TFTP_SERVER_NAME] = str(server).encode()
    if recipe.option_67 or len(name) > 127:
        options[Option.BOOTFILE_NAME] = name
    if Option.RELAY_AGENT in request.options:  # RFC 3046: echoed, and last
        options[Option.RELAY_AGENT] = request.options[Option.RELAY_AGENT]
    return options


def _destination(request: Packet, kind: MessageType, source: tuple[str, int]) -> tuple[str, int]:
    if int(request.relay):
        return str(request.relay), SERVER_PORT
    if kind is MessageType.ACK:
        # Port 4011: the client has its lease. EDK2 asks from port 4011, iPXE from 68.
        return (str(request.client_address), source[1]) if source[0] == "0.0.0.0" else source
    return _EVERYONE, CLIENT_PORT
