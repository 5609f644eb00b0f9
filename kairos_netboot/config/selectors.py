"""The site file's `match`, `hostname` and `unknown`: machines that nobody named."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network

from ..boot.unknown import IGNORE, INVENTORY, Selector, Unknown
from .fields import flag
from .keys import names
from .located import Located

_APART = ("subnet", "labels")


def selectors(at: Located | None) -> tuple[Selector, ...]:
    """A list of mappings, or one mapping."""
    if at is None:
        return ()
    listed = isinstance(at.value(), list)
    return tuple(map(_selector, at.elements() if listed else [at]))


def _selector(at: Located) -> Selector:
    fields = at.fields(*names("match"))
    if not fields:
        raise at.mistake("nothing is asked for here, so every machine would fit: name a fact")
    return Selector(
        facts={name: value.text() for name, value in fields.items() if name not in _APART},
        subnet=_network(fields["subnet"]) if "subnet" in fields else None,
        labels={key: value.text() for key, value in fields["labels"].entries()}
        if "labels" in fields
        else {},
    )


def _network(at: Located, text: str = "") -> IPv4Network:
    try:
        return IPv4Network(text or at.text())
    except ValueError as error:
        raise at.mistake(f"no network like 192.168.77.0/24: {error}") from None


def hostname(at: Located) -> str:
    return at.text()


def unknown(at: Located | None, profiles: Mapping[str, object]) -> Unknown:
    """One word for everybody, or a mapping."""
    if at is None:
        return Unknown()
    if isinstance(at.value(), str):
        return Unknown(others=_word(at, profiles))
    fields = at.fields(*names("unknown"))
    entries = fields["networks"].entries() if "networks" in fields else ()
    return Unknown(
        others=_word(fields["others"], profiles) if "others" in fields else IGNORE,
        networks={_network(value, key): _word(value, profiles) for key, value in entries},
        approval=flag(fields, "approval", default=False),
    )


def _word(at: Located, profiles: Mapping[str, object]) -> str:
    return at.choice(IGNORE, INVENTORY, *profiles)
