"""What Ignition's shapes do not say: one example for each rule."""

from __future__ import annotations

import pytest

from kairos_netboot.cloudconfig.ignition_check import check_ignition


def faults(version: str, sections: dict[str, object]) -> list[tuple[str, str, bool]]:
    found = check_ignition({"ignition": {"version": version}, **sections})
    return [(fault.place, fault.message, fault.is_error) for fault in found]


def fault(sections: dict[str, object], version: str = "3.4.0") -> tuple[str, str, bool]:
    (found,) = faults(version, sections)
    return found


def files(*entries: object) -> dict[str, object]:
    return {"storage": {"files": list(entries)}}


def unit(**fields: object) -> dict[str, object]:
    return {"systemd": {"units": [{"name": "a.service", **fields}]}}


FILE = {"path": "/etc/a"}


def source(text: str, **more: object) -> dict[str, object]:
    return files({**FILE, "contents": {"source": text, **more}})


@pytest.mark.parametrize(
    ("sections", "place", "words"),
    [
        (files({"path": "etc/a"}), "storage.files[0].path", "no absolute path"),
        (files(FILE, FILE), "storage.files[1].path", "there already, in storage.files[0]"),
        (
            {"storage": {"files": [FILE], "directories": [FILE]}},
            "storage.directories[0].path",
            "'/etc/a' is there already",
        ),
        (files({**FILE, "mode": 4096}), "storage.files[0].mode", "up to 4095"),
        (files({**FILE, "mode": -1}), "storage.files[0].mode", "is no mode"),
        (files({**FILE, "overwrite": True}), "storage.files[0].overwrite", "needs `contents`"),
        (
            {"storage": {"disks": [{"device": "sda"}]}},
            "storage.disks[0].device",
            "no absolute path",
        ),
        (
            {"storage": {"disks": [{"device": "/dev/sda"}, {"device": "/dev/sda"}]}},
            "storage.disks[1].device",
            "there already, at [0]",
        ),
        (
            {"storage": {"disks": [{"device": "/dev/a", "partitions": [{"sizeMiB": 1}]}]}},
            "storage.disks[0].partitions[0]",
            "neither a number nor a label",
        ),
        (
            {
                "storage": {
                    "disks": [{"device": "/dev/a", "partitions": [{"number": 1}, {"number": 1}]}]
                }
            },
            "storage.disks[0].partitions[1].number",
            "'1' is there already",
        ),
        (
            {"storage": {"raid": [{"name": "r", "level": "raid1", "devices": ["sda"]}]}},
            "storage.raid[0].devices[0]",
            "no absolute path",
        ),
        (
            {"storage": {"filesystems": [{"device": "/dev/a", "format": "zfs"}]}},
            "storage.filesystems[0].format",
            "'zfs' is none of ext4, btrfs, xfs, vfat, swap, none",
        ),
        (
            {"systemd": {"units": [{"name": "a"}]}},
            "systemd.units[0].name",
            "'a' is no unit's name: it ends like app.service",
        ),
        (
            {"systemd": {"units": [{"name": "a.service"}, {"name": "a.service"}]}},
            "systemd.units[1].name",
            "there already",
        ),
        (unit(contents="x=1\n"), "systemd.units[0].contents", "line 1 stands before any"),
        (unit(contents="[Unit]\nx\n"), "systemd.units[0].contents", "line 2 is no KEY=VALUE: 'x'"),
        (unit(dropins=[{"name": "a"}]), "systemd.units[0].dropins[0].name", "end in .conf"),
        (
            unit(dropins=[{"name": "a.conf"}, {"name": "a.conf"}]),
            "systemd.units[0].dropins[1].name",
            "there already",
        ),
        (
            unit(dropins=[{"name": "a.conf", "contents": "x=1"}]),
            "systemd.units[0].dropins[0].contents",
            "before any [Section]",
        ),
        ({"passwd": {"users": [{"name": "a b"}]}}, "passwd.users[0].name", "no name of an"),
        (
            {"passwd": {"users": [{"name": "a"}, {"name": "a"}]}},
            "passwd.users[1].name",
            "'a' is there already",
        ),
        ({"passwd": {"users": [{"name": "a", "uid": -1}]}}, "passwd.users[0].uid", "is no ID"),
        (
            {"passwd": {"users": [{"name": "a", "passwordHash": "geheim"}]}},
            "passwd.users[0].passwordHash",
            "is no hash of a password",
        ),
        (source("text"), "storage.files[0].contents.source", "'text' is no address"),
        (source("file:///etc/a"), "storage.files[0].contents.source", "is no address"),
        (source("http:///a"), "storage.files[0].contents.source", "names no server"),
        (source("data:text"), "storage.files[0].contents.source", "a comma before its data"),
        (source("data:,a b"), "storage.files[0].contents.source", "no spaces or quotes"),
        (source("data:;base64,a"), "storage.files[0].contents.source", "is no base64"),
        (
            source("data:,a", compression="xz"),
            "storage.files[0].contents.compression",
            "none that Ignition unpacks",
        ),
        (
            source("data:,a", verification={"hash": "md5-1"}),
            "storage.files[0].contents.verification.hash",
            "is no sha512-",
        ),
    ],
)
def test_each_rule_is_told_with_its_place(
    sections: dict[str, object], place: str, words: str
) -> None:
    found, message, is_error = fault(sections)
    assert found == place
    assert words in message
    assert is_error


