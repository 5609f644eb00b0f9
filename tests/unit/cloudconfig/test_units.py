"""Units that report: read as systemd reads them, and run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from kairos_netboot.cloudconfig.ignition_check import check_ignition
from kairos_netboot.cloudconfig.units import (
    Unit,
    coreos_units,
    flatcar_units,
    ready_command,
    ready_unit,
    shell,
)

REPORT = "http://192.0.2.1:8080/reports/" + "e" * 32
DOCUMENT = "http://192.0.2.1:8080/documents/" + "d" * 32 + "/config.ign"
UNITS = [
    ready_unit(REPORT),
    *flatcar_units(REPORT, DOCUMENT, "/dev/disk/by-id/a%b", "-C stable"),
    *coreos_units(REPORT),
]


def lines(unit: Unit) -> list[str]:
    dropins = unit.get("dropins", [])
    assert isinstance(dropins, list)
    texts = [unit.get("contents"), *(dropin["contents"] for dropin in dropins)]
    return [line for text in texts if isinstance(text, str) for line in text.splitlines()]


def unescaped(line: str) -> str:
    """A command as systemd.service(5) hands it over, where no variable is set."""
    match = re.fullmatch(r"""Exec\w+=-?/bin/sh -c "(.*)\"""", line)
    assert match, line
    text = re.sub(r"\\(.)", r"\1", match[1])
    return text.replace("%%", "%").replace("$$", "$")


SCRIPTS = [line for unit in UNITS for line in lines(unit) if "/bin/sh -c" in line]


def test_ignition_takes_them() -> None:
    config = {"ignition": {"version": "3.1.0"}, "systemd": {"units": UNITS}}
    assert list(check_ignition(config)) == []


@pytest.mark.parametrize("line", SCRIPTS)
def test_every_script_is_one_line_that_a_shell_reads(line: str) -> None:
    subprocess.run(["sh", "-n", "-c", unescaped(line)], check=True)
    assert not re.search(r"(?<!%)%(?!%)", line.replace("%%", ""))


def fake_curl(folder: Path, answer: str) -> dict[str, str]:
    curl = folder / "curl"
    curl.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {folder}/asked\nprintf {answer}\n')
    curl.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def ready_script(folder: Path) -> str:
    line = next(line for line in lines(UNITS[0]) if line.startswith("ExecStart="))
    return unescaped(line).replace("/var/lib/kairos-netboot", f"{folder}/told")


@pytest.mark.parametrize(("answer", "code", "told"), [("200", 0, 1), ("404", 0, 0), ("000", 1, 0)])
def test_ready_is_told_until_it_was_heard(
    tmp_path: Path, answer: str, code: int, told: int
) -> None:
    environment = fake_curl(tmp_path, answer)
    done = subprocess.run(["sh", "-c", ready_script(tmp_path)], env=environment, check=False)
    assert done.returncode == code
    assert len(list(tmp_path.glob("told/*"))) == told
    asked = (tmp_path / "asked").read_text()
    assert "\nversion=" in asked
    assert f"\n{REPORT}/ready\n" in asked


def test_what_was_told_is_not_told_again() -> None:
    condition = next(line for line in lines(UNITS[0]) if line.startswith("Condition"))
    assert re.fullmatch(r"ConditionPathExists=!/var/lib/kairos-netboot/[0-9a-f]{16}", condition)
    assert condition not in lines(ready_unit(REPORT.replace("e", "f")))


def test_a_failed_install_is_told_and_a_good_one_is_not(tmp_path: Path) -> None:
    environment = fake_curl(tmp_path, "200")
    (line,) = [line for line in SCRIPTS if "coreos-installer: " in line]
    script = unescaped(line)
    good = environment | {"SERVICE_RESULT": "success"}
    subprocess.run(["sh", "-c", script], env=good, check=True)
    assert not (tmp_path / "asked").exists()
    bad = environment | {"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "1"}
    subprocess.run(["sh", "-c", script], env=bad, check=True)
    asked = (tmp_path / "asked").read_text()
    assert "reason=coreos-installer: exit-code exited 1\n" in asked
    assert f"{REPORT}/install-failed\n" in asked


def test_an_end_is_told_once_it_is_heard(tmp_path: Path) -> None:
    environment = fake_curl(tmp_path, "200")
    for line in SCRIPTS:
        if "install-finished" in line:
            subprocess.run(["sh", "-c", unescaped(line)], env=environment, check=True)
    assert (tmp_path / "asked").read_text().count(f"{REPORT}/install-finished") == 2


def test_flatcar_is_installed_before_it_is_told_and_restarts_after() -> None:
    text = "\n".join(lines(UNITS[1]))
    order = ["config.ign http", "flatcar-install -d /dev/disk/by-id/a%%b", "finished", "reboot"]
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    assert " -C stable\n" in text


def test_the_command_for_systems_without_units_lets_go(tmp_path: Path) -> None:
    environment = fake_curl(tmp_path, "200")
    script = ready_command(REPORT).replace("/var/lib/kairos-netboot", f"{tmp_path}/told")
    subprocess.run(["sh", "-c", f"{script}\nwait"], env=environment, check=True, timeout=10)
    assert len(list(tmp_path.glob("told/*"))) == 1
    subprocess.run(["sh", "-c", f"{script}\nwait"], env=environment, check=True, timeout=10)
    assert (tmp_path / "asked").read_text().count(f"{REPORT}/ready") == 1


def test_what_systemd_would_expand_is_escaped() -> None:
    assert shell('a "$b" %c \\d') == '/bin/sh -c "a \\"$$b\\" %%c \\\\d"'
