"""What Kairos' agents send by phone-home, as values (docs/phone-home.md). Whatever is too long,
of the wrong type or not known is left out or refused: it comes from machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from ..boot.fleetwork import Phase
from ..errors import InvalidValue
from ..values import printable

# A register request and a heartbeat are some kilobytes. A command's result is what the agent's
# upgrade printed: only its end is kept.
LARGEST_MESSAGE = 4 << 20
_LONGEST = 256
_RESULT = 4000
_MOST_ADDRESSES = 32
_BOOT_STATES = frozenset({"active", "passive", "recovery", "autoreset", "livecd", "unknown"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an agent says of its system. Empty: not said."""

    boot_state: str = ""
    version: str = ""
    agent_version: str = ""
    addresses: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, str]:
        """For its node."""
        said = {
            "boot-state": self.boot_state,
            "version": self.version,
            "addresses": ",".join(self.addresses),
        }
        return {name: text for name, text in said.items() if text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    token: str
    machine_id: str
    hostname: str
    told: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Of a command."""

    id: str
    phase: Phase
    result: str


def read_registration(body: bytes) -> Registration:
    """Raises InvalidValue."""
    told = _object(_parsed(body), "a registration")
    token, machine_id = _text(told, "registrationToken"), _text(told, "machineID")
    if not token or not machine_id:
        raise InvalidValue("a registration needs registrationToken and machineID")
    return Registration(
        token=token,
        machine_id=machine_id,
        hostname=_text(told, "hostname"),
        told=_told(told),
    )


def read_message(text: str) -> Told | Status | None:
    """A heartbeat or a command's status; None for a message of another type, which newer agents may
    send. Raises InvalidValue."""
    message = _object(_parsed(text.encode()), "a message")
    kind, data = message.get("type"), message.get("data")
    if kind == "heartbeat":
        return _told(_object(data, "a heartbeat"))
    if kind == "command_status":
        return _status(_object(data, "a command's status"))
    return None


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidValue("what the agent sent is no JSON") from None


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InvalidValue(f"{what} is an object, not {type(value).__name__}")
    return value


def _text(told: Mapping[str, object], key: str) -> str:
    value = told.get(key)
    return printable(value, _LONGEST) if isinstance(value, str) else ""


def _told(told: Mapping[str, object]) -> Told:
    release = told.get("osRelease")
    return Told(
        boot_state=_boot_state(_text(told, "bootState")),
        version=_text(release, "KAIROS_VERSION") if isinstance(release, dict) else "",
        agent_version=_text(told, "agentVersion"),
        addresses=_addresses(told.get("addresses")),
    )


def _boot_state(text: str) -> str:
    return text if not text or text in _BOOT_STATES else "unknown"


def _addresses(value: object) -> tuple[str, ...]:
    entries = value[:_MOST_ADDRESSES] if isinstance(value, list) else []
    texts = [_text(entry, "address") for entry in entries if isinstance(entry, dict)]
    return tuple(text for text in texts if _is_address(text))


def _is_address(text: str) -> bool:
    try:
        return not ip_address(text).is_loopback
    except ValueError:
        return False


def _status(data: Mapping[str, object]) -> Status:
    phase, result = _text(data, "phase"), data.get("result")
    if phase not in (Phase.RUNNING, Phase.COMPLETED, Phase.FAILED):
        raise InvalidValue(f"'{phase}' is no phase of a command")
    last = result[-_RESULT:] if isinstance(result, str) else ""
    safe = "".join(char if char.isprintable() or char == "\n" else " " for char in last)
    return Status(id=_text(data, "id"), phase=Phase(phase), result=safe.strip())
