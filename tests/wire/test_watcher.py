"""The watcher over an installer, run by the shells that images have, against a real HTTP server.

Paths of the machine's own are moved into a folder; the processes are real.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import yaml

from kairos_netboot.cloudconfig.hooks import hook_stages
from kairos_netboot.cloudconfig.yamlnodes import find, to_value

SHELLS = [
    pytest.param(words, id=words[0], marks=pytest.mark.skipif(not path, reason="not installed"))
    for words in (["dash"], ["busybox", "sh"], ["bash"])
    for path in [shutil.which(words[0])]
]
pytestmark = [pytest.mark.wire, pytest.mark.timeout(60)]
MOVED = ("/run/", "/sys/fs/cgroup", "/var/log/kairos", "/dev/vcs1", "/dev/tty1")


@dataclass
class Reports:
    """A server that takes every report, and what it was told."""

    told: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    status: int = 200
    url: str = ""

    def paths(self) -> list[str]:
        return [path for path, _ in self.told]


@contextmanager
def listening() -> Iterator[Reports]:
    reports = Reports()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            fields = {key: values[0] for key, values in parse_qs(body).items()}
            reports.told.append((self.path.partition("/reports/x/")[2], fields))
            self.send_response(reports.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    reports.url = f"http://127.0.0.1:{server.server_port}/reports/x"
    try:
        yield reports
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Machine:
    """An installer that runs its first hook and then stays until it is told to end."""

    home: Path
    shell: list[str]
    reports: Reports

    def command(self, stage: str, *, written: bool = True) -> str:
        """The last one of a hook, its file written as yip does."""
        stages = hook_stages(self.reports.url)
        if written:
            text = self._moved(find(stages, "kairos-install.pre", 0, "files", 0, "content"))
            (self.home / "run").mkdir(exist_ok=True)
            script = text.replace("sleep 2", "sleep 0.05").replace("sleep 5", "sleep 0.05")
            (self.home / "run/kairos-netboot-watch.sh").write_text(script)
        command = self._moved(find(stages, stage, 0, "commands", 1))
        return command.replace(" || sh ", f" || {' '.join(self.shell)} ")

    def _moved(self, node: yaml.Node | None) -> str:
        text = to_value(node)
        assert isinstance(text, str)
        for path in MOVED:
            text = text.replace(path, f"{self.home}{path}")
        return text

    def program(self, name: str, script: str) -> Path:
        path = self.home / "bin" / name
        path.write_text(f"#!{shutil.which(self.shell[0])} {' '.join(self.shell[1:])}\n{script}\n")
        path.chmod(0o755)
        return path

    @contextmanager
    def installing(self, times: int = 1) -> Iterator[subprocess.Popen[bytes]]:
        hook = self.home / "hook.sh"
        hook.write_text(self.command("kairos-install.pre"))
        # yip runs `sh -c`, and waits for the pipes of what it runs.
        run = f'{" ".join(self.shell)} -c "$(cat {hook})" | cat\n' * times
        agent = self.program("kairos-agent", f"{run}: > {self.home}/hooked\nread end\nexit $end")
        path = f"{self.home}/bin:{os.environ['PATH']}"
        with subprocess.Popen([agent], stdin=subprocess.PIPE, env={"PATH": path}) as process:
            try:
                until(lambda: (self.home / "hooked").exists())
                yield process
            finally:
                process.kill()

    def ends(self, process: subprocess.Popen[bytes], code: int) -> None:
        process.communicate(f"{code}\n".encode())

    def writes(self, path: str, size: int = 0, filled: int = 0) -> None:
        """A file of that size, the first part of it on the disk."""
        file = self.home / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as target:
            target.write(b"x" * filled)
            target.truncate(max(size, filled))
            os.fsync(target.fileno())  # blocks are counted when they are given

    def watchers(self) -> int:
        """Processes that run the hook's text."""
        found = 0
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found += f"{self.home}/run/kairos-netboot-watch.sh".encode() in line.read_bytes()
            except OSError:
                continue
        return found


