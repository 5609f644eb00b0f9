"""Stages: what Kairos runs, and when. One wrong type and it ignores them all, silently."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from .findings import Finding, error, warning
from .spelling import nearest
from .vocabulary import STAGES
from .yamlnodes import find, is_other, items, kind, triples


def check_stages(root: yaml.Node) -> Iterator[Finding]:
    stages = find(root, "stages")
    if is_other(stages, yaml.MappingNode):
        yield error(stages, "stages", f"{kind(stages)} is here: write a mapping of stage names")
    for stage, _, entries in triples(stages):
        yield from _check_stage(stage, entries)


def _check_stage(stage: str, entries: yaml.Node) -> Iterator[Finding]:
    key = f"stages.{stage}"
    near = None if stage in STAGES else nearest(stage, STAGES, cutoff=0.85)
    if near:
        yield warning(
            entries, key, f"no stage has this name: it would never run; nearest: '{near}'"
        )
    if is_other(entries, yaml.SequenceNode):
        yield error(entries, key, f"{kind(entries)} is here: write a list (- commands: [...])")
    for position, entry in enumerate(items(entries)):
        if not isinstance(entry, yaml.MappingNode):
            yield error(
                entry,
                f"{key}[{position}]",
                f"{kind(entry)} is here: write '- commands:' and the commands below it",
            )
        yield from _check_commands(find(entry, "commands"), f"{key}[{position}].commands")


def _check_commands(commands: yaml.Node | None, key: str) -> Iterator[Finding]:
    if is_other(commands, yaml.SequenceNode):
        yield error(commands, key, f"{kind(commands)} is here: write a list (- command)")
    for position, command in enumerate(items(commands)):
        if not isinstance(command, yaml.ScalarNode):
            # `- echo "a: b"` unquoted as a whole is a mapping to YAML.
            yield error(
                command,
                f"{key}[{position}]",
                f"{kind(command)} is here, because of a ': ' or '- ': put the command in quotes",
            )
