"""The nodes that a person means: by name, card, pattern, cluster, profile, role, state or label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from ..errors import UnknownName
from .clusters import member_of
from .fleet import Fleet, Node


def chosen(fleet: Fleet, words: Iterable[str]) -> Sequence[Node]:
    """Each once, in the order of the words. Raises UnknownName for a word that fits none."""
    found = {node.id: node for word in words for node in _meant(fleet, word)}
    return tuple(found.values())


def _meant(fleet: Fleet, word: str) -> Sequence[Node]:
    """`rack1-*` is a pattern of names, `cluster=prod` a property, any other `rack=1` a label; of
    several with commas between them all must hold. A node's own name goes before all."""
    if any(node.name == word for node in fleet.nodes):
        return [fleet.named(word)]
    if not any(sign in word for sign in "*?=[,"):
        return [fleet.named(word)]
    rules = [rule.strip() for rule in word.split(",") if rule.strip()]
    named = [node for node in fleet.nodes if node.spec is not None]
    fitting = [node for node in named if rules and all(_fits(fleet, node, r) for r in rules)]
    if not fitting:
        raise UnknownName(f"no node fits '{word}': see `kairos-netboot nodes list`")
    return sorted(fitting, key=lambda node: node.name)


def _fits(fleet: Fleet, node: Node, rule: str) -> bool:
    key, equals, pattern = rule.partition("=")
    if not equals:
        return fnmatchcase(node.name, rule)
    value = _value(fleet, node, key)
    return value is not None and fnmatchcase(value, pattern)


def _value(fleet: Fleet, node: Node, key: str) -> str | None:
    """A property's, or else a label's."""
    spec, member = node.spec, member_of(fleet, node)
    properties = {
        "cluster": member.cluster if member else None,
        "role": member.role if member else None,
        "profile": spec.profile if spec else None,
        "state": node.state,
    }
    labels = spec.labels if spec else {}
    return properties.get(key) or labels.get(key.removeprefix("label:"))
