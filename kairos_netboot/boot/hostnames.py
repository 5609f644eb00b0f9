"""Names of machines: what one may be, and which one a pattern gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence

from ..errors import InvalidValue

# A node's name becomes a host name and a word in scripts (RFC 1123).
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
MAX_NAME = 253
# How many names are tried at once, and how far in all.
STEP = 100
MAX_INDEX = 10_000


def is_host_name(name: str) -> bool:
    return len(name) <= MAX_NAME and bool(_NAME.fullmatch(name))


def as_word(text: str) -> str:
    """A fact as part of a name: `PowerEdge R650` is `poweredge-r650`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def name_variables(told: Mapping[str, str]) -> dict[str, str]:
    """Facts or labels as a pattern uses them: fit for a name, `switch_port` for `switch-port`."""
    words = {key.replace("-", "_").replace(".", "_"): as_word(text) for key, text in told.items()}
    return {key: word for key, word in words.items() if word}


def choose_name(names: Callable[[int], Sequence[str]], taken: Container[str]) -> str:
    """The first name, by its index from 1, that nobody has. `names`: STEP of them from an index
    on. Raises InvalidValue where there is none."""
    for start in range(1, MAX_INDEX, STEP):
        found = names(start)
        for name in found:
            if not is_host_name(name):
                raise InvalidValue(f"it gives '{name[:80]}', which is no host name")
            if name not in taken:
                return name
        if len(set(found)) == 1:
            raise InvalidValue(
                f"it gives '{found[0]}', which another machine has: put {{{{ index }}}} into it"
            )
    raise InvalidValue(f"all its names are taken, up to index {MAX_INDEX}")
