"""The site file's keys, told: as a JSON schema for editors and as the reference in the docs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..boot.actions import Action
from ..boot.lifecycle import Kind
from ..boot.site import ExitMethod
from .keys import SECTIONS, Key

Json = dict[str, Any]

_SCALAR: Json = {"type": ["string", "number", "boolean"]}
_INTEGER: Json = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+$"}]}
_DURATION = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+[smhd]?$"}]}


def _one_or_by_kind(words: Json) -> Json:
    return {"anyOf": [words, {"type": "object", "additionalProperties": words}]}


# What the words in capitals mean; any other is a scalar of the person's own.
_WORDS: dict[str, Json] = {
    "ACTION": {"enum": [*Action, "reset"]},
    "DURATION": _DURATION,
    "EVENT": {"enum": list(Kind)},
    "METHOD": _one_or_by_kind({"enum": list(ExitMethod)}),
    "MIB": _INTEGER,
    "NUMBER": _INTEGER,
    "VALUE": {},
    "WAY": _one_or_by_kind({"type": "string"}),
}


def json_schema() -> Json:
    """Draft 2020-12. It knows the keys and their shapes; `apply` alone knows what fits together."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kairos-netboot site file",
        **_mapping("site"),
        "$defs": {name: _mapping(name) for name in SECTIONS if name != "site"},
    }


def _mapping(section: str) -> Json:
    keys = SECTIONS[section]
    known: Json = {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {key.name: _described(key) for key in keys},
    }
    if required := [key.name for key in keys if key.required]:
        known["required"] = required
    return known


def _described(key: Key) -> Json:
    told: Json = {"description": key.says}
    if key.default:
        told["description"] += f" (default: {key.default})"
    return {**told, **_value(key)}


def _value(key: Key) -> Json:
    if not key.section:
        return _form(key.form)
    inner: Json = {"$ref": f"#/$defs/{key.section}"}
    if key.plain:
        inner = {"anyOf": [_form(key.plain), inner]}
    if key.named:
        return {"type": ["object", "null"], "additionalProperties": inner}
    return _listed(inner) if key.form.startswith("[") else inner


def _form(form: str) -> Json:
    """`[X]`: a list, or one X; `{KEY: X}`: a mapping; `a|b`: a choice; `WORD`."""
    if form.startswith("["):
        return _listed(_form(form[1:-1]))
    if form.startswith("{"):
        inner = _form(form[1:-1].partition(": ")[2])
        return {"type": ["object", "null"], "additionalProperties": inner}
    if form == "true|false":
        return {"type": "boolean"}
    if "|" in form and form == form.lower():
        return {"enum": form.split("|")}
    return _WORDS.get(form, _SCALAR)


def _listed(one: Json) -> Json:
    return {"anyOf": [one, {"type": "array", "items": one}]}


def reference() -> str:
    """Every key, a table for each mapping, as Markdown."""
    return "\n".join(line for section in SECTIONS for line in _table(section))


def _table(section: str) -> Iterator[str]:
    yield f"### {_title(section)}"
    yield ""
    yield "| key | value | what it says | default |"
    yield "|---|---|---|---|"
    for key in SECTIONS[section]:
        says = f"{key.says}; must be there" if key.required else key.says
        yield f"| `{key.name}` | {_shown(key)} | {says} | {_code(key.default)} |"
    yield ""


def _title(section: str) -> str:
    """Where the mapping stands."""
    if section == "site":
        return "The whole file"
    places = [
        f"`{_place(owner, key)}`"
        for owner, keys in SECTIONS.items()
        for key in keys
        if key.section == section
    ]
    return ", ".join(places)


def _place(owner: str, key: Key) -> str:
    outer = {"site": "", "profile": "profiles.NAME.", "node": "nodes.NAME.", "dhcp": "dhcp."}
    return f"{outer[owner]}{key.name}{f'.{key.named}' if key.named else ''}"


def _shown(key: Key) -> str:
    if key.named:
        return _code(f"{{{key.named}: {'… or ' + key.plain if key.plain else '…'}}}")
    return _code(key.form) + (f" or {_code(key.plain)}" if key.plain else "")


def _code(text: str) -> str:
    """Markdown ends a table's cell at every bar, in code as well."""
    return f"`{re.sub(r'[|]', chr(92) + '|', text)}`" if text else ""
