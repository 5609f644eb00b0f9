"""Who asks: network-boot firmware recognised by its request (RFC 4578, RFC 3004, PXE 2.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import MalformedPacket
from ..values import Arch, Firmware, Mac, Stage, printable
from . import options as codec
from .architectures import Architecture, choose
from .options import Option, decode_options
from .packet import MessageType, Packet
from .raspberry import is_raspberry, serial_of

_CLASS_ARCH = re.compile(rb"(?:PXE|HTTP)Client:Arch:(\d{1,5})\b")
# In iPXE's encapsulated option 175 each feature is an option of its own (iPXE's features.h), and
# so is the version, where it is sent.
_FEATURE_HTTP, _FEATURE_HTTPS, _FEATURE_EFI, _IPXE_VERSION = 0x13, 0x14, 0x24, 0xEB
# Type 0x100 is U-Boot's own, from before the registry had one for it.
_UBOOT_TYPE = 0x100
_UBOOT_ARCHES = ((b"armv8", Arch.ARM64), (b"riscv", Arch.RISCV64), (b"arm", Arch.ARM))
_ASKS_FOR_BOOT = (Option.CLIENT_ARCHITECTURE, Option.CLIENT_UUID, Option.ETHERBOOT)
_BOOT_CLASSES = (b"PXEClient", b"HTTPClient")
# What GRUB asks for in a REQUEST, in its order; Debian's 60, too.
_GRUB_PARAMETERS = tuple(bytes((1, 3, 6, 15, 12, 17, 18, *more)) for more in ((), (60,)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """`arch_type` is option 93's number, None where neither it nor option 60 tells. `known` is
    False for what asks for a network boot in a way that is not known here."""

    mac: Mac
    stage: Stage
    arch_type: int | None
    firmware: Firmware | None
    arch: Arch | None
    vendor_class: str = ""
    uuid: str = ""
    serial: str = ""  # a Raspberry Pi's, 8 hexadecimal digits: its folder over TFTP
    ipxe_version: str = ""
    speaks_http: bool = False  # an iPXE built with HTTP
    speaks_https: bool = False  # an iPXE that says so
    known: bool = True


@dataclass(frozen=True, slots=True)
class _Kind:
    stage: Stage
    firmware: Firmware | None = None
    arch: Arch | None = None
    known: bool = True


def recognise(request: Packet) -> Client | None:
    """The firmware behind a request; None where it is no network boot of an Ethernet machine."""
    vendor_class = request.options.get(Option.CLASS_IDENTIFIER, b"").strip()
    numbers = _numbers(request, vendor_class)
    row = choose(numbers)
    kind = _kind(request, vendor_class, numbers, row)
    if request.mac is None or kind is None:
        return None
    guid = request.options.get(Option.CLIENT_UUID, b"")
    is_ipxe, features = kind.stage is Stage.IPXE, _features(request)
    return Client(
        mac=request.mac,
        stage=kind.stage,
        arch_type=row.number if row else next(iter(numbers), None),
        firmware=kind.firmware,
        arch=kind.arch,
        vendor_class=printable(vendor_class.decode("ascii", "replace")),
        uuid=_uuid(guid),
        serial=serial_of(guid) if kind.stage is Stage.RASPBERRY else "",
        ipxe_version=".".join(map(str, features.get(_IPXE_VERSION, b""))) if is_ipxe else "",
        # Every iPXE does, but one that lists its features without it.
        speaks_http=is_ipxe and (not features or _FEATURE_HTTP in features),
        speaks_https=is_ipxe and _FEATURE_HTTPS in features,
        known=kind.known,
    )


def describe_options(request: Packet) -> str:
    """`53=01 60="PXEClient" 93=0007`: what is recorded of a request that nothing here knows."""
    return codec.describe_options(request.options)


def _kind(
    request: Packet, vendor_class: bytes, numbers: tuple[int, ...], row: Architecture | None
) -> _Kind | None:
    """The first that fits: what runs on a firmware also sends what its firmware does."""
    firmware, arch = (row.firmware, row.arch) if row else (None, None)
    if _is_ipxe(request):
        is_efi = firmware is None and _FEATURE_EFI in _features(request)
        return _Kind(Stage.IPXE, Firmware.UEFI if is_efi else firmware, arch)
    if _is_grub(request):
        return _Kind(Stage.GRUB, firmware, arch)
    if _is_uboot(vendor_class, numbers, firmware):
        return _Kind(Stage.UBOOT, Firmware.UBOOT, _uboot_arch(vendor_class) or arch)
    if _is_raspberry(request, vendor_class, row):
        return _Kind(Stage.RASPBERRY, Firmware.RASPBERRY, Arch.ARM64)
    asks = vendor_class.startswith(_BOOT_CLASSES)
    if not asks and not any(code in request.options for code in _ASKS_FOR_BOOT):
        return None
    if firmware is None or arch is None:
        return _Kind(Stage.PXE, known=False)
    is_http = vendor_class.startswith(b"HTTPClient") or (row is not None and row.http)
    return _Kind(Stage.HTTP if is_http else Stage.PXE, firmware, arch)


def _numbers(request: Packet, vendor_class: bytes) -> tuple[int, ...]:
    """Option 93 may list several types; where it is missing, option 60 has one."""
    raw = request.options.get(Option.CLIENT_ARCHITECTURE, b"")
    numbers = tuple(int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw) - 1, 2))
    match = _CLASS_ARCH.match(vendor_class)
    return numbers or ((int(match[1]),) if match else ())


def _is_ipxe(request: Packet) -> bool:
    """RFC 3004 wants a length byte before each user class; iPXE sends none, and some vendors'
    iPXE sends no user class at all but keeps option 175."""
    user_class = request.options.get(Option.USER_CLASS, b"")
    return b"iPXE" in user_class or Option.ETHERBOOT in request.options


def _features(request: Packet) -> Mapping[int, bytes]:
    try:
        return decode_options(request.options.get(Option.ETHERBOOT, b""))
    except MalformedPacket:
        return {}


def _is_grub(request: Packet) -> bool:
    """GRUB's own `net_dhcp` sends nothing that names it, but two things that nobody else does.

    A DISCOVER has option 53 alone, and the clock's seconds as transaction and as `secs`, which
    holds their low half. A REQUEST asks for parameters in an order of its own.
    """
    if request.message_type is MessageType.DISCOVER:
        is_clock = request.xid > 0xFFFF and request.xid & 0xFFFF == request.secs
        return is_clock and request.options.keys() == {Option.MESSAGE_TYPE}
    return request.options.get(Option.PARAMETERS) in _GRUB_PARAMETERS


def _is_raspberry(request: Packet, vendor_class: bytes, row: Architecture | None) -> bool:
    """Only where it does not say that something else, as UEFI, runs on the Raspberry Pi."""
    if row is not None and row.firmware not in (Firmware.BIOS, Firmware.RASPBERRY):
        return False
    if row is not None and row.firmware is Firmware.RASPBERRY:
        return True
    # Their REQUEST has no option 60.
    asks = vendor_class.startswith(b"PXEClient") or Option.CLIENT_UUID in request.options
    guid = request.options.get(Option.CLIENT_UUID, b"")
    return asks and request.mac is not None and is_raspberry(request.mac, guid)


def _is_uboot(vendor_class: bytes, numbers: tuple[int, ...], firmware: Firmware | None) -> bool:
    """`U-Boot.armv8`, `U-boot.armv7.NAME`; its boot of EFI programs calls itself PXEClient, and
    is answered as that."""
    is_named = vendor_class.lower().startswith(b"u-boot")
    return is_named or firmware is Firmware.UBOOT or numbers == (_UBOOT_TYPE,)


def _uboot_arch(vendor_class: bytes) -> Arch | None:
    lowered = vendor_class.lower()
    return next((arch for name, arch in _UBOOT_ARCHES if name in lowered), None)


def _uuid(raw: bytes) -> str:
    """Option 97: a zero byte and 16 bytes whose first three groups are little-endian, as SMBIOS
    has them. Empty where it is missing or malformed: many ROMs break this one."""
    if len(raw) != 17 or raw[0] != 0:
        return ""
    first, second, third = raw[1:5][::-1], raw[5:7][::-1], raw[7:9][::-1]
    groups = (first, second, third, raw[9:11], raw[11:])
    return "-".join(group.hex() for group in groups)
