"""What the document says to Kairos' agent of phoning home (docs/kairos.md)."""

from __future__ import annotations

from dataclasses import dataclass

# What an agent does when nothing is said. `exec`, `reset` and `apply-cloud-config` want naming.
DEFAULT_COMMANDS = ("upgrade", "upgrade-recovery", "reboot", "unregister")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneHome:
    """Times in seconds. `commands`: what the node's agent may be ordered to do."""

    enabled: bool = False
    heartbeat: int = 30
    commands: tuple[str, ...] = DEFAULT_COMMANDS
