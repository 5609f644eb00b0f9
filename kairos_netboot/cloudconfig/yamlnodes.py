"""YAML kept as nodes: every scalar keeps its spelling, its style and its place in its file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

import yaml

from ..errors import DocumentProblem, NetbootError
from .dialect import INT, MAP, MERGE, NULL, PLAIN, SEQ, STR, Dumper, Loader, scalar_value

MAX_TEXT = 1_000_000  # Kairos leaves out larger files (docs/kairos.md)
MAX_DEPTH = 64  # people write 10; libyaml's binding overruns the C stack at some 10,000
MAX_NODES = 50_000  # after aliases: a kilobyte of them can stand for 10^9 ("billion laughs")


def parse(text: str, source: str, error: type[NetbootError] = DocumentProblem) -> yaml.Node:
    """The one document in `text`, free of aliases, merge keys and duplicate keys; else `error`.

    An empty text is a null scalar.
    """
    if len(text) > MAX_TEXT:
        raise error(f"{source}: {len(text)} characters of YAML are too many: at most {MAX_TEXT}")
    try:
        _check_events(text, source, error)
        node = yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as problem:
        raise error(_syntax_message(problem, source)) from None
    except (yaml.YAMLError, UnicodeError) as problem:
        reason = str(problem).splitlines()[0]
        raise error(f"{source}: no YAML: {reason}: save it as plain UTF-8 text") from None
    if node is None:
        return yaml.ScalarNode(NULL, "", _mark(source, 0, 0))
    return _Expansion(source=source, error=error).copy(node)


def _check_events(text: str, source: str, error: type[NetbootError]) -> None:
    """Refuse what would be too deep to compose: events come one by one, without recursion."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=Loader):
        match event:
            case yaml.DocumentStartEvent():
                documents += 1
            case yaml.CollectionStartEvent():
                depth += 1
            case yaml.CollectionEndEvent():
                depth -= 1
        line = event.start_mark.line + 1 if event.start_mark else 1
        if depth > MAX_DEPTH:
            raise error(f"{source}:{line}: nested more than {MAX_DEPTH} levels deep: flatten it")
        if documents > 1:
            raise error(f"{source}:{line}: a second document begins here: one '---' at most")


def _syntax_message(problem: yaml.MarkedYAMLError, source: str) -> str:
    mark = problem.problem_mark
    line = mark.line + 1 if mark else 1
    reason = " ".join(part for part in (problem.problem, problem.context) if part)
    if problem.problem and "cannot start any token" in problem.problem:
        reason += ": indent with spaces, not tabs, and quote a text that begins with @ ` or %"
    if problem.problem and "mapping values are not allowed" in problem.problem:
        reason += ": quote a text that holds ': '"
    return f"{source}:{line}: no YAML: {reason}"


@dataclass(slots=True, kw_only=True)
class _Expansion:
    """One copying walk over a composed tree, with what it may still spend."""

    source: str
    error: type[NetbootError]
    left: int = MAX_NODES
    open: list[yaml.Node] = field(default_factory=list)

    def copy(self, node: yaml.Node, *, in_flow: bool = False) -> yaml.Node:
        self.left -= 1
        if self.left < 0:
            raise self.wrong(node, "its aliases (*name) stand for too much: write it out")
        if any(node is outer for outer in self.open):
            raise self.wrong(node, "an alias (*name) inside the thing it names never ends")
        if len(self.open) > MAX_DEPTH:
            raise self.wrong(node, f"nested more than {MAX_DEPTH} levels deep: flatten it")
        mark = _mark(self.source, node.start_mark.line, node.start_mark.column)
        self.open.append(node)
        if isinstance(node, yaml.ScalarNode):
            copied: yaml.Node = _scalar(node, mark, in_flow)
        elif isinstance(node, yaml.MappingNode):
            flow = bool(node.flow_style)
            copied = yaml.MappingNode(node.tag, self._pairs(node, flow), mark, mark, flow)
        else:
            assert isinstance(node, yaml.SequenceNode)
            flow = bool(node.flow_style)
            values = [self.copy(item, in_flow=flow) for item in node.value]
            copied = yaml.SequenceNode(node.tag, values, mark, mark, flow)
        self.open.pop()
        return copied

    def _pairs(self, node: yaml.MappingNode, flow: bool) -> list[tuple[yaml.Node, yaml.Node]]:
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.wrong(key, "a key must be a text, not a list or a mapping")
            if key.tag == MERGE and not key.style:
                for name, pair in self._merged(value):
                    merged.setdefault(name, pair)
                continue
            if key.value in own:
                first = own[key.value][0].start_mark.line + 1
                raise self.wrong(key, f"key '{key.value}' is there already, on line {first}")
            own[key.value] = (self.copy(key, in_flow=True), self.copy(value, in_flow=flow))
        inherited = [pair for name, pair in merged.items() if name not in own]
        return [*inherited, *own.values()]

    def _merged(self, node: yaml.Node) -> Iterator[tuple[str, tuple[yaml.Node, yaml.Node]]]:
        """What `<<: *name` or `<<: [*one, *two]` brings; in a list the earlier wins."""
        maps = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for item in maps:
            copied = self.copy(item)
            if not isinstance(copied, yaml.MappingNode):
                raise self.wrong(item, "'<<' takes a mapping or a list of mappings")
            for key, value in copied.value:
                yield key.value, (key, value)

    def wrong(self, node: yaml.Node, message: str) -> NetbootError:
        return self.error(f"{self.source}:{node.start_mark.line + 1}: {message}")


