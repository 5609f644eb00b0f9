"""The stand-in's decisions: what it must share with Kairos, tested without a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.image.standin import checks, cmdline, disks, documents, grub, stages
from tests.lab.image.standin.boot import lease_servers
from tests.lab.image.standin.cmdline import BootState
from tests.lab.image.standin.console import devices
from tests.lab.image.standin.disks import Disk
from tests.lab.image.standin.documents import ConfigError, Document
from tests.lab.image.standin.install import inside

LIVE = "root=live:http://s/r.squashfs netboot install-mode config_url=http://s/c console=tty1"


@pytest.mark.parametrize(
    ("line", "state"),
    [
        (LIVE, BootState.LIVE),
        ("netboot COS_ACTIVE", BootState.ACTIVE),
        ("netboot config_url=http://kairos.reset/", BootState.RESET),
        ("netboot config_url=http://s/recovery-mode", BootState.RECOVERY),
        (grub.CMDLINE, BootState.ACTIVE),
        ("root=/dev/vda1", BootState.UNKNOWN),
    ],
)
def test_the_first_mark_on_the_line_names_the_boot_state(line: str, state: BootState) -> None:
    assert cmdline.boot_state(line) is state


def test_the_installer_needs_netboot_and_a_mode() -> None:
    assert cmdline.wants_install(LIVE)
    assert cmdline.wants_install("netboot nodepair.enable")
    assert not cmdline.wants_install("netboot")
    assert not cmdline.wants_install("install-mode rd.cos.disable")


def test_the_installed_line_starts_no_installer() -> None:
    assert not {"netboot", "install-mode"} & set(grub.CMDLINE.split())
    assert not cmdline.wants_install(grub.CMDLINE)
    assert "console=ttyS0" in grub.CMDLINE


def test_only_known_keys_of_the_line_become_configuration() -> None:
    line = (
        "root=live:x install.device=/dev/vdb install.auto=true config_url=http://h:1/c?a=b users=x"
    )
    assert cmdline.settings(line) == {
        "install": {"device": "/dev/vdb", "auto": True},
        "config_url": "http://h:1/c?a=b",
    }


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        (["x", "y"], ["y", "z"], ["x", "y", "z"]),
        ([{"n": 1}], [{"n": 1}], [{"n": 1}, {"n": 1}]),
        ({"u": "http://s"}, {"u": ""}, {"u": ""}),
        ({"a": [1]}, {"a": "one"}, {"a": "one"}),
    ],
)
def test_merge_follows_kairos(base: object, over: object, merged: object) -> None:
    assert documents.merge(base, over) == merged


def test_a_header_counts_within_ten_lines() -> None:
    assert documents.parse("\n" * 9 + "#cloud-config\na: 1") == {"a": 1}
    assert documents.parse("\n" * 10 + "#cloud-config\na: 1") == {}
    assert documents.parse("# cloud-config\na: 1") == {}


def test_scalars_are_those_of_yaml_1_2() -> None:
    text = "#cloud-config\nmac: 52:54:00:12:34:56\nsay: no\nyes: true\nmode: 0644\nn: 12\n"
    mac = {"mac": "52:54:00:12:34:56", "say": "no", "yes": True, "mode": 0o644, "n": 12}
    assert documents.parse(text) == mac


def test_a_dumped_document_reads_back() -> None:
    document = {"config_url": "", "stages": {"network": [{"commands": ["a: b", "x\ny"]}]}}
    assert documents.parse(documents.dump(document)) == document


def test_broken_yaml_is_an_error() -> None:
    with pytest.raises(ConfigError, match="not valid YAML"):
        documents.parse("#cloud-config\na: [")


def test_a_remote_document_is_merged_over_its_source_once() -> None:
    remote = "#cloud-config\nconfig_url: ''\nusers: [{name: a}]\nhostname: n\n"
    source = {"config_url": "http://s/c", "hostname": "old"}
    found = documents.collect([source], {"http://s/c": remote}.get)
    assert found == {"config_url": "", "users": [{"name": "a"}], "hostname": "n"}


def test_later_sources_win_and_chains_are_followed() -> None:
    pages = {
        "u:1": "#cloud-config\nconfig_url: 'u:2'\na: 1\n",
        "u:2": "#cloud-config\na: 2\nb: 2\n",
    }
    found = documents.collect([{"config_url": "u:1"}, {"b": 3}], pages.get)
    assert found == {"config_url": "u:2", "a": 2, "b": 3}


def test_a_failed_fetch_is_an_empty_document() -> None:
    assert documents.collect([{"config_url": "u"}], lambda _: None) == {"config_url": "u"}
    assert documents.collect([{"config_url": "u"}], lambda _: "<html>") == {"config_url": "u"}


def test_a_document_that_names_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match="on and on"):
        documents.collect([{"config_url": "u"}], lambda _: "#cloud-config\nconfig_url: u\n")


@pytest.mark.parametrize(
    ("document", "good"),
    [
        ({"users": [{"name": "k", "groups": ["admin"]}]}, True),
        ({"stages": {"initramfs": [{"users": {"k": {"groups": ["admin"]}}}]}}, True),
        ({"install": {"nousers": True}}, True),
        ({"users": [{"name": "k"}], "stages": {"boot": None}}, False),
        ({}, False),
    ],
)
def test_somebody_must_be_admin(document: Document, good: bool) -> None:
    assert documents.has_admin(document) is good


def test_a_stage_has_its_before_and_after() -> None:
    document = {
        "stages": {
            "boot.after": [{"name": "3"}],
            "boot": [{"name": "2", "if": "true", "commands": ["x"], "sysctl": {}}],
            "boot.before": [{"hostname": "h", "files": [{"path": "/f", "permissions": "0600"}]}],
        }
    }
    first, second, third = stages.entries(document, "boot")
    assert (first.name, first.hostname, first.files[0].mode) == ("(no name)", "h", 0o600)
    assert (second.guard, second.commands, second.ignored) == ("true", ("x",), ("sysctl",))
    assert third.name == "3"
    assert stages.entries({"stages": None}, "boot") == []


def test_a_file_gets_its_folders_and_mode(tmp_path: Path) -> None:
    stages.write_file(stages.File(path="/a/b", content="c", mode=0o640), tmp_path)
    assert (tmp_path / "a/b").read_text() == "c"
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o640


def test_auto_takes_the_largest_fixed_disk() -> None:
    found = [
        Disk(name="vda", size=4),
        Disk(name="nvme0n1", size=8),
        Disk(name="sdb", size=99, removable=True),
        Disk(name="dm-0", size=99),
        Disk(name="loop0", size=99),
    ]
    assert disks.choose("", found) == disks.choose("auto", found) == "/dev/nvme0n1"
    assert disks.choose("auto", []) == "/dev/sda"
    assert disks.choose("/dev/vda", found) == "/dev/vda"


def test_a_missing_or_mounted_device_stops_before_partitioning() -> None:
    with pytest.raises(disks.DiskError, match=r"/dev/absent does not exist: nothing"):
        disks.check("/dev/absent", 1, "")


def test_partitions_carry_kairos_labels() -> None:
    parts = disks.layout(100 << 20)
    labels = ["", "COS_GRUB", "COS_OEM", "COS_RECOVERY", "COS_STATE", "COS_PERSISTENT"]
    assert [part.label for part in parts] == labels
    assert disks.needed_bytes(parts) < 4 << 30
    assert disks.sfdisk_script(parts).splitlines()[-1].endswith('name="persistent"')


def test_partition_names_follow_the_disk() -> None:
    assert disks.partition_path("/dev/vda", 3) == "/dev/vda3"
    assert disks.partition_path("/dev/nvme0n1", 3) == "/dev/nvme0n1p3"


def test_the_boot_sector_keeps_the_partition_table() -> None:
    sector = grub.boot_sector(b"\xeb" * 512, b"\0" * 446 + b"\x01" * 66, 2048)
    assert len(sector) == 512
    assert sector[446:] == b"\x01" * 66
    assert sector[0x5C:0x64] == (2048).to_bytes(8, "little")
    assert grub.core_image(b"\0" * 1024, 2048)[500:508] == (2049).to_bytes(8, "little")


def test_extra_arguments_end_the_menu_line() -> None:
    assert "standin.image=COS_ACTIVE config_url=x\n" in grub.menu("config_url=x")


def test_links_resolve_inside_the_image(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz").symlink_to("/boot/vmlinuz-1")
    (tmp_path / "boot/vmlinuz-1").touch()
    assert inside(tmp_path, Path("/boot/vmlinuz")) == tmp_path / "boot/vmlinuz-1"


def test_the_console_is_written_once() -> None:
    assert devices("tty0 ttyS0\n") == ["/dev/console"]
    assert devices("ttyS0 tty1\n") == ["/dev/console", "/dev/ttyS0"]


def test_name_servers_come_from_the_lease() -> None:
    assert lease_servers("ADDRESS=10.0.0.2\nDNS=10.0.0.1 10.0.0.3\n") == ["10.0.0.1", "10.0.0.3"]


def test_a_careless_merge_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "opaque").mkdir()
    (tmp_path / "opaque/below").touch()
    for name in ("removed-by-whiteout", "hard-link", "with-capability", "owned"):
        (tmp_path / name).touch()
    assert len(checks.failures(tmp_path)) == 6
