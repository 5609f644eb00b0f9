"""k3OS' config.yaml, and the command that reports."""

from __future__ import annotations

import contextlib
import subprocess

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.cloudconfig.k3os import k3os_document
from kairos_netboot.errors import DocumentProblem

REPORT = "http://192.0.2.1:8080/reports/" + "e" * 32


def told(text: str) -> list[str]:
    return [str(finding) for finding in k3os_document(text, "c.yaml", REPORT).findings]


def test_the_command_that_reports_is_the_last_of_its_commands() -> None:
    text = "hostname: alpha\nrun_cmd:\n  - echo hello\nk3os: {token: abc}\n"
    found = yaml.safe_load(k3os_document(text, "c.yaml", REPORT).text)
    first, second = found.pop("run_cmd")
    assert first == "echo hello"
    assert f"{REPORT}/ready" in second
    assert found == {"hostname": "alpha", "k3os": {"token": "abc"}}
    subprocess.run(["sh", "-n", "-c", second], check=True)


@pytest.mark.parametrize("key", ["run_cmd", "runcmd"])
def test_both_spellings_are_gone_along_with(key: str) -> None:
    found = yaml.safe_load(k3os_document(f"{key}: [a]\n", "c", REPORT).text)
    assert [*found] == [key]
    assert len(found[key]) == 2


def test_the_readmes_own_keys_are_known() -> None:
    text = """\
ssh_authorized_keys: [github:somebody]
write_files:
  - {encoding: "", content: "a", owner: root, path: /etc/a, permissions: '0755'}
init_cmd: [a]
boot_cmd: [b]
k3os:
  data_sources: [cdrom]
  modules: [kvm]
  sysctl: {kernel.printk: "4 4 1 7"}
  dns_nameservers: [192.0.2.1]
  ntp_servers: [a]
  wifi: [{name: home, passphrase: abc}]
  password: abc
  server_url: https://server:6443
  token: abc
  labels: {a: b}
  k3s_args: [server, --disable-agent]
  environment: {http_proxy: http://a}
  taints: [a=b:NoSchedule]
"""
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hostnam: a\n", "c.yaml:1: hostnam: k3OS knows no such key; nearest: 'hostname'"),
        ("k3os: {tokn: a}\n", "k3os.tokn: k3OS knows no such key; nearest: 'token'"),
        ("run_cmd: a\n", "run_cmd: the text 'a' is here: write a list"),
        ("k3os: []\n", "k3os: a list is here: write a mapping"),
        ("hostname: [a]\n", "hostname: a list is here: write a text"),
        ("write_files: [a]\n", "write_files[0]: the text 'a' is here: write a mapping"),
        ("write_files: [{path: a}]\n", "write_files[0].path: write an absolute path"),
        ("write_files: [{path: /a, mode: 1}]\n", "write_files[0].mode: no such key"),
        ("write_files: [{path: /a, encoding: x}]\n", "write_files[0].encoding: 'x' is none"),
        ("ssh_authorized_keys: [{}]\n", "ssh_authorized_keys[0]: write a key"),
        ("k3os: {k3s_args: [--flag]}\n", "k3os.k3s_args[0]: k3s is started as"),
        ("k3os: {server_url: http://a}\n", "k3os.server_url: is no https:// address"),
    ],
)
def test_each_mistake_is_named(text: str, words: str) -> None:
    (line,) = told(text)
    assert words in line


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "text\n", "a: [\n"])
def test_what_is_no_mapping_is_no_config(text: str) -> None:
    with pytest.raises(DocumentProblem, match=r"^c\.yaml"):
        k3os_document(text, "c.yaml", REPORT)


@given(st.text(alphabet="hostnamek3run_cmdwritefil: \n[]{}-", max_size=60))
@example("k3os: {k3s_args: [[]]}")
@example("write_files: [{path: 1}]")
@example("run_cmd:")
def test_no_text_whatever_breaks_the_check(text: str) -> None:
    with contextlib.suppress(DocumentProblem):
        k3os_document(text, "c.yaml", REPORT)
