"""Checks of a finished document, before a machine meets it."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from .checkinstall import check_install
from .checkstages import check_stages
from .checkusers import check_users
from .findings import Finding, error, warning
from .spelling import nearest
from .vocabulary import TOP_KEYS
from .yamlnodes import find, source_of, to_value, triples

HEADERS = ("#cloud-config", "#kairos-config", "#node-config")


def check(root: yaml.Node, *, installs: bool = True) -> Iterator[Finding]:
    """Everything that would break or surprise an unattended install by a merged document, or a
    system that runs from memory by it."""
    yield from check_config_url(root)
    yield from _unknown_keys(root)
    if installs:
        yield from check_users(root)
    yield from check_stages(root)
    if installs:
        yield from check_install(root)


def check_header(text: str, source: str) -> Iterator[Finding]:
    """Kairos takes a file for a cloud-config by one line among its first ten."""
    head = text.split("\n", 10)[:10]
    if not any(line.rstrip() in HEADERS for line in head):
        root = yaml.ScalarNode("", "", yaml.Mark(source, 0, 0, 0, None, 0))
        yield error(root, "", "no line '#cloud-config' among the first ten: make it the first")


def check_config_url(root: yaml.Node) -> Iterator[Finding]:
    """An address here would be fetched by the installer, and again by every later agent call."""
    node = find(root, "config_url")
    if node is not None and to_value(node) not in ("", None):
        yield error(
            node, "config_url", "remove it: the server sets it to '', so that a node stops asking"
        )


def _unknown_keys(root: yaml.Node) -> Iterator[Finding]:
    for key, line, value in triples(root):
        near = None if key in TOP_KEYS else nearest(key, TOP_KEYS)
        if near:
            marked = yaml.ScalarNode("", "", yaml.Mark(source_of(value), 0, line - 1, 0, None, 0))
            yield warning(marked, key, f"Kairos knows no such key; nearest: '{near}'")
