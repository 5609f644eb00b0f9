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
