"""Merging documents as Kairos merges its own (sdk/collector, DeepMerge), on YAML nodes."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from .dialect import BOOL, FLOAT, INT
from .yamlnodes import is_null, list_node, to_value, triples


def merge(base: yaml.Node, over: yaml.Node) -> yaml.Node:
    """`over` laid over `base`: a new tree that shares what it did not have to change."""
    if is_null(base):
        return over
    if is_null(over):
        return _emptied(base)
    if isinstance(base, yaml.MappingNode) and isinstance(over, yaml.MappingNode):
        return _merged_maps(base, over)
    if isinstance(base, yaml.SequenceNode) and isinstance(over, yaml.SequenceNode):
        return _merged_lists(base, over)
    return over


def clashes(
    base: yaml.Node, over: yaml.Node, key: str = ""
) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Key and both values where one is a mapping and the other a list or a scalar, and so on.

    Kairos refuses to merge such files; within our own templates the later one wins.
    """
    if is_null(base) or is_null(over):
        return
    if type(base) is not type(over):
        yield key, base, over
    elif isinstance(base, yaml.MappingNode):
        below = {name: value for name, _, value in triples(base)}
        for name, _, value in triples(over):
            if name in below:
                yield from clashes(below[name], value, f"{key}.{name}" if key else name)


def _merged_maps(base: yaml.MappingNode, over: yaml.MappingNode) -> yaml.Node:
    pairs = {key.value: (key, value) for key, value in base.value}
    for key, value in over.value:
        if key.value in pairs:
            value = merge(pairs[key.value][1], value)
        pairs[key.value] = (key, value)
    flow = bool(base.flow_style and over.flow_style)
    return yaml.MappingNode(base.tag, list(pairs.values()), base.start_mark, flow_style=flow)


def _merged_lists(base: yaml.SequenceNode, over: yaml.SequenceNode) -> yaml.Node:
    """Lists of mappings are joined, others united: their first item decides, as in Kairos."""
    if not base.value:
        return over
    joined = list(base.value)
    if isinstance(base.value[0], yaml.MappingNode):
        joined += over.value
    else:
        present = [_identity(item) for item in joined]
        for item in over.value:
            if _identity(item) not in present:
                joined.append(item)
                present.append(_identity(item))
    flow = bool(base.flow_style and over.flow_style)
    return yaml.SequenceNode(base.tag, joined, base.start_mark, flow_style=flow)


def _identity(node: yaml.Node) -> tuple[str, object]:
    # Python holds 1, 1.0 and true for equal; Go's DeepEqual does not. `nan` equals nothing.
    return (node.tag, to_value(node))


def _emptied(base: yaml.Node) -> yaml.Node:
    """What `key: null` leaves of a value: the zero value of its kind, not null."""
    if isinstance(base, yaml.MappingNode):
        return yaml.MappingNode(base.tag, [], flow_style=True)
    if isinstance(base, yaml.SequenceNode):
        return list_node([], flow=True)
    zero = {BOOL: "false", INT: "0", FLOAT: "0.0"}.get(base.tag)
    if zero is None:
        return yaml.ScalarNode(base.tag, "", style='"')
    return yaml.ScalarNode(base.tag, zero)