def _scalar(node: yaml.ScalarNode, mark: yaml.Mark, in_flow: bool) -> yaml.Node:
    value, style = node.value, node.style
    if style and node.tag in PLAIN:
        style = None  # `!!int "5"`: libyaml would drop the tag and keep the quotes
    if node.tag == NULL and not value and (in_flow or node.style):
        value = "null"  # inside [ ] and { } libyaml would write it as `! ''`, which is a text
    return yaml.ScalarNode(node.tag, value, mark, mark, style)


def _mark(source: str, line: int, column: int) -> yaml.Mark:
    return yaml.Mark(source, 0, line, column, None, 0)


def line_of(node: yaml.Node) -> int:
    """The line of its file a node begins on, from 1."""
    return int(node.start_mark.line) + 1 if node.start_mark else 1


def source_of(node: yaml.Node) -> str:
    """The file a node came from, or empty for one that was made here."""
    return str(node.start_mark.name) if node.start_mark else ""


def triples(node: yaml.Node | None) -> Iterator[tuple[str, int, yaml.Node]]:
    """Key, line of the key, value of each entry of a mapping; nothing for any other node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key.value, line_of(key), value


def items(node: yaml.Node | None) -> list[yaml.Node]:
    """The items of a sequence; none for any other node."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def find(node: yaml.Node | None, *path: str | int) -> yaml.Node | None:
    """The value under `path`, keys and list positions, or None."""
    for step in path:
        if isinstance(step, int):
            found = items(node)[step : step + 1]
        else:
            found = [value for key, _, value in triples(node) if key == step]
        if not found:
            return None
        node = found[0]
    return node


def to_value(node: yaml.Node | None) -> object:
    """Python's value of a node, read as Kairos' YAML library would; None for no node."""
    if node is None:
        return None
    if isinstance(node, yaml.MappingNode):
        return {key: to_value(value) for key, _, value in triples(node)}
    if isinstance(node, yaml.SequenceNode):
        return [to_value(item) for item in node.value]
    return scalar_value(node.tag, node.value)


def is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and bool(node.tag == NULL)


def is_other(node: yaml.Node | None, wanted: type[yaml.Node]) -> TypeGuard[yaml.Node]:
    """Whether something is written here that is no `wanted`."""
    return node is not None and not is_null(node) and not isinstance(node, wanted)


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


def text_node(text: str) -> yaml.Node:
    """A text that no YAML reader takes for anything else: quoted, or a block if it has lines."""
    return yaml.ScalarNode(STR, text, style="|" if "\n" in text else '"')


def word_node(word: str) -> yaml.Node:
    """A text that needs no quotes; libyaml adds them where it must."""
    return yaml.ScalarNode(STR, word)


def number_node(number: int) -> yaml.Node:
    return yaml.ScalarNode(INT, str(number))


def list_node(nodes: Iterable[yaml.Node], *, flow: bool = False) -> yaml.Node:
    return yaml.SequenceNode(SEQ, list(nodes), flow_style=flow)


def map_node(entries: Mapping[str, yaml.Node]) -> yaml.Node:
    pairs = [(word_node(key), value) for key, value in entries.items()]
    return yaml.MappingNode(MAP, pairs, flow_style=not pairs)


def write(node: yaml.Node) -> str:
    """YAML text of a tree, each scalar spelt as it came in, no line folded, no anchors."""
    # Width: libyaml would fold long texts at column 80, URLs and keys with them.
    return str(
        yaml.serialize(_tree(node), Dumper=Dumper, width=1 << 30, indent=2, allow_unicode=True)
    )


def _tree(node: yaml.Node) -> yaml.Node:
    """A copy in which nothing appears twice: the serializer makes anchors of shared nodes."""
    if isinstance(node, yaml.MappingNode):
        pairs = [(_tree(key), _tree(value)) for key, value in node.value]
        return yaml.MappingNode(node.tag, pairs, flow_style=node.flow_style)
    if isinstance(node, yaml.SequenceNode):
        copies = [_tree(item) for item in node.value]
        return yaml.SequenceNode(node.tag, copies, flow_style=node.flow_style)
    assert isinstance(node, yaml.ScalarNode)
    return yaml.ScalarNode(node.tag, node.value, style=node.style)
