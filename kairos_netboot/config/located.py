"""Reading the site file out of YAML, each mistake with its file, line and key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from ..cloudconfig.spelling import hint_or_known
from ..cloudconfig.yamlnodes import (
    is_null,
    is_other,
    items,
    kind,
    line_of,
    source_of,
    to_value,
    triples,
)
from ..errors import SiteMistake


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A node, and the dotted key that leads to it."""

    node: yaml.Node
    key: str = ""
    key_line: int = 0  # where its key stands; 0: where the node itself begins

    @property
    def line(self) -> int:
        return self.key_line or line_of(self.node)

    @property
    def place(self) -> str:
        return f"{source_of(self.node)}:{self.line}"

    @property
    def empty(self) -> bool:
        """Whether nothing was written here, or null."""
        return is_null(self.node)

    def mistake(self, message: str) -> SiteMistake:
        """`FILE:LINE: key: message`, to be raised."""
        return SiteMistake(": ".join(part for part in (self.place, self.key, message) if part))

    def entries(self) -> Iterator[tuple[str, Located]]:
        """Key and value of each entry of a mapping; none where nothing was written."""
        if is_other(self.node, yaml.MappingNode):
            raise self.mistake(f"{kind(self.node)} is here: write a mapping (key: value)")
        for key, line, value in triples(self.node):
            path = f"{self.key}.{key}" if self.key else key
            yield key, Located(node=value, key=path, key_line=line)

    def fields(self, *known: str) -> dict[str, Located]:
        """The entries of a mapping that may have the `known` keys only."""
        found = dict(self.entries())
        for key, value in found.items():
            if key not in known:
                raise value.mistake(f"no such key{hint_or_known(key, known)}")
        return found

    def elements(self) -> list[Located]:
        """The items of a list; none where nothing was written."""
        if is_other(self.node, yaml.SequenceNode):
            raise self.mistake(f"{kind(self.node)} is here: write a list (- item)")
        return [
            Located(node=item, key=f"{self.key}[{position}]")
            for position, item in enumerate(items(self.node))
        ]

    def value(self) -> object:
        """Whatever is here, as Python values."""
        return to_value(self.node)

    def text(self) -> str:
        """The words of a scalar as they were written: `0644` and `yes` stay what they are."""
        if not isinstance(self.node, yaml.ScalarNode) or self.empty:
            raise self.mistake(f"{kind(self.node)} is here: write a text")
        return str(self.node.value)

    def flag(self) -> bool:
        value = self.value()
        if not isinstance(value, bool):
            raise self.mistake(f"{kind(self.node)} is here: write true or false")
        return value

    def choice(self, *known: str) -> str:
        word = self.text()
        if word not in known:
            raise self.mistake(f"'{word}' is not known here{hint_or_known(word, known)}")
        return word
