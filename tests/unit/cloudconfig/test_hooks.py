"""The hooks' commands, run by a shell whose `curl`, `cat` and `sleep` are told what to answer."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from kairos_netboot.cloudconfig.hooks import hook_stages
from kairos_netboot.cloudconfig.yamlnodes import find, to_value, triples

URL = "http://192.0.2.1:8080/reports/0123456789abcdef0123456789abcdef"
LIVE = "BOOT_IMAGE=x rd.cos.disable netboot install-mode"
DISK = "root=LABEL=COS_ACTIVE extra=http://kairos-netboot/netboot-x"


def command(stage: str, url: str = URL) -> str:
    text = to_value(find(hook_stages(url), stage, 0, "commands", 0))
    assert isinstance(text, str)
    return text


@dataclass
class Machine:
    """A folder of programs, and what they noted down."""

    home: Path

    def program(self, name: str, script: str) -> None:
        path = self.home / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def answers(self, *codes: str) -> None:
        """What curl prints, call by call; the last one for ever."""
        (self.home / "codes").write_text("\n".join(codes) + "\n")
        self.program(
            "curl",
            f"""
            for word in "$@"; do printf '%s\\n' "$word" >> {self.home}/args; done
            echo call >> {self.home}/calls
            n=$(wc -l < {self.home}/calls); last=$(wc -l < {self.home}/codes)
            [ "$n" -gt "$last" ] && n=$last
            code=$(sed -n "${{n}}p" {self.home}/codes)
            printf %s "$code"
            [ "$code" != 000 ]""",
        )

    def boots(self, cmdline: str) -> None:
        self.program("cat", f"case $1 in *cmdline) echo '{cmdline}';; *) echo node-1;; esac")

    def run(self, text: str) -> int:
        path = f"{self.home}/bin:{os.environ['PATH']}"
        text = text.replace("/usr/local/.kairos-netboot", f"{self.home}/told")
        return subprocess.run(["/bin/sh", "-c", text], env={"PATH": path}, check=False).returncode

    def noted(self, name: str) -> list[str]:
        path = self.home / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "bin").mkdir()
    machine = Machine(tmp_path)
    machine.program("sleep", f'echo "$1" >> {tmp_path}/sleeps')
    machine.boots(DISK)
    machine.answers("200")
    return machine


def test_each_stage_of_an_install_reports() -> None:
    told = {
        stage: to_value(find(entries, 0, "name")) for stage, _, entries in triples(hook_stages(URL))
    }
    assert told == {
        "kairos-install.pre": "kairos-netboot: report install-started",
        "before-install": "kairos-netboot: report step/partitioned",
        "after-install": "kairos-netboot: report step/written",
        "kairos-install.after": "kairos-netboot: report install-finished",
        "network": "kairos-netboot: report ready",
    }


@pytest.mark.parametrize(
    ("stage", "path"),
    [
        ("kairos-install.pre", "install-started"),
        ("before-install", "step/partitioned"),
        ("after-install", "step/written"),
        ("kairos-install.after", "install-finished"),
    ],
)
def test_a_report_is_posted_to_its_address(machine: Machine, stage: str, path: str) -> None:
    assert machine.run(command(stage)) == 0
    assert machine.noted("args")[-1] == f"{URL}/{path}"
    assert "--data-urlencode" in machine.noted("args")
    assert machine.noted("calls") == ["call"]
    assert machine.noted("sleeps") == []


@pytest.mark.parametrize("stage", ["kairos-install.pre", "before-install", "after-install"])
def test_a_dead_server_holds_up_a_step_for_15_seconds_at_most(machine: Machine, stage: str) -> None:
    machine.answers("000")
    assert machine.run(command(stage)) == 0
    assert 5 * len(machine.noted("calls")) + sum(map(int, machine.noted("sleeps"))) <= 15


def test_the_end_is_reported_to_a_server_that_was_away_for_two_minutes(machine: Machine) -> None:
    machine.answers(*["000"] * 24, "200")
    assert machine.run(command("kairos-install.after")) == 0
    assert sum(map(int, machine.noted("sleeps"))) == 120
    assert len(machine.noted("calls")) == 25


def test_the_end_does_not_wait_for_ever(machine: Machine) -> None:
    machine.answers("000")
    assert machine.run(command("kairos-install.after")) == 0
    assert 5 * len(machine.noted("calls")) + sum(map(int, machine.noted("sleeps"))) <= 300


def test_a_server_error_is_tried_again_and_a_refusal_is_not(machine: Machine) -> None:
    machine.answers("503", "404", "200")
    assert machine.run(command("kairos-install.after")) == 0
    assert len(machine.noted("calls")) == 2


def test_a_machine_without_curl_installs_all_the_same(machine: Machine) -> None:
    machine.program("curl", "exit 127")
    assert machine.run(command("kairos-install.pre")) == 0


def test_an_address_cannot_leave_its_quotes(machine: Machine) -> None:
    odd = "http://[fe80::1%25eth0]:8080/reports/$(touch x)'"
    assert machine.run(command("kairos-install.pre", odd)) == 0
    assert machine.noted("args")[-1] == f"{odd}/install-started"


def test_ready_tells_the_host_name_once(machine: Machine) -> None:
    for _ in range(2):
        assert machine.run(command("network")) == 0
    assert machine.noted("calls") == ["call"]
    assert "hostname=node-1" in machine.noted("args")
    assert machine.noted("args")[-1] == f"{URL}/ready"


@pytest.mark.parametrize(
    ("cmdline", "boot"),
    [
        (DISK, "active"),
        ("root=LABEL=COS_PASSIVE cos-img/filename=/cOS/passive.img", "passive"),
        ("root=live:LABEL=COS_RECOVERY recovery-mode", "recovery"),
        ("kairos.ram netboot root=live:http://x/", "ram"),
        ("root=/dev/sda1", ""),
    ],
)
def test_ready_tells_what_was_booted(machine: Machine, cmdline: str, boot: str) -> None:
    machine.boots(cmdline)
    assert machine.run(command("network")) == 0
    assert f"boot={boot}" in machine.noted("args")


def test_ready_tells_addresses_and_version(machine: Machine) -> None:
    machine.program(
        "ip",
        "echo '2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0'\n"
        "echo '2: eth0    inet6 2001:db8::7/64 scope global dynamic'",
    )
    (machine.home / "release").write_text('KAIROS_ID="kairos"\nKAIROS_VERSION="v4.2.0"\n')
    text = command("network").replace("/etc/kairos-release", f"{machine.home}/release")
    assert machine.run(text) == 0
    assert "addresses=192.0.2.7,2001:db8::7" in machine.noted("args")
    assert "version=v4.2.0" in machine.noted("args")


def test_ready_finds_addresses_without_the_command_ip(machine: Machine) -> None:
    machine.program("ip", "exit 127")
    (machine.home / "trie").write_text(FIB_TRIE)
    text = command("network").replace("/proc/net/fib_trie", f"{machine.home}/trie")
    assert machine.run(text) == 0
    assert "addresses=192.0.2.7" in machine.noted("args")


FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.7
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 192.0.2.7
           /32 host LOCAL
"""


