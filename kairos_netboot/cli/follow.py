"""Commands that go on while the database changes, with or without a server at work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from ..errors import StoreProblem
from ..store.store import Store

_POLL_SECONDS = 0.5


def changes(store: Store, follow: bool) -> Iterator[None]:
    """Once now, and where it is wanted again whenever another process has written, for ever."""
    known = store.change_count()
    yield
    while follow:
        time.sleep(_POLL_SECONDS)
        with suppress(StoreProblem):  # busy for longer than usual; it comes back
            now = store.change_count()
            if now == known:
                continue
            known = now
        yield
