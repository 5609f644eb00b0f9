"""The files that come with the program: recipes, boot templates, the list of boot loaders."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from ..boot.script import Scripts
from ..dhcp.recipe import Recipes, parse_recipes
from ..errors import CannotServe

_PACKAGE = Path(__file__).parent.parent


def shipped(name: str) -> Path:
    """In a wheel the folder lies in the package, in a checkout beside it."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def load_recipes() -> Recipes:
    return parse_recipes((_PACKAGE / "dhcp" / "recipes.toml").read_text())


def load_scripts(family: str = "kairos") -> Scripts:
    folder = shipped("boot-templates") / family
    return Scripts({path.name: path.read_text() for path in sorted(folder.glob("*.j2"))})


def load_loaders(names: Iterable[str], folders: tuple[Path, ...]) -> dict[str, bytes]:
    """Find each boot loader in the operator's folders, then where packages put it.

    Raises CannotServe naming the file, the places looked at, and the package it comes in.
    """
    data = tomllib.loads((shipped("ipxe") / "loaders.toml").read_text())
    places = [*folders, *map(Path, data["search"])]
    return {name: _load(name, places, data["package"]) for name in sorted(names)}


def _load(name: str, places: list[Path], package: str) -> bytes:
    for place in places:
        path = place / name
        if path.is_file():
            return path.read_bytes()
    raise CannotServe(
        f"boot loader {name} is in none of {', '.join(map(str, places))}: install the package "
        f"'{package}' or name its folder with --loaders"
    )
