"""How far an image has come: a value for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one step is, in bytes. `total` None: not known."""

    step: str
    done: int
    total: int | None
