"""What the doctor found: a sentence about a thing, what would fail by it, and the way out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad it is. The worst one is the exit code."""

    FINE = 0
    DOUBTFUL = 1  # some machine may not come up
    BROKEN = 2  # machines will not come up


WORDS = {Level.FINE: "ok", Level.DOUBTFUL: "note", Level.BROKEN: "FAIL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`about`: the check. `remedy`: empty where nothing is to be done."""

    level: Level
    about: str
    text: str
    remedy: str = ""


def fine(about: str, text: str) -> Finding:
    return Finding(level=Level.FINE, about=about, text=text)


def doubtful(about: str, text: str, remedy: str = "") -> Finding:
    return Finding(level=Level.DOUBTFUL, about=about, text=text, remedy=remedy)


def broken(about: str, text: str, remedy: str) -> Finding:
    return Finding(level=Level.BROKEN, about=about, text=text, remedy=remedy)


def worst(findings: Iterable[Finding]) -> Level:
    return max((finding.level for finding in findings), default=Level.FINE)
