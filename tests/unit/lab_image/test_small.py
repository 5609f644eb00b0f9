"""The small image's parts that are made by hand: its archive, its partition table, its YAML."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import yaml

from kairos_netboot.cloudconfig.hooks import hook_stages
from kairos_netboot.cloudconfig.yamlnodes import map_node
from tests.lab.image_small.build import HERE, PARTITIONS, partition_table
from tests.lab.image_small.cpio import Archive
from tests.lab.image_small.modules import depends, in_order

DOCUMENT = """\
#cloud-config
hostname: 'alpha'
users:
- name: kairos
  groups: [admin]
install:
  auto: true # by itself
  device: "/dev/vda"
stages:
  boot:
  - name: say it
    commands:
    - echo plain
    - "echo \\"quoted\\""
    - |-
      first

        indented
      last
    only_os: debian
  network:
  - commands:
    - echo up
"""


@pytest.fixture
def awk() -> list[str]:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("there is no busybox here")
    return [busybox, "awk"]


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "document.yaml"
    path.write_text(DOCUMENT)
    return path


def commands(awk: list[str], document: Path, stage: str) -> tuple[list[str], str]:
    """The commands that one stage has, and what was said."""
    out = document.with_name(stage)
    out.mkdir()
    argv = [*awk, "-v", f"stage={stage}", "-v", f"out={out}", "-f", str(HERE / "initrd/stage.awk")]
    done = subprocess.run([*argv, str(document)], check=True, capture_output=True, text=True)
    found = sorted(path for path in out.iterdir() if path.suffix != ".name")
    return [path.read_text() for path in found], done.stdout


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("install", "auto", "true"),
        ("install", "device", "/dev/vda"),
        ("", "hostname", "alpha"),
        ("install", "reboot", ""),
    ],
)
def test_settings_are_read(
    awk: list[str], document: Path, section: str, key: str, value: str
) -> None:
    argv = [*awk, "-v", f"section={section}", "-v", f"key={key}", "-f"]
    argv += [str(HERE / "initrd/setting.awk"), str(document)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == value


def test_commands_of_a_stage_keep_their_lines(awk: list[str], document: Path) -> None:
    found, said = commands(awk, document, "boot")
    assert found == [
        "echo plain\n",
        'echo "quoted"\n',
        "first\n\n  indented\nlast\n",
    ]
    assert said == "STANDIN: stage boot: the stand-in ignores: only_os: debian\n"
    assert commands(awk, document, "network")[0] == ["echo up\n"]


def test_every_hook_of_the_server_is_read_as_it_was_written(awk: list[str], tmp_path: Path) -> None:
    node = hook_stages("http://192.0.2.1:8080/reports/0123")
    text = yaml.serialize(map_node({"stages": node}), width=10000)
    path = tmp_path / "document.yaml"
    path.write_text(text)
    for stage, entries in yaml.safe_load(text)["stages"].items():
        wanted = [f"{command}\n" for entry in entries for command in entry["commands"]]
        assert commands(awk, path, stage)[0] == wanted


def test_the_partitions_follow_each_other() -> None:
    table = partition_table()
    assert len(table) == 512
    assert table[510:] == b"\x55\xaa"
    entries = [struct.unpack_from("<4xB3xII", table, 446 + 16 * n) for n in range(4)]
    assert [kind for kind, _, _ in entries] == [kind for kind, _ in PARTITIONS]
    starts, sizes = [start for _, start, _ in entries], [size for _, _, size in entries]
    assert starts[0] == 2048
    assert starts[1:] == [a + b for a, b in zip(starts[:3], sizes[:3], strict=True)]


def test_the_archive_is_cpio_with_each_part_at_a_multiple_of_four() -> None:
    archive = Archive()
    archive.file("lib/a", b"12345", 0o755)
    archive.directory("lib")
    data = archive.data()
    assert data.startswith(b"070701")
    assert len(data) % 4 == 0
    assert b"12345" + bytes(3) + b"070701" in data
    assert b"TRAILER!!!\0" in data


def test_modules_come_after_what_they_need(tmp_path: Path) -> None:
    def module(name: str, needs: str) -> None:
        (tmp_path / f"{name}.ko").write_bytes(b"\x7fELF\0depends=" + needs.encode() + b"\0name=x\0")

    module("virtio_net", "net_failover,virtio")
    module("net-failover", "failover")
    module("failover", "")
    module("virtio", "")
    names = [path.stem for path in in_order(tmp_path, ["virtio-net", "built-in", "virtio"])]
    assert names == ["failover", "net-failover", "virtio", "virtio_net"]
    assert depends(b"no module") == []