def test_a_mode_that_was_meant_as_octal_is_doubted() -> None:
    place, message, is_error = fault(files({**FILE, "mode": 644}))
    assert place == "storage.files[0].mode"
    assert message == "644 stands for 1204: JSON has no octal numbers, and 644 there is 420"
    assert not is_error


@pytest.mark.parametrize("mode", [420, 384, 493, 0, 448])
def test_modes_in_decimal_are_not_doubted(mode: int) -> None:
    assert faults("3.4.0", files({**FILE, "mode": mode})) == []


def test_a_unit_that_cannot_be_enabled_is_doubted() -> None:
    place, message, is_error = fault(unit(enabled=True, contents="[Service]\nExecStart=/bin/a\n"))
    assert (place, is_error) == ("systemd.units[0].enabled", False)
    assert "without [Install]" in message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# a comment\n; another\n\n[Unit]\nAfter=a.service\n",
        "[Service]\nExecStart=/bin/a \\\n  --more \\\n  anything\nRestart=no\n",
        "[X-Own]\nX-Key = value = more\n",
    ],
)
def test_units_may_be_written_in_all_of_systemds_ways(text: str) -> None:
    assert faults("3.4.0", unit(contents=text)) == []


@pytest.mark.parametrize(
    "text",
    ["", "data:,", "data:,a%20b", "data:text/plain;charset=utf-8;base64,YQ==", "s3://b/o",
     "https://x.io/a?b=c", "tftp://x/a", "arn:aws:s3:::b/o", "DATA:;base64,YQ%3D%3D"],
)  # fmt: skip
def test_addresses_of_every_kind_are_taken(text: str) -> None:
    assert faults("3.4.0", source(text)) == []


def test_a_sum_is_of_a_kind_that_its_version_knows() -> None:
    sections = source("data:,a", verification={"hash": "sha256-" + "0" * 64})
    assert faults("3.1.0", sections) == []
    assert fault(sections, "3.0.0")[0] == "storage.files[0].contents.verification.hash"


def test_no_format_at_all_came_late() -> None:
    sections: dict[str, object] = {
        "storage": {"filesystems": [{"device": "/dev/a", "format": "none"}]}
    }
    assert faults("3.3.0", sections) == []
    assert fault(sections, "3.2.0")[0] == "storage.filesystems[0].format"


def test_an_old_filesystem_is_mounted_or_has_a_path() -> None:
    for entry in ({"name": "a"}, {"path": "/a", "mount": {"device": "/dev/a", "format": "xfs"}}):
        place, message, _ = fault({"storage": {"filesystems": [entry]}}, "2.3.0")
        assert (place, message) == ("storage.filesystems[0]", "wants either `mount` or `path`")


def test_an_old_file_is_appended_to_as_often_as_one_likes() -> None:
    entry = {"filesystem": "root", "path": "/a", "append": True}
    assert faults("2.3.0", files(entry, entry)) == []
    assert faults("2.3.0", files(entry, {**entry, "filesystem": "var", "append": False})) == []
