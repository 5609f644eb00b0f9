"""The files that come with the program: recipes and boot templates."""

from __future__ import annotations

from pathlib import Path

from ..boot.script import Scripts
from ..dhcp.recipe import Recipes, parse_recipes

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
