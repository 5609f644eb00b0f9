"""What is wrong or odd in a document: where, why, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import yaml

from .yamlnodes import line_of, source_of


class Severity(StrEnum):
    ERROR = "error"  # an unattended install would stop, or do something else
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`str()` of it is the line people read."""

    severity: Severity
    source: str
    line: int
    key: str
    message: str

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        return ": ".join(
            part for part in (f"{self.source}:{self.line}", self.key, self.message) if part
        )


def error(node: yaml.Node, key: str, message: str) -> Finding:
    return _finding(Severity.ERROR, node, key, message)


def warning(node: yaml.Node, key: str, message: str) -> Finding:
    return _finding(Severity.WARNING, node, key, message)


def _finding(severity: Severity, node: yaml.Node, key: str, message: str) -> Finding:
    return Finding(
        severity=severity, source=source_of(node), line=line_of(node), key=key, message=message
    )
