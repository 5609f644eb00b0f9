"""Stages: what Kairos runs, and when. One wrong type and it ignores them all, silently."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from .findings import Finding, error, warning
from .located import kind
from .spelling import nearest
from .vocabulary import STAGES
from .yamlnodes import find, is_null, items, triples


def check_stages(root: yaml.Node) -> Iterator[Finding]:
    stages = find(root, "stages")
    if stages is None or is_null(stages):
        return
    if not isinstance(stages, yaml.MappingNode):
        yield error(stages, "stages", f"{kind(stages)} is here: write a mapping of stage names")
        return
    for stage, _, entries in triples(stages):
        yield from _check_stage(stage, entries)


def _check_stage(stage: str, entries: yaml.Node) -> Iterator[Finding]:
    key = f"stages.{stage}"
    near = None if stage in STAGES else nearest(stage, STAGES, cutoff=0.85)
    if near:
        yield warning(
            entries, key, f"no stage has this name: it would never run; nearest: '{near}'"
        )
    if not isinstance(entries, yaml.SequenceNode) and not is_null(entries):
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
    if commands is None or is_null(commands):
        return
    if not isinstance(commands, yaml.SequenceNode):
        yield error(commands, key, f"{kind(commands)} is here: write a list (- command)")
    for position, command in enumerate(items(commands)):
        if not isinstance(command, yaml.ScalarNode):
            # `- echo "a: b"` unquoted as a whole is a mapping to YAML.
            yield error(
                command,
                f"{key}[{position}]",
                f"{kind(command)} is here, because of a ': ' or '- ': put the command in quotes",
            )
