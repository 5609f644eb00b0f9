"""The secrets of one boot: the document's, which ends with the install, the reports', which the
installed system still uses, and the one that its agent registers with. Each follows from the one
before, never the other way round; the store keeps only their digests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BootTokens:
    """Hexadecimal on purpose: no word that changes how Kairos reads its command line
    (`recovery-mode`, `COS_ACTIVE`, …) can turn up in it by chance."""

    document: str

    @classmethod
    def from_random(cls, random: bytes) -> BootTokens:
        """128 bits are enough to be unguessable."""
        return cls(random[:16].hex())

    @property
    def report(self) -> str:
        return hashlib.sha256(b"report:" + self.document.encode()).hexdigest()[:32]

    @property
    def phone(self) -> str:
        return phone_token(self.report)

    @property
    def phone_key(self) -> str:
        return key_of(self.phone)

    @property
    def document_key(self) -> str:
        return key_of(self.document)

    @property
    def report_key(self) -> str:
        return key_of(self.report)


def key_of(token: str) -> str:
    """What the store keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def phone_token(report_token: str) -> str:
    """What the agent of the system installed by that boot registers with."""
    return hashlib.sha256(b"phone:" + report_token.encode()).hexdigest()[:32]
