"""Recipes: what each kind of firmware accepts, from the data file beside this module."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InvalidValue, UnknownName
from ..values import Arch, Firmware, Stage
from .client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The shape of an answer; the fields are explained in recipes.toml."""

    name: str
    client_class: str
    sname: bool
    option_66: bool
    option_67: bool
    option_43: bytes
    port_4011: bool
    proxy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """None fits every value, and so does an empty `mac`: else it is how an address starts."""

    stage: Stage
    firmware: Firmware | None
    arch: Arch | None
    recipe: str
    mac: str = ""

    def fits(self, client: Client) -> bool:
        return (
            client.stage is self.stage
            and self.firmware in (None, client.firmware)
            and self.arch in (None, client.arch)
            and client.mac.startswith(self.mac)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipes:
    recipes: Mapping[str, Recipe]
    rules: tuple[Rule, ...]

    def named(self, name: str) -> Recipe:
        """Raises UnknownName, which lists the names there are."""
        if name not in self.recipes:
            raise UnknownName(f"no recipe '{name}': there are {', '.join(sorted(self.recipes))}")
        return self.recipes[name]

    def rule_for(self, client: Client) -> Rule | None:
        return next((rule for rule in self.rules if rule.fits(client)), None)


def parse_recipes(text: str) -> Recipes:
    """Read the data file; raises InvalidValue naming what is wrong."""
    try:
        data = tomllib.loads(text)
        recipes = {name: _recipe(name, fields) for name, fields in data["recipes"].items()}
        rules = tuple(_rule(fields) for fields in data["rules"])
    except (tomllib.TOMLDecodeError, KeyError, ValueError) as error:
        raise InvalidValue(f"the recipes file cannot be read: {error!r}") from error
    known = Recipes(recipes=recipes, rules=rules)
    for rule in rules:
        known.named(rule.recipe)
    return known


def _recipe(name: str, fields: Mapping[str, object]) -> Recipe:
    return Recipe(
        name=name,
        client_class=str(fields.get("client-class", "PXEClient")),
        sname=bool(fields["sname"]),
        option_66=bool(fields["option-66"]),
        option_67=bool(fields["option-67"]),
        option_43=bytes.fromhex(str(fields["option-43"])),
        port_4011=bool(fields["port-4011"]),
        proxy=bool(fields.get("proxy", True)),
    )


def _rule(fields: Mapping[str, str]) -> Rule:
    return Rule(
        stage=Stage(fields["stage"]),
        firmware=Firmware(fields["firmware"]) if "firmware" in fields else None,
        arch=Arch(fields["arch"]) if "arch" in fields else None,
        recipe=fields["recipe"],
        mac=fields.get("mac", ""),
    )
