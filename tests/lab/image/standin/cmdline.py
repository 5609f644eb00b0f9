"""What the kernel command line asks for, read as Kairos reads it."""

from __future__ import annotations

from enum import Enum
from typing import Any

import yaml

from .documents import Document, merge

# Only these of the command line's keys survive the filter through Kairos' config struct.
KEYS = frozenset(
    {"config_url", "install", "env", "debug", "strict", "options", "bundles", "grub_options"}
)


class BootState(Enum):
    """How this system was started."""

    RESET = "autoreset"
    ACTIVE = "active"
    PASSIVE = "passive"
    RECOVERY = "recovery"
    LIVE = "livecd"
    UNKNOWN = "unknown"


# In Kairos' order, and like there substrings of the whole line: a URL with `COS_ACTIVE` counts.
_MARKS = (
    (BootState.RESET, ("kairos.reset",)),
    (BootState.ACTIVE, ("COS_ACTIVE",)),
    (BootState.PASSIVE, ("COS_PASSIVE",)),
    (BootState.RECOVERY, ("COS_RECOVERY", "COS_SYSTEM", "recovery-mode")),
    (BootState.LIVE, ("live:LABEL", "live:CDLABEL", "netboot")),
)


def boot_state(cmdline: str) -> BootState:
    """The first mark that the line contains."""
    for state, marks in _MARKS:
        if any(mark in cmdline for mark in marks):
            return state
    return BootState.UNKNOWN


def wants_install(cmdline: str) -> bool:
    """Whether the installer starts by itself."""
    asked = "install-mode" in cmdline or "nodepair.enable" in cmdline
    return asked and boot_state(cmdline) is BootState.LIVE


def settings(cmdline: str) -> Document:
    """The configuration on the command line: `install.device=/dev/vda` becomes nested keys."""
    found: Document = {}
    for token in cmdline.split():
        key, equals, value = token.partition("=")
        if equals and key.split(".")[0] in KEYS:
            found = merge(found, _nested(key.split("."), _scalar(value)))
    return found


def _scalar(value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


def _nested(keys: list[str], value: Any) -> Document:
    for key in reversed(keys):
        value = {key: value}
    return dict(value)
