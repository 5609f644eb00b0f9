"""Checks of an Ignition config, each with its path in the JSON: Ignition stops the boot for most of
these, and leaves out what it does not know without a word that anybody reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from .ignition_rules import deep_rules
from .ignition_spec import KNOWN, V2, V3, Shape, Version
from .spelling import hint_or_known

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    path: Path
    message: str
    is_error: bool = True

    @property
    def place(self) -> str:
        """`storage.files[0].path`"""
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return text.removeprefix(".")


def check_ignition(config: object) -> Iterator[Fault]:
    """Every fault of a config, as JSON reads it."""
    if not isinstance(config, dict):
        yield Fault(path=(), message=f"{_kind(config)} is here: write an object with `ignition`")
        return
    version = _version(config)
    if isinstance(version, Fault):
        yield version
        return
    shape = V2 if version[0] == 2 else V3
    faults = list(_shaped(config, shape, (), version))
    yield from faults
    if not any(fault.is_error for fault in faults):  # what follows takes the types for granted
        for path, message, is_error in deep_rules(config, version):
            yield Fault(path=path, message=message, is_error=is_error)


def _version(config: Mapping[str, object]) -> Version | Fault:
    path: Path = ("ignition", "version")
    head = config.get("ignition")
    text = head.get("version") if isinstance(head, dict) else None
    if text is None:
        return Fault(path=path, message='is missing: write "ignition": {"version": "3.4.0"}')
    match = re.fullmatch(r"([0-9]{1,3})\.([0-9]{1,3})\.0", str(text), re.ASCII)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if not isinstance(text, str) or version not in KNOWN:
        known = ", ".join(f"{major}.{minor}.0" for major, minor in KNOWN)
        return Fault(path=path, message=f"{text!r} is not known here: write one of {known}")
    return version


def _shaped(value: object, shape: Shape, path: Path, version: Version) -> Iterator[Fault]:
    """`null` stands for what is not there."""
    if value is None:
        return
    if isinstance(shape, list):
        yield from _list(value, shape[0], path, version)
    elif isinstance(shape, type):
        # JSON's true is no number, though Python's is.
        if not isinstance(value, shape) or (shape is int and isinstance(value, bool)):
            yield Fault(path=path, message=f"{_kind(value)} is here: write {_WANTED[shape]}")
    elif not isinstance(value, dict):
        yield Fault(path=path, message=f"{_kind(value)} is here: write an object")
    elif shape:
        yield from _object(value, shape, path, version)


def _list(value: object, shape: Shape, path: Path, version: Version) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield Fault(path=path, message=f"{_kind(value)} is here: write a list")
        return
    for number, item in enumerate(value):
        if item is None:
            yield Fault(path=(*path, number), message="nothing is here: take it out of the list")
        yield from _shaped(item, shape, (*path, number), version)


def _object(
    value: Mapping[str, object], shape: Mapping[str, Shape], path: Path, version: Version
) -> Iterator[Fault]:
    names, required, inner = _keys(shape)
    for key, item in value.items():
        if key not in names:
            message = f"Ignition knows no such key here{hint_or_known(key, names)}"
            yield Fault(path=(*path, key), message=message)
        elif version < names[key]:
            major, minor = names[key]
            message = f"is known from version {major}.{minor}.0 on"
            yield Fault(path=(*path, key), message=message)
        else:
            yield from _shaped(item, inner[key], (*path, key), version)
    for key in required:
        if value.get(key) in (None, ""):
            yield Fault(path=(*path, key), message="is missing")


def _keys(
    shape: Mapping[str, Shape],
) -> tuple[dict[str, Version], list[str], dict[str, Shape]]:
    """Each name with the version it came with, the required ones, and what they hold."""
    names: dict[str, Version] = {}
    required, inner = [], {}
    for text, held in shape.items():
        name, _, since = text.partition("@")
        if name.endswith("!"):
            name = name[:-1]
            required.append(name)
        major, _, minor = since.partition(".")
        names[name] = (int(major), int(minor)) if since else (0, 0)
        inner[name] = held
    return names, required, inner


_WANTED: Mapping[type, str] = {str: "a text", int: "a whole number", bool: "true or false"}


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"[:40]
        case str():
            return f"the text '{value[:40]}'"
        case list():
            return "a list"
    return "an object"


def errors_of(faults: Iterable[Fault]) -> list[Fault]:
    return [fault for fault in faults if fault.is_error]