def until(happened: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    (tmp_path / "bin").mkdir()
    with listening() as reports:
        machine = Machine(tmp_path, request.param, reports)
        machine.program("journalctl", "echo 'INF Partitioning device'; echo 'ERR no space left'")
        machine.program("systemctl", "echo running")
        yield machine
        until(lambda: machine.watchers() == 0)


STATE, RECOVERY = "/run/cos/state", "/run/cos/recovery"


def test_each_step_is_told_when_its_traces_are_there(machine: Machine) -> None:
    told = machine.reports
    with machine.installing():
        until(lambda: "step/partition" in told.paths())
        machine.writes(f"{STATE}/cOS/active.img", size=4 << 20)
        until(lambda: "step/active" in told.paths())
        machine.writes(f"{STATE}/cOS/active.img", size=4 << 20, filled=2 << 20)
        until(lambda: ("step/active", {"percent": "50"}) in told.told)
        machine.writes(f"{STATE}/cOS/active.img", filled=4 << 20)
        machine.writes(f"{STATE}/grub2/grub.cfg")
        until(lambda: "step/bootloader" in told.paths())
        machine.writes(f"{RECOVERY}/cOS/recovery.img", filled=1 << 20)
        until(lambda: ("step/recovery", {"percent": "25"}) in told.told)
        machine.writes(f"{STATE}/cOS/passive.img", filled=3 << 20)
        until(lambda: ("step/passive", {"percent": "75"}) in told.told)
        machine.writes("/run/kairos-netboot/done")
        until(lambda: machine.watchers() == 0)
    assert "install-failed" not in told.paths()


def test_an_installer_that_ends_too_early_has_failed_and_says_why(machine: Machine) -> None:
    with machine.installing() as process:
        until(lambda: machine.reports.told)
        machine.ends(process, 1)
    until(lambda: "install-failed" in machine.reports.paths())
    fields = dict(machine.reports.told)["install-failed"]
    assert fields["reason"] == "ERR no space left"
    assert fields["lines"].splitlines() == ["INF Partitioning device", "ERR no space left"]


def test_what_a_stage_wrote_as_the_reason_comes_first(machine: Machine) -> None:
    with machine.installing() as process:
        machine.writes("/run/cos/fail_installation")
        (machine.home / "run/cos/fail_installation").write_text("no disk of 100 GB\n")
        machine.ends(process, 1)
    until(lambda: "install-failed" in machine.reports.paths())
    assert dict(machine.reports.told)["install-failed"]["reason"] == "no disk of 100 GB"


def test_without_a_journal_the_agent_s_file_and_its_screen_are_sent(machine: Machine) -> None:
    machine.program("journalctl", "exit 1")
    machine.writes("/var/log/kairos/agent.log")
    (machine.home / "var/log/kairos/agent.log").write_text("one\ntwo FATAL\n")
    screen = machine.home / "dev/vcs1"
    screen.parent.mkdir()
    screen.write_text("panic: all over".ljust(80) + " " * 80 + "# ".ljust(80))
    with machine.installing() as process:
        machine.ends(process, 1)
    until(lambda: "install-failed" in machine.reports.paths())
    fields = dict(machine.reports.told)["install-failed"]
    assert fields["lines"].splitlines() == [
        "one",
        "two FATAL",
        "on its screen:",
        "panic: all over",
        "#",
    ]
    assert fields["reason"] == "panic: all over"


def test_an_installer_that_reached_its_last_hook_has_not_failed(machine: Machine) -> None:
    with machine.installing() as process:
        until(lambda: machine.reports.told)
        subprocess.run([*machine.shell, "-c", machine.command("kairos-install.after")], check=True)
        machine.ends(process, 0)
        until(lambda: machine.watchers() == 0)
    assert "install-failed" not in machine.reports.paths()


def test_a_machine_that_is_shut_down_has_not_failed(machine: Machine) -> None:
    machine.program("systemctl", "echo stopping")
    with machine.installing() as process:
        machine.ends(process, 1)
    until(lambda: machine.watchers() == 0)
    assert "install-failed" not in machine.reports.paths()


def test_a_hook_that_runs_twice_starts_one_watcher(machine: Machine) -> None:
    with machine.installing(times=2) as process:
        until(lambda: machine.reports.told)
        time.sleep(0.3)
        machine.ends(process, 1)
    until(lambda: machine.watchers() == 0)
    assert machine.reports.paths().count("install-failed") == 1


def test_a_server_that_knows_the_boot_no_more_is_left_alone(machine: Machine) -> None:
    machine.reports.status = 404
    with machine.installing():
        until(lambda: machine.reports.told and machine.watchers() == 0)
    assert len(machine.reports.told) == 1


def test_the_words_of_a_good_install_are_sent_at_its_end(machine: Machine) -> None:
    path = f"{machine.home}/bin:{os.environ['PATH']}"
    command = [*machine.shell, "-c", machine.command("kairos-install.after")]
    subprocess.run(command, check=True, env={"PATH": path})
    assert machine.reports.paths() == ["log"]
    assert "INF Partitioning device" in machine.reports.told[0][1]["lines"]


def test_many_words_are_cut_to_what_the_server_takes(machine: Machine) -> None:
    machine.program(
        "journalctl", "n=0; while [ $n -lt 40 ]; do n=$((n+1)); printf '%01000d\\n' 7; done"
    )
    with machine.installing() as process:
        machine.ends(process, 1)
    until(lambda: "install-failed" in machine.reports.paths())
    assert len(dict(machine.reports.told)["install-failed"]["lines"]) <= 16_000


def test_a_last_hook_without_its_script_fails_nothing(machine: Machine) -> None:
    command = machine.command("kairos-install.after", written=False)
    subprocess.run([*machine.shell, "-c", command], check=True)
    assert machine.reports.told == []


def test_yip_finds_no_template_of_its_own_in_the_script(machine: Machine) -> None:
    machine.command("kairos-install.pre")
    assert "{{" not in (machine.home / "run/kairos-netboot-watch.sh").read_text()
