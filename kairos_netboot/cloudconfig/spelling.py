"""The nearest valid spelling of a mistyped word."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.75) -> str | None:
    """The known word that `word` was probably meant to be, or None."""
    # Kairos mixes `no-format` with `grub_options`: a hyphen for an underscore is the usual slip.
    folded = {_folded(candidate): candidate for candidate in known}
    close = get_close_matches(_folded(word), folded, n=1, cutoff=cutoff)
    return folded[close[0]] if close else None


def hint(word: str, known: Iterable[str]) -> str:
    """`; nearest: 'hostname'`, or empty."""
    near = nearest(word, known)
    return f"; nearest: '{near}'" if near else ""


def hint_or_known(word: str, known: Collection[str]) -> str:
    """`; nearest: 'hostname'`, or all that would have been right."""
    return hint(word, known) or f"; known: {', '.join(known) or 'none'}"


def _folded(word: str) -> str:
    return word.lower().replace("-", "_")
