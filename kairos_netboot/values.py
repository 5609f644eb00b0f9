"""Values that are checked once, where they enter, and trusted afterwards."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from .errors import InvalidValue

# Every spelling people paste: 52:54:00:12:34:56, 52-54-00-12-34-56, 5254.0012.3456,
# 5254:0012:3456, 525400123456. Single-digit groups and mixed separators are typing errors.
_MAC = re.compile(
    r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|(?:[0-9a-f]{2}-){5}[0-9a-f]{2}"
    r"|(?:[0-9a-f]{4}[.:-]){2}[0-9a-f]{4}|[0-9a-f]{12}"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Mac(str):
    """An Ethernet address, always `52:54:00:12:34:56`; raises InvalidValue."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        lowered = text.strip().lower()
        if not _MAC.fullmatch(lowered):
            raise InvalidValue(f"'{text}' is no MAC address: write it like 52:54:00:12:34:56")
        digits = re.sub(r"[.:-]", "", lowered)
        return super().__new__(cls, ":".join(digits[i : i + 2] for i in range(0, 12, 2)))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Six bytes of a chaddr field; raises InvalidValue for any other length."""
        if len(raw) != 6:
            raise InvalidValue(f"an Ethernet address has 6 bytes, not {len(raw)}")
        return cls(raw.hex())

    @property
    def hyphens(self) -> str:
        """`52-54-00-12-34-56`: the form for URLs and TFTP paths."""
        return self.replace(":", "-")


class Digest(str):
    """`sha256:` and 64 lower-case hexadecimal digits; raises InvalidValue."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not _DIGEST.fullmatch(text):
            raise InvalidValue(f"'{text[:80]}' is no digest: write it like sha256:<64 hex digits>")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes) -> Self:
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @property
    def hex(self) -> str:
        return self[7:]


class Arch(StrEnum):
    """Processor architectures, by the names OCI platforms and Kairos use."""

    AMD64 = "amd64"
    ARM64 = "arm64"
    RISCV64 = "riscv64"
    # Firmware of these asks as well; no Kairos image is made for them.
    I386 = "386"
    ARM = "arm"
    LOONG64 = "loong64"


IMAGE_ARCHES = (Arch.AMD64, Arch.ARM64, Arch.RISCV64)


class Firmware(StrEnum):
    """What started the machine, as far as it decides how to leave the network again."""

    BIOS = "bios"
    UEFI = "uefi"
    UBOOT = "u-boot"
    RASPBERRY = "raspberry-pi"


class Stage(StrEnum):
    """What is talking to us now."""

    PXE = "pxe"  # a PXE ROM: BIOS or UEFI, by its architecture
    HTTP = "http"  # UEFI HTTP Boot
    IPXE = "ipxe"
    GRUB = "grub"
    UBOOT = "u-boot"
    RASPBERRY = "raspberry-pi"  # the ROM or EEPROM of a Raspberry Pi 3, 4 or 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A file known by its content. `size` in bytes."""

    digest: Digest
    size: int

    @classmethod
    def of(cls, data: bytes) -> Self:
        return cls(digest=Digest.of(data), size=len(data))


def printable(text: str, limit: int = 200) -> str:
    """Text from the network, fit for a terminal and a log line: no control characters, bounded."""
    safe = "".join(char if char.isprintable() else " " for char in text[: 2 * limit])
    return " ".join(safe.split())[:limit]
