from __future__ import annotations

from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kairos_netboot.errors import StoreProblem
from kairos_netboot.server.content import OpenFile

DATA = Random(1).randbytes((1 << 18) * 2 + 77)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "kernel").write_bytes(DATA)
    return tmp_path / "kernel"


@pytest.mark.parametrize("block", [512, 1024, 1468, 65464, 1 << 19])
def test_blocks_one_after_the_other_are_the_file(path: Path, block: int) -> None:
    with closing(OpenFile.at(path)) as file:
        assert len(file) == len(DATA)
        blocks = [file[start : start + block] for start in range(0, len(DATA) + block, block)]
        assert b"".join(blocks) == DATA


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(DATA) + 9), st.integers(0, 70_000))
def test_any_slice_is_what_bytes_would_give(path: Path, start: int, size: int) -> None:
    with closing(OpenFile.at(path)) as file:
        assert file[start : start + size] == DATA[start : start + size]


def test_an_empty_file_has_an_empty_block(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with closing(OpenFile.at(tmp_path / "empty")) as file:
        assert file[0:512] == b""


def test_a_file_that_shrank_says_so(path: Path) -> None:
    with closing(OpenFile.at(path)) as file:
        path.write_bytes(b"short")
        with pytest.raises(StoreProblem, match=r"kernel has 5 bytes of \d+"):
            file[0:512]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OpenFile.at(tmp_path / "none")
