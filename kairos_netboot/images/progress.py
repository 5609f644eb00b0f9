"""How far work on an image has come; the command line shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one step is, in bytes."""

    step: str
    done: int
    total: int


# A text is news of its own: what is being waited for, and how long.
Tell: TypeAlias = Callable[[Progress | str], None]


def summed(tell: Tell, step: str, total: int) -> Callable[[object, int], None]:
    """Several parts as one step: hears how far each is, tells how far all are."""
    parts: dict[object, int] = {}

    def heard(part: object, done: int) -> None:
        parts[part] = done
        tell(Progress(step=step, done=sum(parts.copy().values()), total=total))

    return heard


def count_of(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
