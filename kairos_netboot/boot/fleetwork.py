"""Rolling through a fleet: whom to order next, and when to stop. Pure; times in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

# How long an agent stays after it has completed what restarts its machine.
RESTART_SECONDS = 10.0


class Phase(StrEnum):
    """Of a command to an agent (docs/kairos.md), as it goes from here to there and back."""

    PENDING = "Pending"  # the agent is not connected
    SENT = "Sent"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgraded:
    """One machine of a roll. `phase` is None before its command. `connected`: since when its agent
    is, None while it is not; `ended`: when its command was completed; `boot_state`: which system it
    says it runs; `skip`: it runs what it should already."""

    name: str
    is_server: bool = False
    skip: bool = False
    connected: float | None = None
    boot_state: str = ""
    phase: Phase | None = None
    ordered: float = 0.0
    ended: float | None = None
    result: str = ""
    restarts: bool = True  # an upgrade of the recovery system does not
    restart_delay: float = RESTART_SECONDS

    @property
    def is_done(self) -> bool:
        """Whether it is back with what was ordered."""
        if self.skip:
            return True
        if self.phase is not Phase.COMPLETED or self.ended is None:
            return False
        return not self.restarts or (self.is_back and self.boot_state == "active")

    @property
    def is_back(self) -> bool:
        """Whether its agent came anew after the command."""
        if self.connected is None or self.ended is None:
            return False
        return self.connected >= self.ended + self.restart_delay


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`order`: names to command now; `stop`: why the roll ends before its end."""

    order: tuple[str, ...] = ()
    is_over: bool = False
    stop: str = ""


def next_step(
    machines: Sequence[Upgraded], *, max_unavailable: int, now: float, timeout: float
) -> Step:
    """Servers before agents; never more than `max_unavailable` away, those that are away for
    reasons of their own among them. The first that does not come back right stops the roll."""
    if stop := next((why for m in machines if (why := _trouble(m, now, timeout))), ""):
        return Step(stop=stop)
    if all(machine.is_done for machine in machines):
        return Step(is_over=True)
    waiting = [m for m in _tier(machines) if m.phase is None and not m.is_done]
    away = [m for m in machines if not m.is_done and m.phase is not None]
    gone = [m for m in machines if m.connected is None and m not in away]
    room = max_unavailable - len(away) - len(gone)
    if gone and room <= 0 and not away:
        names = ", ".join(machine.name for machine in gone)
        return Step(stop=f"{names}: not connected, and no more may be away than {max_unavailable}")
    ready = [m.name for m in waiting if m.connected is not None]
    if waiting and not ready and not away:
        return Step(stop=f"{waiting[0].name} is not connected: its agent does not phone home")
    return Step(order=tuple(ready[: max(room, 0)]))


def _tier(machines: Sequence[Upgraded]) -> list[Upgraded]:
    """Whose turn it is: agents wait until the last server is back."""
    servers = [machine for machine in machines if machine.is_server]
    if _all_done(servers):
        return [machine for machine in machines if not machine.is_server]
    return servers


def _all_done(machines: Iterable[Upgraded]) -> bool:
    return all(machine.is_done for machine in machines)


def _trouble(machine: Upgraded, now: float, timeout: float) -> str:
    """Why nothing more is ordered; empty: all is well, or still under way."""
    if machine.phase is None or machine.is_done:
        return ""
    if machine.phase is Phase.FAILED:
        return f"{machine.name} failed: {machine.result or 'its agent gave no reason'}"
    if machine.is_back and machine.restarts and machine.boot_state != "active":
        told = machine.boot_state or "an unknown state"
        return f"{machine.name} came back {told}: its new system did not start"
    if now - machine.ordered > timeout:
        did = "come back" if machine.phase is Phase.COMPLETED else f"gone on from {machine.phase}"
        return f"{machine.name} has not {did} within {timeout:g} s"
    return ""
