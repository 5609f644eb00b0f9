"""Who asks: network-boot firmware recognised by its request (RFC 4578, RFC 3004, PXE 2.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import MalformedPacket
from ..values import Arch, Firmware, Mac, Stage, printable
from .options import Option, decode_options
from .packet import Packet

# IANA's processor architecture types, as far as a Kairos image exists for them.
# 9 is "EBC" by name; real x86-64 machines send 7 or 9 (RFC 4578 errata).
_ARCHITECTURES: dict[int, tuple[Firmware, Arch]] = {
    0: (Firmware.BIOS, Arch.AMD64),
    7: (Firmware.UEFI, Arch.AMD64),
    9: (Firmware.UEFI, Arch.AMD64),
    11: (Firmware.UEFI, Arch.ARM64),
    16: (Firmware.UEFI, Arch.AMD64),
    19: (Firmware.UEFI, Arch.ARM64),
    27: (Firmware.UEFI, Arch.RISCV64),
    28: (Firmware.UEFI, Arch.RISCV64),
}
_CLASS_ARCH = re.compile(rb"(?:PXE|HTTP)Client:Arch:(\d{5})")
# In iPXE's encapsulated option 175 each feature is an option of its own (RFC-less; iPXE's
# features.h): 0x13 is HTTP.
_FEATURE_HTTP = 0x13


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """`arch_type` is option 93's number, None where neither it nor option 60 tells."""

    mac: Mac
    stage: Stage
    arch_type: int | None
    firmware: Firmware | None
    arch: Arch | None
    vendor_class: str = ""
    uuid: str = ""
    speaks_http: bool = False  # an iPXE built with HTTP


def recognise(request: Packet) -> Client | None:
    """The firmware behind a request; None where it is no network boot of an Ethernet machine."""
    vendor_class = request.options.get(Option.CLASS_IDENTIFIER, b"")
    is_ipxe = _is_ipxe(request)
    if request.mac is None or not (
        is_ipxe or vendor_class.startswith((b"PXEClient", b"HTTPClient"))
    ):
        return None
    arch_type = _arch_type(request, vendor_class)
    firmware, arch = _ARCHITECTURES.get(-1 if arch_type is None else arch_type, (None, None))
    return Client(
        mac=request.mac,
        stage=_stage(is_ipxe, vendor_class),
        arch_type=arch_type,
        firmware=firmware,
        arch=arch,
        vendor_class=printable(vendor_class.decode("ascii", "replace")),
        uuid=_uuid(request.options.get(Option.CLIENT_UUID, b"")),
        speaks_http=is_ipxe and _speaks_http(request),
    )


def _stage(is_ipxe: bool, vendor_class: bytes) -> Stage:
    if is_ipxe:
        return Stage.IPXE
    return Stage.HTTP if vendor_class.startswith(b"HTTPClient") else Stage.PXE


def _is_ipxe(request: Packet) -> bool:
    """RFC 3004 wants a length byte before each user class; iPXE sends none, and some vendors'
    iPXE sends no user class at all but keeps option 175."""
    user_class = request.options.get(Option.USER_CLASS, b"")
    return b"iPXE" in user_class or Option.ETHERBOOT in request.options


def _speaks_http(request: Packet) -> bool:
    """Every iPXE does, but one that lists its features without HTTP."""
    if Option.ETHERBOOT not in request.options:
        return True
    try:
        return _FEATURE_HTTP in decode_options(request.options[Option.ETHERBOOT])
    except MalformedPacket:
        return True


def _arch_type(request: Packet, vendor_class: bytes) -> int | None:
    """Option 93 may list several types; the first we know is taken, else the first."""
    raw = request.options.get(Option.CLIENT_ARCHITECTURE, b"")
    types = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw) - 1, 2)]
    if not types and (match := _CLASS_ARCH.match(vendor_class)):
        types = [int(match[1])]
    return next((t for t in types if t in _ARCHITECTURES), types[0] if types else None)


def _uuid(raw: bytes) -> str:
    """Option 97: a zero byte and 16 bytes whose first three groups are little-endian, as SMBIOS
    has them. Empty where it is missing or malformed: many ROMs break this one."""
    if len(raw) != 17 or raw[0] != 0:
        return ""
    first, second, third = raw[1:5][::-1], raw[5:7][::-1], raw[7:9][::-1]
    groups = (first, second, third, raw[9:11], raw[11:])
    return "-".join(group.hex() for group in groups)
