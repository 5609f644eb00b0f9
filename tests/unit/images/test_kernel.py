from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.images.kernel import HEAD, KernelFacts, inspect
from kairos_netboot.values import Arch

CAPTURES = Path(__file__).parent / "captures"
NOTHING = KernelFacts()


def captured(name: str) -> bytes:
    """The first KiB of a distribution's kernel."""
    return bytes.fromhex((CAPTURES / f"{name}.hex").read_text())


def without_stub(head: bytes) -> bytes:
    """As the same kernel begins when it is built without CONFIG_EFI_STUB."""
    return b"\0\0" + head[2:]


def bzimage(version: int, flags: int) -> bytes:
    return bytes(0x202) + struct.pack("<4sH46xH", b"HdrS", version, flags)


def elf(machine: int, kind: bytes = b"\2\1") -> bytes:
    return (b"\x7fELF" + kind).ljust(16, b"\0") + struct.pack("<HH", 2, machine)


def pe(machine: int, dos: bytes = b"MZ") -> bytes:
    return dos.ljust(0x3C, b"\0") + struct.pack("<I4sH", 0x40, b"PE\0\0", machine)


DEBIANS = [
    ("debian-12-amd64-vmlinuz", Arch.AMD64),
    ("debian-12-arm64-vmlinuz", Arch.ARM64),
    ("debian-13-riscv64-vmlinux", Arch.RISCV64),
]


@pytest.mark.parametrize(("name", "arch"), DEBIANS)
def test_debians_kernels_have_their_stub(name: str, arch: Arch) -> None:
    assert inspect(captured(name)) == KernelFacts(arch=arch, efi_stub=True)


@pytest.mark.parametrize(("name", "arch"), DEBIANS)
def test_a_kernel_built_without_its_stub_still_tells_its_architecture(
    name: str, arch: Arch
) -> None:
    assert inspect(without_stub(captured(name))) == KernelFacts(arch=arch, efi_stub=False)


@pytest.mark.parametrize(("name", "arch"), DEBIANS)
def test_of_a_packed_kernel_with_a_stub_nobody_knows_whether_it_is_unpacked(
    name: str, arch: Arch
) -> None:
    packed = gzip.compress(captured(name) + bytes(100_000))
    assert inspect(packed[:HEAD]) == KernelFacts(arch=arch, efi_stub=None)


def test_a_packed_kernel_without_a_stub_has_none() -> None:
    packed = gzip.compress(without_stub(captured("debian-12-arm64-vmlinuz")))
    assert inspect(packed) == KernelFacts(arch=Arch.ARM64, efi_stub=False)


@pytest.mark.parametrize(
    ("machine", "arch"),
    [(0x8664, Arch.AMD64), (0xAA64, Arch.ARM64), (0x5064, Arch.RISCV64), (0x14C, None)],
)
def test_a_zboot_kernel_tells_its_architecture_as_any_pe_program(
    machine: int, arch: Arch | None
) -> None:
    zboot = pe(machine, b"MZ\0\0zimg" + bytes(16) + b"gzip")
    assert inspect(zboot) == inspect(pe(machine)) == KernelFacts(arch=arch, efi_stub=True)


@pytest.mark.parametrize(
    ("machine", "arch"),
    [(62, Arch.AMD64), (183, Arch.ARM64), (243, Arch.RISCV64), (3, None)],
)
def test_a_vmlinux_has_no_stub(machine: int, arch: Arch | None) -> None:
    assert inspect(elf(machine)) == KernelFacts(arch=arch, efi_stub=False)


@pytest.mark.parametrize("kind", [b"\1\1", b"\2\2"])
def test_programs_of_32_bits_and_of_the_other_byte_order_are_for_none_of_ours(kind: bytes) -> None:
    assert inspect(elf(243, kind)) == KernelFacts(arch=None, efi_stub=False)


@pytest.mark.parametrize(
    ("version", "flags", "arch"),
    [(0x20F, 0x7F, Arch.AMD64), (0x20C, 1, Arch.AMD64), (0x20C, 2, None), (0x20B, 1, None)],
)
def test_a_bzimage_says_itself_whether_it_has_64_bits(
    version: int, flags: int, arch: Arch | None
) -> None:
    assert inspect(bzimage(version, flags)) == KernelFacts(arch=arch, efi_stub=False)


def test_a_head_that_ends_before_its_pe_header_leaves_the_stub_open() -> None:
    head = captured("debian-12-arm64-vmlinuz")
    assert inspect(head[:0x46]).efi_stub is True
    assert inspect(head[:0x45]) == KernelFacts(arch=Arch.ARM64, efi_stub=None)
    assert inspect(head[:0x20]) == NOTHING


@pytest.mark.parametrize(
    "data", [b"", b"\0" * HEAD, b"kernel " * 100, b"\x1f\x8b", b"\x1f\x8b\x08" + b"\xff" * 50]
)
def test_what_is_no_kernel_tells_nothing(data: bytes) -> None:
    assert inspect(data) == NOTHING


def test_a_bomb_is_unpacked_no_further_than_a_header() -> None:
    bomb = gzip.compress(bytes(64 << 20))
    assert inspect(bomb) == NOTHING


HEADERS = [b"MZ", b"\x1f\x8b\x08\x00", b"\x7fELF", bytes(0x202) + b"HdrS", b""]


@given(st.sampled_from(HEADERS), st.binary(max_size=700))
@example(b"MZ", bytes(0x3A) + b"\xff\xff\xff\xff")
@example(b"MZ", bytes(0x3A) + b"\0\0\0\0")
def test_arbitrary_bytes_never_raise(header: bytes, rest: bytes) -> None:
    inspect(header + rest)
