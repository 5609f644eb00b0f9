"""Hiding the secrets of a finished document before people are shown it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import yaml

from .dialect import BOOL, STR
from .document import write_document
from .yamlnodes import find, is_null, parse, to_value, triples

STARS = "********"

_SECRET = (
    r"(?:token|pass|passwd|password|passphrase|secret|credential|psk|auth|chpasswd"
    r"|(?:api|auth|access|private|secret|encryption|client|certificate)[_-]?key(?:[_-]data)?)s?"
)
# A whole word of the key: `K3S_TOKEN`, `registration_token`, `privateKey`, but no `tokenizer`.
_SECRET_KEY = re.compile(rf"(?:^|[_\-. ]){_SECRET}(?:$|[_\-. ])", re.IGNORECASE)
_OPTION = re.compile(rf"--?(?:[\w-]*[-_])?{_SECRET}", re.IGNORECASE)  # its value is the next item
_SHORTEST = 8  # shorter secrets are hidden where they stand, not wherever their letters occur

_WORD = r"""(?:"[^"\n]*"|'[^'\n]*'|[^\s"',;&]+)"""
# Within texts: commands, files, URLs. The first group stays.
_IN_TEXT = (
    re.compile(r"(/(?:documents|reports)/)[0-9a-f]{32}\b"),
    re.compile(rf"((?:\b|_){_SECRET}[\"']?[ \t]*[=:][ \t]*){_WORD}", re.IGNORECASE),
    re.compile(rf"(--?(?:[\w-]*[-_])?{_SECRET}[ \t]+)(?!-){_WORD}", re.IGNORECASE),
    re.compile(r"(\becho[ \t]+[\"']?[\w.-]+:)[^\s\"'|]+(?=[\"']?[ \t]*\|[ \t]*chpasswd)"),
    re.compile(r"(Authorization:[ \t]*\w+[ \t]+)[^\s\"']+", re.IGNORECASE),
    re.compile(r"(\w://[^/\s:@]*:)[^/\s@]+(?=@)"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----\n?).+?(?=\s*-----END|\Z)", re.DOTALL),
    re.compile(r"(\$(?:1|2[abxy]?|5|6|7|y|gy)\$)[./A-Za-z0-9$=,]{8,}"),  # crypt(3)
)


def mask(text: str, variables: Mapping[str, object]) -> str:
    """The document with stars for its secrets, still YAML.

    `variables` are the ones it was rendered with: what has a secret's name there is hidden
    wherever the document holds it.
    """
    root = parse(text, "document")
    known = {*_named_secrets(variables), *_secrets_of(root)}
    values = sorted((value for value in known if len(value) >= _SHORTEST), key=len, reverse=True)
    return write_document(_masked(root, values))


def mask_text(text: str, variables: Mapping[str, object]) -> str:
    """A text that is no document, as a log: the same secrets."""
    known = set(_named_secrets(variables))
    return _hidden(text, sorted((v for v in known if len(v) >= _SHORTEST), key=len, reverse=True))


def _hidden(text: str, values: Sequence[str]) -> str:
    for value in values:
        text = text.replace(value, STARS)
    for pattern in _IN_TEXT:
        text = pattern.sub(rf"\1{STARS}", text)
    return text


def is_secret_name(name: str) -> bool:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return bool(_SECRET_KEY.search(words)) and not name.lower().startswith("lock")


def _named_secrets(value: object, *, secret: bool = False) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _named_secrets(inner, secret=secret or is_secret_name(str(key)))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            yield from _named_secrets(inner, secret=secret)
    elif secret and value is not None and not isinstance(value, bool):
        yield str(value)


def _secrets_of(node: yaml.Node, *, secret: bool = False) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        for key, _, value in triples(node):
            yield from _secrets_of(value, secret=secret or is_secret_name(key))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _secrets_of(value, secret=secret)
    elif secret and node.tag != BOOL:
        yield node.value


def _masked(node: yaml.Node, values: Sequence[str], *, secret: bool = False) -> yaml.Node:
    if isinstance(node, yaml.MappingNode):
        pairs = _masked_pairs(node, values, secret)
        return yaml.MappingNode(node.tag, pairs, flow_style=node.flow_style)
    if isinstance(node, yaml.SequenceNode):
        items = _masked_items(node.value, values, secret)
        return yaml.SequenceNode(node.tag, items, flow_style=node.flow_style)
    return _masked_scalar(node, values, secret)


def _masked_pairs(
    node: yaml.MappingNode, values: Sequence[str], secret: bool
) -> list[tuple[yaml.Node, yaml.Node]]:
    # An encoded file may be a key as well as a picture, and tells a reader nothing.
    encoded = bool(to_value(find(node, "encoding")))
    pairs = []
    for key, value in node.value:
        hidden = secret or is_secret_name(key.value) or (encoded and key.value == "content")
        pairs.append((key, _masked(value, values, secret=hidden)))
    return pairs


def _masked_items(nodes: list[yaml.Node], values: Sequence[str], secret: bool) -> list[yaml.Node]:
    """`["--token", "abc"]`: an option's value is the next item."""
    masked: list[yaml.Node] = []
    option = False
    for node in nodes:
        masked.append(_masked(node, values, secret=secret or option))
        option = isinstance(node, yaml.ScalarNode) and bool(_OPTION.fullmatch(node.value))
    return masked


def _masked_scalar(node: yaml.Node, values: Sequence[str], secret: bool) -> yaml.Node:
    if is_null(node) or node.tag == BOOL or node.value == "":
        return node
    if secret:
        return yaml.ScalarNode(STR, STARS, style="'")
    text = _hidden(node.value, values)
    if text == node.value:
        return node
    assert isinstance(node, yaml.ScalarNode)
    return yaml.ScalarNode(STR, text, style=node.style)
