"""Who asks over DHCPv6: firmware recognised by its request (RFC 5970), and which machine it is."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from ..values import Mac, Stage, printable
from .architectures import Architecture, choose
from .client import Client
from .v6 import Message, Option6, Relayed
from .v6router import mac_in

_ETHERNET = 1
_CLASS = re.compile(rb"(?P<stage>PXE|HTTP)Client(?::Arch:(?P<arch>\d{5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a request tells of its machine. `uuids`: what its system UUID may be, as firmware and
    iPXE write the same one in different byte orders."""

    duid: bytes
    mac: Mac | None
    uuids: tuple[str, ...] = ()


def identify(request: Message, relays: Sequence[Relayed], source: IPv6Address) -> Identity:
    """`source`: where the datagram came from, the relay's address if there is one.

    The card that asks comes first, a DUID may be that of another card of the machine.
    """
    duid = request.first(Option6.CLIENT_ID) or b""
    nearest = relays[-1] if relays else None  # to the client
    heard = _relays_word(nearest) if nearest else None
    mac = heard or mac_in(nearest.peer if nearest else source) or _mac_of_duid(duid)
    return Identity(duid=duid, mac=mac, uuids=tuple(_uuids(duid)))


def _relays_word(relay: Relayed) -> Mac | None:
    raw = relay.first(Option6.CLIENT_LINK_LAYER) or b""
    return _ethernet(raw)


def _mac_of_duid(duid: bytes) -> Mac | None:
    """DUID-LLT and DUID-LL (RFC 8415, section 11) are made of the address of one card."""
    match duid[:2]:
        case b"\0\x01" if len(duid) > 8:
            return _ethernet(duid[2:4] + duid[8:])
        case b"\0\x03":
            return _ethernet(duid[2:])
    return None


def _ethernet(raw: bytes) -> Mac | None:
    is_one = len(raw) == 8 and int.from_bytes(raw[:2], "big") == _ETHERNET
    return Mac.from_bytes(raw[2:]) if is_one else None


def _uuids(duid: bytes) -> Iterator[str]:
    """DUID-UUID (RFC 6355): iPXE writes it in network order, EDK2 as SMBIOS has it."""
    if len(duid) == 18 and duid[:2] == b"\0\x04":
        yield str(uuid.UUID(bytes=duid[2:]))
        yield str(uuid.UUID(bytes_le=duid[2:]))


def is_netboot(request: Message) -> bool:
    return _is_ipxe(request) or _CLASS.match(_class_text(request)) is not None


def recognise6(request: Message, mac: Mac, uuid: str = "") -> Client | None:
    """The firmware behind a request of the machine `mac`; None where it is no network boot."""
    text = _class_text(request)
    found = _CLASS.match(text)
    is_ipxe = _is_ipxe(request)
    if found is None and not is_ipxe:
        return None
    numbers = _arch_types(request, found)
    row = choose(numbers)
    return Client(
        mac=mac,
        stage=_stage(is_ipxe, found, row),
        arch_type=row.number if row else next(iter(numbers), None),
        firmware=row.firmware if row else None,
        arch=row.arch if row else None,
        vendor_class=printable(text.decode("ascii", "replace")),
        uuid=uuid,
        speaks_http=is_ipxe,
        known=is_ipxe or (row is not None and row.firmware is not None and row.arch is not None),
    )


def _is_ipxe(request: Message) -> bool:
    return b"iPXE" in (request.first(Option6.USER_CLASS) or b"")


def _stage(is_ipxe: bool, found: re.Match[bytes] | None, row: Architecture | None) -> Stage:
    if is_ipxe:
        return Stage.IPXE  # it names itself a PXEClient, too
    by_http = found is not None and found["stage"] == b"HTTP"
    return Stage.HTTP if by_http or (row is not None and row.http) else Stage.PXE


def _class_text(request: Message) -> bytes:
    """The first text of option 16, whatever its enterprise: 343 (Intel) is what UEFI writes."""
    raw = request.first(Option6.VENDOR_CLASS) or b""
    return raw[6 : 6 + int.from_bytes(raw[4:6], "big")]


def _arch_types(request: Message, found: re.Match[bytes] | None) -> list[int]:
    """What option 61 lists; the vendor class's own number where it is missing."""
    raw = request.first(Option6.CLIENT_ARCHITECTURE) or b""
    numbers = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw) - 1, 2)]
    if not numbers and found and found["arch"]:
        return [int(found["arch"])]
    return numbers
