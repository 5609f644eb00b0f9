"""Reading settings out of YAML, each mistake with its file, line and key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from ..errors import NetbootError
from .spelling import hint
from .yamlnodes import is_null, items, line_of, source_of, to_value, triples


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A node, the dotted key that leads to it, and the error its mistakes are told with."""

    node: yaml.Node
    error: type[NetbootError]
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

    def mistake(self, message: str) -> NetbootError:
        """`FILE:LINE: key: message`, to be raised."""
        return self.error(": ".join(part for part in (self.place, self.key, message) if part))

    def entries(self) -> Iterator[tuple[str, Located]]:
        """Key and value of each entry of a mapping; none where nothing was written."""
        if not isinstance(self.node, yaml.MappingNode) and not self.empty:
            raise self.mistake(f"{kind(self.node)} is here: write a mapping (key: value)")
        for key, line, value in triples(self.node):
            path = f"{self.key}.{key}" if self.key else key
            yield key, Located(node=value, error=self.error, key=path, key_line=line)

    def fields(self, *known: str) -> dict[str, Located]:
        """The entries of a mapping that may have the `known` keys only."""
        found = dict(self.entries())
        for key, value in found.items():
            if key not in known:
                allowed = hint(key, known) or f"; known: {', '.join(known)}"
                raise value.mistake(f"no such key{allowed}")
        return found

    def elements(self) -> list[Located]:
        """The items of a list; none where nothing was written."""
        if not isinstance(self.node, yaml.SequenceNode) and not self.empty:
            raise self.mistake(f"{kind(self.node)} is here: write a list (- item)")
        return [
            Located(node=item, error=self.error, key=f"{self.key}[{position}]")
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

    def texts(self) -> tuple[str, ...]:
        return tuple(element.text() for element in self.elements())

    def number(self) -> int:
        value = self.value()
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.mistake(f"{kind(self.node)} is here: write a whole number")
        return value

    def flag(self) -> bool:
        value = self.value()
        if not isinstance(value, bool):
            raise self.mistake(f"{kind(self.node)} is here: write true or false")
        return value

    def choice(self, *known: str) -> str:
        word = self.text()
        if word not in known:
            allowed = hint(word, known) or f"; one of {', '.join(known)}"
            raise self.mistake(f"'{word}' is not known here{allowed}")
        return word


def kind(node: yaml.Node) -> str:
    """What a node is, in the words of a message."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if is_null(node):
        return "nothing"
    value = to_value(node)
    return f"the text '{_short(value)}'" if isinstance(value, str) else f"'{node.value}'"


def _short(text: str) -> str:
    first = text.splitlines()[0] if text else ""
    return first if first == text and len(first) <= 40 else first[:40] + "…"
