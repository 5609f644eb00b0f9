from __future__ import annotations

import struct
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.boot.binaries import Binary, describe, troubles
from kairos_netboot.errors import InvalidValue
from kairos_netboot.values import Arch

SHIM = Path("/usr/lib/shim/shimx64.efi.signed")
GRUB = Path("/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed")


def efi(
    machine: int = 0x8664, *, sbat: str = "", certificates: bytes = b"", tail: bytes = b""
) -> bytes:
    """A PE file with one section and a certificate table, as small as can be read."""
    optional = bytearray(struct.pack("<H", 0x20B) + bytes(238))
    start = 64 + 24 + len(optional) + 40
    body = sbat.encode() + tail
    struct.pack_into("<II", optional, 112 + 8 * 4, start + len(body), len(certificates))
    head = b"MZ" + bytes(58) + struct.pack("<I", 64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", machine, 1, 0, 0, 0, len(optional), 0)
    section = struct.pack("<8sIIIIIIHHI", b".sbat", 0, 0, len(body), start, 0, 0, 0, 0, 0)
    return head + coff + bytes(optional) + section + body + certificates


@pytest.mark.parametrize(
    ("machine", "arch"),
    [(0x8664, Arch.AMD64), (0xAA64, Arch.ARM64), (0x14C, Arch.I386), (0x5064, Arch.RISCV64)],
)
def test_the_machine_type_is_the_architecture(machine: int, arch: Arch) -> None:
    assert describe(efi(machine)) == Binary(kind="EFI", arch=arch)


def test_a_program_calls_itself_and_its_distribution_says_the_version() -> None:
    sbat = "sbat,1,x,sbat,1,u\ngrub,5,F,grub,2.06,u\ngrub.debian,4,D,grub2,2.06-13+deb12u2,u\n"
    binary = describe(efi(sbat=sbat))
    assert (binary.program, binary.version) == ("GRUB", "2.06-13+deb12u2")


def test_an_ipxe_of_before_sbat_is_known_by_its_strings() -> None:
    binary = describe(efi(tail=b"\0iPXE\0 1.0.0+git-20190125.36a4c85-5.1\0"))
    assert (binary.program, binary.version) == ("iPXE", "1.0.0+git-20190125.36a4c85-5.1")
    assert "does not ask for autoexec.ipxe" in troubles(binary)
    assert not troubles(describe(efi(sbat="ipxe,1,iPXE,ipxe,2.0.0,u\n")))


def test_a_bios_program_is_code_from_its_first_byte_on() -> None:
    data = b"\xea" + bytes(600) + b"PXENV+"
    assert describe(data) == Binary(kind="BIOS", arch=None, program="iPXE")


@pytest.mark.parametrize(
    "data", [b"", b"MZ", b"#!ipxe\n" + bytes(600), b"\x7fELF" + bytes(600), b"1. notes" * 99]
)
def test_what_is_no_boot_loader_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidValue, match="neither an EFI program"):
        describe(data)


def test_an_unknown_machine_is_refused_with_its_number() -> None:
    with pytest.raises(InvalidValue, match="machine of type 0x1234"):
        describe(efi(0x1234))


@pytest.mark.skipif(not (SHIM.exists() and GRUB.exists()), reason="not installed here")
def test_real_signatures_are_read_with_the_signer_first() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shim, grub = describe(SHIM.read_bytes()), describe(GRUB.read_bytes())
    assert shim.program == "shim"
    assert "Microsoft" in shim.signers[0]
    assert grub.program == "GRUB"
    assert grub.signers[0].startswith("Debian Secure Boot Signer")
    assert (shim.arch, grub.arch) == (Arch.AMD64, Arch.AMD64)


@given(st.binary(max_size=600))
@example(efi()[:100])
@example(efi(certificates=b"\x10\0\0\0\0\2\2\0" + b"\x30\x84\xff\xff\xff\xff\0\0"))
def test_arbitrary_bytes_are_described_or_refused(data: bytes) -> None:
    for candidate in (data, efi()[: len(data)] + data, efi(certificates=data)):
        with suppress(InvalidValue):
            describe(candidate)
