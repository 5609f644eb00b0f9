"""What the first bytes of a kernel tell: for which architecture, and whether UEFI can start it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from ..values import Arch

# All the headers below lie within it, those of a packed kernel too.
HEAD = 4096

_GZIP_MAGIC = b"\x1f\x8b"
# PE/COFF's machine types and ELF's, as far as Kairos has images for them.
_PE_MACHINES = {0x8664: Arch.AMD64, 0xAA64: Arch.ARM64, 0x5064: Arch.RISCV64}
_ELF_MACHINES = {62: Arch.AMD64, 183: Arch.ARM64, 243: Arch.RISCV64}
_XLF_KERNEL_64 = 1  # Linux: Documentation/arch/x86/boot.rst, xloadflags, since protocol 2.12


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """None: the kernel does not tell. `efi_stub`: it is a PE program, which UEFI can start."""

    arch: Arch | None = None
    efi_stub: bool | None = None


def inspect(head: bytes) -> KernelFacts:
    """Read the first `HEAD` bytes of a kernel, or of anything else."""
    if not head.startswith(_GZIP_MAGIC):
        return _inspect_plain(head)
    inner = _inspect_plain(_unpacked(head))
    # Firmware does not unpack. iPXE for arm64 does (its defaults have IMAGE_GZIP), others don't:
    # only a kernel that has no stub inside either is known to fail.
    return KernelFacts(arch=inner.arch, efi_stub=None if inner.efi_stub else inner.efi_stub)


def _inspect_plain(head: bytes) -> KernelFacts:
    if head.startswith(b"MZ"):
        header = _number(head, 0x3C, 4)
        if header + 6 > len(head):  # cut off before it
            return KernelFacts(arch=_arch_of(head))
        if head[header : header + 4] == b"PE\0\0":  # an EFI zboot kernel ("zimg") tells no more
            return KernelFacts(arch=_PE_MACHINES.get(_number(head, header + 4, 2)), efi_stub=True)
    arch = _arch_of(head)
    known = arch is not None or head.startswith(b"\x7fELF") or _is_bzimage(head)
    return KernelFacts(arch=arch, efi_stub=False if known else None)


def _arch_of(head: bytes) -> Arch | None:
    """By the headers that Linux itself defines, and ELF's."""
    if head[0x38:0x3C] == b"ARM\x64":
        return Arch.ARM64
    if head[0x38:0x3C] == b"RSC\x05":
        return Arch.RISCV64
    if _is_bzimage(head):
        is_64_bit = _number(head, 0x206, 2) >= 0x20C and _number(head, 0x236, 2) & _XLF_KERNEL_64
        return Arch.AMD64 if is_64_bit else None
    if head.startswith(b"\x7fELF\x02\x01"):  # 64 bits, little-endian
        return _ELF_MACHINES.get(_number(head, 18, 2))
    return None


def _is_bzimage(head: bytes) -> bool:
    return head[0x202:0x206] == b"HdrS"


def _number(head: bytes, offset: int, size: int) -> int:
    return int.from_bytes(head[offset : offset + size], "little")


def _unpacked(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD)
    except zlib.error:
        return b""