def test_ready_is_never_told_from_the_live_system(machine: Machine) -> None:
    machine.boots(LIVE)
    assert machine.run(command("network")) == 0
    assert machine.noted("calls") == []


def test_a_new_boot_of_the_installer_is_told_again(machine: Machine) -> None:
    machine.run(command("network"))
    machine.run(command("network", URL[:-1] + "0"))
    assert len(machine.noted("calls")) == 2


def test_the_sentinel_does_not_give_the_token_away(machine: Machine) -> None:
    machine.run(command("network"))
    (sentinel,) = (machine.home / "told").iterdir()
    assert sentinel.name not in URL
    assert URL[-32:] not in sentinel.name


def test_a_refused_ready_is_left_for_the_next_boot(machine: Machine) -> None:
    machine.answers("404")
    assert machine.run(command("network")) == 0
    assert machine.noted("calls") == ["call"]
    assert not (machine.home / "told").exists()


def test_ready_goes_on_in_the_background_and_holds_no_pipe(machine: Machine) -> None:
    machine.answers("000", "000", "000", "200")
    machine.program("sleep", f"echo $1 >> {machine.home}/sleeps; [ $1 = 10 ] && /bin/sleep 0.3")
    path = f"{machine.home}/bin:{os.environ['PATH']}"
    text = command("network").replace("/usr/local/.kairos-netboot", f"{machine.home}/told")
    # yip reads its commands' pipes to their end, as this does.
    shell = subprocess.run(
        ["/bin/sh", "-c", text + "\necho done"],
        env={"PATH": path},
        capture_output=True,
        check=True,
    )
    assert shell.stdout == b"done\n"
    assert not (machine.home / "told").exists()
    subprocess.run(
        ["/bin/sh", "-c", f"until [ -e {machine.home}/told/* ]; do sleep 0.05; done"],
        check=True,
        timeout=10,
    )
    assert len(machine.noted("calls")) == 4


def test_yip_finds_no_template_of_its_own_in_the_commands() -> None:
    for stage, _, _ in triples(hook_stages(URL)):
        assert "{{" not in command(stage)
