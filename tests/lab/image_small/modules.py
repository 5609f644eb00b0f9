"""Which kernel modules are needed, in the order in which they load, without depmod."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def in_order(folder: Path, wanted: Iterable[str]) -> list[Path]:
    """The files of these modules and of what they need; a module that is built in has none."""
    files = {_name(path.stem): path for path in folder.rglob("*.ko")}
    found: list[Path] = []
    for name in wanted:
        _add(_name(name), files, found)
    return found


def _add(name: str, files: dict[str, Path], found: list[Path]) -> None:
    path = files.get(name)
    if path is None or path in found:
        return
    for needed in depends(path.read_bytes()):
        _add(_name(needed), files, found)
    found.append(path)


def depends(module: bytes) -> list[str]:
    """What a module says that it needs."""
    match = _DEPENDS.search(module)
    return [name for name in match[1].decode().split(",") if name] if match else []


def _name(text: str) -> str:
    """A module's name and its file's differ in `-` and `_`."""
    return text.replace("-", "_")
