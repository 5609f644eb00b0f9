"""Machines known by what their firmware says of them: UUID, serial number, asset tag."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .site import NodeSpec

_UUID = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4}-[0-9a-f]{12})")
# What boards tell that were never given one of their own.
_NOBODYS = frozenset({"0", "f"})


def is_uuid(text: str) -> bool:
    """Whether it is one that a machine can be known by, in small letters."""
    return bool(_UUID.fullmatch(text)) and set(text.replace("-", "")) not in (
        {digit} for digit in _NOBODYS
    )


def either_order(uuid: str) -> frozenset[str]:
    """As the firmware has it, and as some of it sends it in DHCP: with the bytes of the first
    three groups the other way round. Empty for what is none."""
    match = _UUID.fullmatch(uuid.lower())
    if match is None or not is_uuid(match[0]):
        return frozenset()
    turned = [bytes.fromhex(group)[::-1].hex() for group in match.groups()[:3]]
    return frozenset({match[0], "-".join([*turned, match[4]])})


def same_uuid(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two rows of facts may be one machine's, told on two of its cards."""
    return other.get("uuid", "").lower() in either_order(one.get("uuid", ""))


def shows(facts: Mapping[str, str], spec: NodeSpec) -> bool:
    """Whether a machine that told these facts is the one that `spec` describes."""
    if spec.uuid and facts.get("uuid", "").lower() in either_order(spec.uuid):
        return True
    return any(
        wanted and facts.get(key, "").strip().lower() == wanted.strip().lower()
        for key, wanted in (("serial", spec.serial), ("asset", spec.asset))
    )


def identity_of(spec: NodeSpec) -> str:
    """`uuid 4c4c…`, in words; empty for a node that its cards alone name."""
    known = (("uuid", spec.uuid), ("serial", spec.serial), ("asset", spec.asset))
    return next((f"{key} {text}" for key, text in known if text), "")
