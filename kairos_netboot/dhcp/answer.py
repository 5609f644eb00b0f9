"""The proxy-DHCP answer: what is sent, and where to (PXE 2.1, RFC 2131 section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from ipaddress import IPv4Address

from .options import Option
from .packet import MessageType, Op, Packet
from .recipe import Recipe

_BROADCAST_FLAG = 0x8000
_EVERYONE = "255.255.255.255"
_LONGEST_FILE = 127  # `file` holds 128 bytes, the last of them a zero
CLIENT_PORT = 68
SERVER_PORT = 67

# What says where to boot from; in a lease, ours are put for what its subnet may say.
_BOOT_OPTIONS = frozenset(
    {
        Option.CLASS_IDENTIFIER,
        Option.CLIENT_UUID,
        Option.VENDOR_SPECIFIC,
        Option.TFTP_SERVER_NAME,
        Option.BOOTFILE_NAME,
        Option.RELAY_AGENT,
    }
)


class Service(IntEnum):
    """Which of our two DHCP sockets was asked, by the port it has in the standard."""

    PROXY = 67
    BOOT_SERVER = 4011


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`hardware`: the Ethernet address to send to where the client has no IP address yet and did
    not ask for a broadcast (RFC 2131, section 4.1); empty for all others."""

    packet: Packet
    destination: tuple[str, int]
    hardware: bytes = b""


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
    """The proxy's answer: it sends a client to `boot_file` at `server`, and leases nothing."""
    is_offer = kind is MessageType.OFFER
    bare = Packet(
        op=Op.REPLY,
        hardware_type=request.hardware_type,
        hardware_address=request.hardware_address,
        xid=request.xid,
        # A client without an address cannot take unicast; some ROMs forget to say so.
        flags=request.flags | _BROADCAST_FLAG if is_offer else request.flags,
        client_address=IPv4Address(0) if is_offer else request.client_address,
        relay=request.relay,
        options={
            Option.MESSAGE_TYPE: bytes([kind]),
            Option.SERVER_IDENTIFIER: server.packed,
            **_echoed(request, Option.RELAY_AGENT),
        },
    )
    packet = with_boot(bare, request, boot_file=boot_file, recipe=recipe, server=server)
    return Reply(packet=packet, destination=_destination(request, kind, source))


def with_boot(
    packet: Packet, request: Packet, *, boot_file: str, recipe: Recipe, server: IPv4Address
) -> Packet:
    """An offer or acknowledgement with what sends its client to `boot_file` at `server`, in the
    recipe's shape. It names a proxy's answer as well as a lease."""
    name, address = boot_file.encode(), str(server).encode()
    fits = len(name) <= _LONGEST_FILE
    options = {code: value for code, value in packet.options.items() if code not in _BOOT_OPTIONS}
    options[Option.CLASS_IDENTIFIER] = recipe.client_class.encode()
    options |= _echoed(request, Option.CLIENT_UUID)
    if recipe.option_43:
        options[Option.VENDOR_SPECIFIC] = recipe.option_43
    if recipe.option_66:
        options[Option.TFTP_SERVER_NAME] = address
    if recipe.option_67 or not fits:
        options[Option.BOOTFILE_NAME] = name
    if Option.RELAY_AGENT in packet.options:  # RFC 3046: the last of them
        options[Option.RELAY_AGENT] = packet.options[Option.RELAY_AGENT]
    return replace(
        packet,
        next_server=server,
        server_name=address if recipe.sname else b"",
        boot_file=name if fits else b"",
        options=options,
    )


def _echoed(request: Packet, code: Option) -> dict[int, bytes]:
    return {code: request.options[code]} if code in request.options else {}


def _destination(request: Packet, kind: MessageType, source: tuple[str, int]) -> tuple[str, int]:
    if int(request.relay):
        return str(request.relay), SERVER_PORT
    if kind is MessageType.ACK:
        # Port 4011: the client has its lease. EDK2 asks from port 4011, iPXE from 68.
        return (str(request.client_address), source[1]) if source[0] == "0.0.0.0" else source
    return _EVERYONE, CLIENT_PORT
