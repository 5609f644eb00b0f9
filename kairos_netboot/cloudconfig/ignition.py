"""Ignition configs: read, checked, completed with the units that report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

from ..boot.actions import Action
from ..errors import DocumentProblem
from .document import Document
from .findings import Finding, Severity
from .ignition_check import Fault, check_ignition
from .units import Unit, ready_unit
from .yamlnodes import MAX_TEXT, find, line_of, parse, to_value

# The newest version that every live system of these years understands (Ignition 2.6, 2020).
_INSTALLER_VERSION = "3.1.0"


def ignition_document(text: str, name: str, report_url: str, action: Action) -> Document:
    """Of a rendered template; raises DocumentProblem where it is no JSON."""
    config = read_json(text, name)
    faults = [*check_ignition(config), *_beside_disks(config, action)]
    findings = tuple(_finding(fault, text, name) for fault in faults)
    if any(fault.is_error for fault in faults):
        return Document(text=text, findings=findings)
    assert isinstance(config, dict)
    return Document(
        text=write_json(with_units(config, [ready_unit(report_url)])), findings=findings
    )


def installer_config(units: Sequence[Unit]) -> str:
    """Of the live system that an install runs in."""
    config: dict[str, Any] = {"ignition": {"version": _INSTALLER_VERSION}}
    return write_json(with_units(config, units))


def with_units(config: dict[str, Any], units: Iterable[Unit]) -> dict[str, Any]:
    """Raises DocumentProblem where it has one of our names."""
    systemd = dict(config.get("systemd") or {})
    own = list(systemd.get("units") or [])
    for unit in units:
        if any(known["name"] == unit["name"] for known in own):
            raise DocumentProblem(f"systemd.units: '{unit['name']}' is ours: give it another name")
        own.append(unit)
    return {**config, "systemd": {**systemd, "units": own}}


def write_json(config: object) -> str:
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def read_json(text: str, name: str) -> object:
    """Without doubles, and without what only Python takes for JSON."""
    if len(text) > MAX_TEXT:
        raise DocumentProblem(f"{name}: an Ignition config has at most {MAX_TEXT} characters")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        why = _butane(text) or f"no JSON: {error.msg}"
        raise DocumentProblem(f"{name}:{error.lineno}: {why}") from None
    except RecursionError:
        raise DocumentProblem(f"{name}: nested too deep: flatten it") from None
    except ValueError as error:
        raise DocumentProblem(f"{name}: no JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key '{key[:60]}' is there twice in one object")
        found[key] = value
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number that JSON has")


def _butane(text: str) -> str:
    """What people write: YAML with a `variant`, which a program of its own makes into Ignition."""
    try:
        root = to_value(parse(text, "document"))
    except DocumentProblem:
        return ""
    if isinstance(root, dict) and "variant" in root:
        return "this is a Butane config: make Ignition of it by `butane --strict`, and name that"
    if isinstance(root, dict) and "ignition" in root:
        return "this is YAML: Ignition reads JSON alone"
    return ""


def _beside_disks(config: object, action: Action) -> Iterator[Fault]:
    """A system from memory is started at each boot, armed or not: its config may not format."""
    storage = config.get("storage") if isinstance(config, dict) else None
    if action is Action.INSTALL or not isinstance(storage, dict):
        return
    why = "would write to disks at each boot from memory: use `action: install`, or take it out"
    for section in ("disks", "raid", "luks"):
        if storage.get(section):
            yield Fault(path=("storage", section), message=why)
    filesystems = storage.get("filesystems")
    for number, entry in enumerate(filesystems if isinstance(filesystems, list) else []):
        if not isinstance(entry, dict):
            continue
        inner = entry.get("mount")
        parts = [entry, *([inner] if isinstance(inner, dict) else [])]
        if any(part.get("wipeFilesystem") or part.get("create") for part in parts):
            yield Fault(path=("storage", "filesystems", number), message=why)


def _finding(fault: Fault, text: str, name: str) -> Finding:
    """With the line of the rendered text, where YAML's reader takes it as well."""
    severity = Severity.ERROR if fault.is_error else Severity.WARNING
    return Finding(
        severity=severity,
        source=name,
        line=_line_of(fault, text),
        key=fault.place,
        message=fault.message,
    )


def _line_of(fault: Fault, text: str) -> int:
    try:
        root: yaml.Node | None = parse(text, "document")
    except DocumentProblem:
        return 1
    node = find(root, *fault.path)
    return line_of(node) if node is not None else 1
