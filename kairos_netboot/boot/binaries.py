"""What a boot loader's file is: its format, architecture, version, and who signed it."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates
from cryptography.x509 import Certificate
from cryptography.x509.oid import NameOID

from ..errors import InvalidValue
from ..values import Arch, printable

# The PE/COFF specification's machine types.
_MACHINES = {
    0x014C: Arch.I386,
    0x8664: Arch.AMD64,
    0x01C2: Arch.ARM,
    0x01C4: Arch.ARM,
    0xAA64: Arch.ARM64,
    0x5064: Arch.RISCV64,
    0x6264: Arch.LOONG64,
}
_PE32, _PE32_PLUS = 0x10B, 0x20B
_SECURITY = 4  # the data directory of the certificate table
_SIGNED_DATA = 2  # WIN_CERT_TYPE_PKCS_SIGNED_DATA
_SECTION = struct.Struct("<8sIIIIIIHHI")
_IPXE_VERSION = re.compile(rb"(?<![\d.])[12]\.\d{1,2}\.\d{1,2}[+-][\w.+-]{3,60}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """`arch` is None for a BIOS program. `program` and `version` are empty where nothing in the
    file tells. `signers`: the names in its signatures' certificates, the signer's first."""

    kind: str  # `EFI` or `BIOS`
    arch: Arch | None
    program: str = ""
    version: str = ""
    signers: tuple[str, ...] = ()


def describe(data: bytes) -> Binary:
    """Raises InvalidValue for what is neither an EFI program nor one for BIOS PXE."""
    if data[:2] == b"MZ" and (pe := _pe_start(data)) is not None:
        return _efi(data, pe)
    if len(data) >= 512 and data[:1] in (b"\xea", b"\xeb", b"\xe9", b"\xfa"):
        # A network boot program is code from its first byte on: a jump, mostly.
        program = "iPXE" if b"iPXE" in data or b"PXENV" in data else ""
        return Binary(kind="BIOS", arch=None, program=program, version=_ipxe_version(data))
    raise InvalidValue("neither an EFI program nor a BIOS network boot program")


def _pe_start(data: bytes) -> int | None:
    if len(data) < 64:
        return None
    start = int.from_bytes(data[60:64], "little")
    return start if data[start : start + 4] == b"PE\0\0" else None


def _efi(data: bytes, pe: int) -> Binary:
    if len(data) < pe + 24:
        raise InvalidValue("an EFI program that ends within its header")
    machine, sections, _, _, _, optional, _ = struct.unpack_from("<HHIIIHH", data, pe + 4)
    if machine not in _MACHINES:
        raise InvalidValue(f"an EFI program for a machine of type {machine:#06x}")
    sbat = _section(data, pe + 24 + optional, sections, b".sbat")
    program, version = _named_by(sbat)
    if not program and b"iPXE" in data:
        program, version = "iPXE", _ipxe_version(data)
    signers = _signers(data, pe + 24, optional)
    return Binary(
        kind="EFI", arch=_MACHINES[machine], program=program, version=version, signers=signers
    )


def _section(data: bytes, table: int, count: int, name: bytes) -> bytes:
    for number in range(min(count, 96)):
        at = table + number * _SECTION.size
        if at + _SECTION.size > len(data):
            return b""
        found, _, _, size, start, *_ = _SECTION.unpack_from(data, at)
        if found.rstrip(b"\0") == name:
            return data[start : start + min(size, 1 << 16)]
    return b""


# What a program calls itself in its SBAT section: component → name.
_COMPONENTS = {"shim": "shim", "grub": "GRUB", "ipxe": "iPXE", "systemd-stub": "systemd-stub"}


def _named_by(sbat: bytes) -> tuple[str, str]:
    """(program, version); a distribution's own line tells the version best, and comes last."""
    program = version = ""
    for line in sbat.split(b"\0", 1)[0].decode("utf-8", "replace").splitlines():
        fields = line.split(",")
        name = _COMPONENTS.get(fields[0].split(".")[0])
        if name and len(fields) >= 5:
            program, version = name, printable(fields[4], 60)
    return program, version


def _ipxe_version(data: bytes) -> str:
    match = _IPXE_VERSION.search(data)
    return match[0].decode("ascii") if match else ""


def _signers(data: bytes, optional: int, size: int) -> tuple[str, ...]:
    magic = int.from_bytes(data[optional : optional + 2], "little")
    directories = {_PE32: 96, _PE32_PLUS: 112}.get(magic)
    if directories is None or size < directories + 8 * (_SECURITY + 1):
        return ()
    at = optional + directories + 8 * _SECURITY
    if at + 8 > len(data):
        return ()
    start, length = struct.unpack_from("<II", data, at)
    return tuple(dict.fromkeys(_in_table(data[start : start + length] if start else b"")))


def _in_table(table: bytes) -> list[str]:
    """Each entry: length, revision, type, and the signature, padded to eight bytes."""
    names: list[str] = []
    while len(table) >= 8:
        length, _, kind = struct.unpack_from("<IHH", table)
        if length < 8 or length > len(table):
            break
        if kind == _SIGNED_DATA:
            names += _names(table[8:length])
        table = table[(length + 7) & ~7 :]
    return names


def _names(signature: bytes) -> list[str]:
    """Of its certificates; those of authorities come after the signer's."""
    try:
        found = load_der_pkcs7_certificates(_unpadded(signature))
    except (ValueError, TypeError, OverflowError):
        return []
    issuers = [certificate.issuer for certificate in found]
    found.sort(key=lambda certificate: certificate.subject in issuers)
    return [name for certificate in found if (name := _common_name(certificate))]


def _unpadded(der: bytes) -> bytes:
    """The one value that is there, without what fills the entry up."""
    if len(der) < 2 or not der[1] & 0x80:
        return der[: 2 + der[1]] if len(der) > 1 else der
    count = der[1] & 0x7F
    return der[: 2 + count + int.from_bytes(der[2 : 2 + count], "big")]


def _common_name(certificate: Certificate) -> str:
    try:
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return ""
    return printable(str(names[0].value), 100) if names else ""


def troubles(binary: Binary) -> tuple[str, ...]:
    """What this version is known to break, a sentence each."""
    if binary.program == "iPXE" and binary.version.startswith("1.0.0+git-2019"):
        # Debian 12's; tried in QEMU. Its features as its banner lists them.
        return (
            "no HTTPS and no VLANs",
            "does not ask for autoexec.ipxe",
            "waits 15 s for an IPv6 router where there is none",
        )
    return ()
