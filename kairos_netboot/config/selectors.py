"""The site file's `match`, `hostname` and `unknown`: machines that nobody named."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from ipaddress import IPv4Network

from jinja2 import Environment, TemplateError, meta

from ..boot.hostnames import is_host_name
from ..boot.identity import is_uuid
from ..boot.unknown import IGNORE, INVENTORY, Selector, Unknown
from ..cloudconfig.render import render
from ..cloudconfig.spelling import hint_or_known
from ..errors import DocumentProblem
from ..values import IMAGE_ARCHES, Firmware, printable
from .fields import flag
from .keys import names
from .located import Located

_APART = ("subnet", "labels")
_LONGEST = 200
# Shell classes, alternatives and anchors: nothing but * and ? means anything here.
_FOREIGN = re.compile(r"[\[\]{}|^$\\]|\.\*")
_MAC_PATTERN = re.compile(r"[0-9a-f*?]+")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
_CLOSED = {"arch": tuple(IMAGE_ARCHES), "firmware": tuple(Firmware)}


def selectors(at: Located | None) -> tuple[Selector, ...]:
    """A list of mappings, or one mapping."""
    if at is None:
        return ()
    listed = isinstance(at.value(), list)
    found = tuple(map(_selector, at.elements() if listed else [at]))
    if not found:
        raise at.mistake("nothing is asked for here: name facts, or leave `match` out")
    return found


def _selector(at: Located) -> Selector:
    fields = at.fields(*names("match"))
    wanted = labels(fields.get("labels"), patterns=True)
    if not fields or (fields.keys() == {"labels"} and not wanted):
        raise at.mistake("nothing is asked for here, so every machine would fit: name a fact")
    return Selector(
        facts={name: _fact(name, at) for name, at in fields.items() if name not in _APART},
        subnet=_network(fields["subnet"]) if "subnet" in fields else None,
        labels=wanted,
    )


def _fact(name: str, at: Located) -> str:
    text = _pattern(at)
    has_wildcards = bool(set("*?") & set(text))
    if name == "mac":
        return _mac(at, text)
    if name in _CLOSED and not has_wildcards and text.lower() not in _CLOSED[name]:
        raise at.mistake(f"'{text}' is no {name}{hint_or_known(text.lower(), _CLOSED[name])}")
    if name == "uuid" and not has_wildcards and not is_uuid(text.lower()):
        raise at.mistake(f"'{text}' is no UUID of one machine: write it whole, or with * for more")
    return text


def _pattern(at: Located) -> str:
    text = at.text().strip()
    if not text or len(text) > _LONGEST or text != printable(text, _LONGEST):
        raise at.mistake(f"'{printable(text)}' is no pattern: up to {_LONGEST} printable letters")
    if odd := _FOREIGN.search(text):
        raise at.mistake(
            f"'{odd[0]}' means nothing in a pattern: * stands for any letters, ? for one, and a"
            " list of selectors for alternatives"
        )
    return text


def _mac(at: Located, text: str) -> str:
    bare = re.sub(r"[.:-]", "", text.lower())
    is_whole = "*" in bare or (len(bare) <= 12 and len(bare) % 2 == 0)
    if not _MAC_PATTERN.fullmatch(bare) or not is_whole:
        raise at.mistake(f"'{text}' is no MAC address and no first bytes of one, like 52:54:00")
    return text.lower()


def is_label(key: str) -> bool:
    return bool(_LABEL.fullmatch(key))


def labels(at: Located | None, *, patterns: bool = False) -> dict[str, str]:
    """Of a node, or the patterns for them."""
    found = {}
    for key, value in at.entries() if at else ():
        if not is_label(key):
            raise value.mistake(f"'{key}' is no label: letters, digits, - _ and . after a letter")
        found[key] = _pattern(value) if patterns else _value(value)
    return found


def _value(at: Located) -> str:
    text = at.text().strip()
    if not text or text != printable(text):
        raise at.mistake(f"'{printable(text)}' is no label's value: up to 200 printable letters")
    return text


def _network(at: Located, text: str = "") -> IPv4Network:
    try:
        return IPv4Network(text or at.text())
    except ValueError as error:
        raise at.mistake(f"no network like 192.168.77.0/24: {error}") from None


def hostname(at: Located, variables: Mapping[str, object]) -> str:
    """A pattern that gives a host name whatever a machine tells: tried with stand-ins."""
    pattern = at.text().strip()
    if "\n" in pattern or len(pattern) > _LONGEST:
        raise at.mistake(f"a pattern of names is one line of at most {_LONGEST} letters")
    if "{{" not in pattern:
        raise at.mistake(
            f"every machine would be '{pattern}': put {{{{ index }}}}, {{{{ mac }}}} or what else"
            " tells them apart into it"
        )
    try:
        told = render(pattern, "hostname", _stand_ins(pattern, variables))
    except DocumentProblem as error:
        raise at.mistake(f"no pattern of names: {error}") from None
    if not is_host_name(told):
        raise at.mistake(
            f"it gives names like '{printable(told, 80)}', which are none: small letters, digits,"
            " - and . around what is between {{ and }}"
        )
    return pattern


def _stand_ins(pattern: str, variables: Mapping[str, object]) -> dict[str, object]:
    """What it names and the profile does not say is a fact, or a label that a machine will have."""
    asked: set[str] = set()
    with contextlib.suppress(TemplateError):  # told when it is rendered
        asked = meta.find_undeclared_variables(Environment().parse(pattern))
    return {**dict.fromkeys(asked, "x1"), "index": 1, **variables}


def unknown(at: Located | None, profiles: Mapping[str, object]) -> Unknown:
    """One word for everybody, or a mapping."""
    if at is None:
        return Unknown()
    if isinstance(at.value(), str):
        return Unknown(others=_word(at, profiles))
    fields = at.fields(*names("unknown"))
    return Unknown(
        others=_word(fields["others"], profiles) if "others" in fields else IGNORE,
        networks=_networks(fields.get("networks"), profiles),
        approval=flag(fields, "approval", default=False),
    )


def _networks(at: Located | None, profiles: Mapping[str, object]) -> dict[IPv4Network, str]:
    found: dict[IPv4Network, str] = {}
    for key, value in at.entries() if at else ():
        network = _network(value, key)
        if network in found:
            raise value.mistake(f"{network} is here twice: one word for each network")
        found[network] = _word(value, profiles)
    return found


def _word(at: Located, profiles: Mapping[str, object]) -> str:
    word = at.choice(IGNORE, INVENTORY, *profiles)
    if word in (IGNORE, INVENTORY) and word in profiles:
        raise at.mistake(f"'{word}' is a word of ours, and a profile's name: rename the profile")
    return word
