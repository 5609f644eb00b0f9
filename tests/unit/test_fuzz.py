"""The fuzzer's targets: with what it found once, and with arbitrary bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

FOUND = sorted((Path(__file__).parents[1] / "fuzz" / "found").glob("*/*"))


@pytest.mark.parametrize("path", FOUND, ids=[f"{p.parent.name}-{p.name[:20]}" for p in FOUND])
def test_what_was_found_once_does_no_harm_again(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.binary(max_size=600))
@example(data=b"")
def test_arbitrary_bytes_do_no_harm(name: str, data: bytes) -> None:
    TARGETS[name](data)
