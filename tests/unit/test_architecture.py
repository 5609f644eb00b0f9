"""The arrows of docs/architecture.md, read from the imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "kairos_netboot"

# From the top down: a module may import its own layer and those below.
LAYERS = (
    ("cli",),
    ("serve", "doctor"),
    ("config",),
    ("server", "web", "power"),
    ("images",),
    ("store",),
    ("cloudconfig",),
    ("boot",),
    ("dhcp", "tftp"),
    ("values",),
    ("errors",),
)
PURE = {"values", "errors", "dhcp", "tftp", "boot", "cloudconfig"}
IMPURE = {"asyncio", "socket", "aiohttp", "sqlite3", "time", "subprocess", "os", "logging"}
ROOT_FILES = {"__init__", "__main__"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def _room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    """Absolute dotted names; relative ones are resolved against the file's package."""
    package = ["kairos_netboot", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def _level(room: str) -> int:
    return next(i for i, rooms in enumerate(LAYERS) if room in rooms)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = _room(path)
    if room in ROOT_FILES:
        return
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != "kairos_netboot" or len(parts) == 1 or parts[1] in ("__version__", room):
            continue
        assert _level(parts[1]) > _level(room), f"{room} may not import {parts[1]}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_pure_rooms_do_no_input_or_output(path: Path) -> None:
    if _room(path) in PURE:
        touched = {name.split(".")[0] for name in _imports(path)} & IMPURE
        assert not touched


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


def test_only_one_module_knows_oras() -> None:
    knowing = [p.name for p in MODULES if any(n.split(".")[0] == "oras" for n in _imports(p))]
    assert knowing == ["registry.py"]


def test_only_the_store_knows_sql() -> None:
    rooms = {_room(p) for p in MODULES if any(n.startswith("sqlalchemy") for n in _imports(p))}
    assert rooms == {"store"}
