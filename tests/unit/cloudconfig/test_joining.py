"""The hook that tells join tokens, run with stand-ins for k0s and curl."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kairos_netboot.cloudconfig.joining import join_stages
from kairos_netboot.cloudconfig.yamlnodes import find, to_value

REPORTS = "http://192.0.2.9:8080/reports/" + "f" * 32
K0S = '#!/bin/sh\necho "$*" >> "$LOG/k0s.log"\necho "TOKEN-$3"\n'
CURL = """#!/bin/sh
echo "$*" >> "$LOG/curl.log"
cat >> "$LOG/told"
echo >> "$LOG/told"
printf %s "$ANSWER"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("k0s", K0S), ("curl", CURL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def run(folder: Path, answer: str) -> None:
    (entry,) = [to_value(join_stages(REPORTS, ("worker", "controller"))["stages"])]
    assert isinstance(entry, dict)
    command = entry["network"][0]["commands"][0]
    here = command.replace("/usr/local/.kairos-netboot", str(folder / "kept"))
    here = here.replace("sleep 10", "exit 1")  # no test leaves a shell behind
    path = f"{folder}:{os.environ['PATH']}"
    env = {"PATH": path, "LOG": str(folder), "ANSWER": answer}
    subprocess.run(["sh", "-c", here + "\nwait"], env=env, check=True, timeout=8)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_both_tokens_are_told_once(folder: Path) -> None:
    for _ in range(2):
        run(folder, "200")
    assert lines(folder / "told") == ["TOKEN---role=worker", "TOKEN---role=controller"]
    addresses = [line.rsplit(" ", 1)[-1] for line in lines(folder / "curl.log")]
    assert addresses == [f"{REPORTS}/join/worker", f"{REPORTS}/join/controller"]


def test_a_refusal_is_an_answer_and_ends_it(folder: Path) -> None:
    run(folder, "409")
    assert len(lines(folder / "curl.log")) == 2


def test_no_token_is_in_an_argument(folder: Path) -> None:
    run(folder, "200")
    assert not [line for line in lines(folder / "curl.log") if "TOKEN-" in line]


def test_whoever_has_nothing_to_tell_has_no_hook() -> None:
    assert join_stages(REPORTS, ()) == {}
    assert find(join_stages(REPORTS, ("worker",))["stages"], "network") is not None
