"""The shell's function that tells us something, run with a curl that only writes down."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kairos_netboot.cloudconfig.telling import told_to


def _run(tmp_path: Path, script: str, *, status: str) -> list[str]:
    """What curl was called with, a line for each call."""
    shell = shutil.which("sh")
    if shell is None:
        pytest.skip("there is no shell here")
    calls = tmp_path / "calls"
    curl = tmp_path / "curl"
    curl.write_text(f'#!{shell}\necho "$@" >> {calls}\nprintf {status}\n')
    curl.chmod(0o755)
    text = f"sleep() {{ :; }}\n{told_to('http://192.0.2.1/reports/abc')}\n{script}\n"
    path = f"{tmp_path}:/usr/bin:/bin"
    subprocess.run([shell, "-c", text], check=True, env={"PATH": path})
    return calls.read_text().splitlines()


@pytest.mark.parametrize("status", ["200", "404"])
def test_an_answer_is_an_end(tmp_path: Path, status: str) -> None:
    script = "tell 9 wiped --data-urlencode 'disk=/dev/a b'"
    (call,) = _run(tmp_path, script, status=status)
    assert call.endswith(
        "event=wiped --data-urlencode disk=/dev/a b http://192.0.2.1/reports/abc/wiped"
    )


@pytest.mark.parametrize("status", ["000", "500"])
def test_no_answer_is_asked_for_again_so_often_as_was_said(tmp_path: Path, status: str) -> None:
    assert len(_run(tmp_path, "tell 3 wiped || true", status=status)) == 3


def test_the_arguments_of_whoever_calls_it_stay(tmp_path: Path) -> None:
    script = 'set -- one two\ntell 1 first\ntell 1 "$1-$2"'
    assert _run(tmp_path, script, status="200")[1].endswith("/reports/abc/one-two")
