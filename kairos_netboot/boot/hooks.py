"""Who is told when a node's state changes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """`secret` signs what is sent; `kinds`: of events, empty for all that change a state."""

    url: str
    secret: str = ""
    kinds: tuple[str, ...] = ()
