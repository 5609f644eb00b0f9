"""The answer that adds a boot file to what others say over DHCPv6 (RFC 8415, RFC 5970)."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from ipaddress import IPv6Address

from ..values import Stage
from .answer import Service
from .v6 import Kind, Message, Option6, encode_options

_INTEL = 343  # the enterprise whose vendor class UEFI sends, and takes from a server
_NAMESPACE = uuid.UUID("5f4ad4f4-4a55-5cf0-8f5c-2b1b1c1d7e0a")

# Of these, those with our identifier in them are for us.
_TO_ONE_SERVER = (Kind.REQUEST, Kind.RENEW, Kind.RELEASE, Kind.DECLINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """The address a machine makes for itself, told to firmware that wants to be told one.
    Lifetimes in seconds."""

    address: IPv6Address
    preferred: int
    valid: int


def server_duid(seed: str) -> bytes:
    """Our identifier: a DUID-UUID that stays the same for the same seed."""
    return b"\0\x04" + uuid.uuid5(_NAMESPACE, seed).bytes


def answer_kind(request: Message, service: Service, duid: bytes) -> Kind | None:
    """ADVERTISE, REPLY, or None for a message that is not ours to answer."""
    named = request.first(Option6.SERVER_ID)
    if request.first(Option6.CLIENT_ID) is None or named not in (None, duid):
        return None
    if service is Service.BOOT_SERVER:
        # EDK2 repeats its REQUEST to the host of our URL, port 4011: with our identifier where
        # another server gave it its address, without any where that was us.
        asks = request.kind in (Kind.REQUEST, Kind.INFORMATION_REQUEST)
        return Kind.REPLY if asks else None
    if request.kind == Kind.SOLICIT:
        return Kind.ADVERTISE if named is None else None
    if request.kind == Kind.INFORMATION_REQUEST:
        return Kind.REPLY
    return Kind.REPLY if request.kind in _TO_ONE_SERVER and named else None


def gives_back(request: Message) -> bool:
    """Whether the client is done with an address. EDK2 waits for an answer to this, a minute."""
    return request.kind in (Kind.RELEASE, Kind.DECLINE)


def acknowledgement(request: Message, duid: bytes) -> Message:
    """The answer to an address that is given back."""
    success = (int(Option6.STATUS_CODE), bytes(2))
    return Message(kind=Kind.REPLY, xid=request.xid, options=(*_ids(request, duid), success))


def boot_reply(
    request: Message, kind: Kind, *, url: str, stage: Stage, duid: bytes, loan: Loan | None
) -> Message:
    """No preference is said: 255 would end the client's waiting for the site's own server."""
    options = list(_ids(request, duid))
    wanted = request.first(Option6.IA_NA)
    if loan is not None and wanted is not None:
        options.append((Option6.IA_NA, _association(wanted, loan)))
    if stage is Stage.HTTP:
        options.append((Option6.VENDOR_CLASS, _class(b"HTTPClient")))
    elif stage is Stage.PXE and (loan is None or wanted is None):
        # Where the address is from us as well, this class would only make EDK2 ask once more.
        options.append((Option6.VENDOR_CLASS, _class(b"PXEClient")))
    options.append((Option6.BOOT_FILE_URL, url.encode()))
    return Message(kind=kind, xid=request.xid, options=tuple(options))


def _ids(request: Message, duid: bytes) -> tuple[tuple[int, bytes], ...]:
    client = request.first(Option6.CLIENT_ID) or b""
    return (int(Option6.CLIENT_ID), client), (int(Option6.SERVER_ID), duid)


def _class(name: bytes) -> bytes:
    return struct.pack("!IH", _INTEL, len(name)) + name


def _association(wanted: bytes, loan: Loan) -> bytes:
    """An IA_NA with the client's number. T1 and T2 are left to the client: it will not renew."""
    times = struct.pack("!II", loan.preferred, loan.valid)
    address = ((int(Option6.IA_ADDRESS), loan.address.packed + times),)
    return wanted[:4].ljust(4, b"\0") + bytes(8) + encode_options(address)
