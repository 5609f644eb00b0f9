"""What systems that run from memory for a while report: rescues and the eraser."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..boot.lifecycle import Kind
from ..values import printable

_STEP = re.compile(r"wipe-step/[0-9]{1,3}")


def live_report(path: str, fields: Mapping[str, str]) -> tuple[Kind, str] | None:
    """The event's kind and its sentence; None for what is no report of theirs. Only the last of a
    wipe changes a state."""
    if _STEP.fullmatch(path):
        return Kind.INSTALL_STEP, f"eraser: {_field(fields, 'disk')} is empty"
    match path:
        case "live-ready":
            name, addresses = _field(fields, "hostname"), _field(fields, "addresses").strip()
            return Kind.LIVE_STARTED, f"the live system is up, host name '{name}', at {addresses}"
        case "wiped":
            return Kind.WIPE_FINISHED, "eraser: all is erased, powers off"
        case "wipe-failed":
            return Kind.REFUSED, f"eraser: failed: {_field(fields, 'reason')}"
    return None


def _field(fields: Mapping[str, str], name: str) -> str:
    return printable(fields.get(name, ""), 300)
