"""Ignition's shapes and versions: one fault each."""

from __future__ import annotations

from typing import Any

import pytest

from kairos_netboot.cloudconfig.ignition_check import check_ignition, errors_of

V3: dict[str, Any] = {"version": "3.5.0"}


def told(config: object) -> list[str]:
    return [f"{fault.place}: {fault.message}" for fault in check_ignition(config)]


def told_of(version: str = "3.5.0", **sections: object) -> list[str]:
    return told({"ignition": {"version": version}, **sections})


def test_the_smallest_config_is_one() -> None:
    for version in ("2.2.0", "2.3.0", "3.0.0", "3.1.0", "3.2.0", "3.3.0", "3.4.0", "3.5.0"):
        assert told_of(version) == []


def test_null_stands_for_what_is_not_there() -> None:
    assert told_of(storage=None, systemd={"units": None}, passwd={}) == []


@pytest.mark.parametrize("config", [None, [], "text", 7, True])
def test_what_is_no_object_is_no_config(config: object) -> None:
    (text,) = told(config)
    assert text.endswith("is here: write an object with `ignition`")


@pytest.mark.parametrize("config", [{}, {"ignition": {}}, {"ignition": 3}, {"ignition": None}])
def test_a_config_says_its_version(config: object) -> None:
    assert told(config) == ['ignition.version: is missing: write "ignition": {"version": "3.4.0"}']


@pytest.mark.parametrize(
    "version", ["1.0.0", "2.1.0", "3.9.0", "3.4", "3.4.1", "3.5.0-experimental", 3, "٣.4.0"]
)
def test_a_version_that_nobody_knows_is_refused(version: object) -> None:
    (text,) = told({"ignition": {"version": version}})
    assert "is not known here: write one of 2.2.0, 2.3.0, 3.0.0" in text


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"storages": {}}, "storages: Ignition knows no such key here; nearest: 'storage'"),
        ({"systemd": {"units": {}}}, "systemd.units: an object is here: write a list"),
        ({"systemd": []}, "systemd: a list is here: write an object"),
        ({"systemd": {"units": [None]}}, "systemd.units[0]: nothing is here: take it out"),
        ({"systemd": {"units": [{"enabled": True}]}}, "systemd.units[0].name: is missing"),
        (
            {"systemd": {"units": [{"name": "a.service", "enabled": "yes"}]}},
            "systemd.units[0].enabled: the text 'yes' is here: write true or false",
        ),
        (
            {"systemd": {"units": [{"name": "a.service", "enable": True}]}},
            "systemd.units[0].enable: Ignition knows no such key here; nearest: 'enabled'",
        ),
        (
            {"storage": {"files": [{"path": "/a", "mode": "0644"}]}},
            "storage.files[0].mode: the text '0644' is here: write a whole number",
        ),
        (
            {"storage": {"files": [{"path": "/a", "mode": True}]}},
            "storage.files[0].mode: true is here: write a whole number",
        ),
        (
            {"storage": {"files": [{"path": "/a", "mode": 420.5}]}},
            "storage.files[0].mode: the number 420.5 is here: write a whole number",
        ),
        ({"storage": {"files": [{"path": 7}]}}, "storage.files[0].path: the number 7 is here"),
        ({"storage": {"links": [{"path": "/a"}]}}, "storage.links[0].target: is missing"),
        ({"networkd": {}}, "networkd: Ignition knows no such key here"),
        ({"passwd": {"users": ["core"]}}, "passwd.users[0]: the text 'core' is here"),
    ],
)
def test_each_wrong_shape_is_named(sections: dict[str, object], words: str) -> None:
    (text,) = told({"ignition": V3, **sections})
    assert text.startswith(words)


@pytest.mark.parametrize(
    ("version", "sections"),
    [
        ("3.1", {"storage": {"luks": []}}),
        ("3.2", {"kernelArguments": {}}),
        ("3.1", {"passwd": {"users": [{"name": "core", "shouldExist": False}]}}),
        ("3.0", {"ignition": {"version": "3.0.0", "proxy": {}}}),
        ("3.3", {"storage": {"luks": [{"name": "a", "device": "/dev/a", "discard": True}]}}),
        ("3.4", {"storage": {"luks": [{"name": "a", "device": "/dev/a", "cex": {}}]}}),
    ],
)
def test_a_key_is_known_from_its_version_on(version: str, sections: dict[str, Any]) -> None:
    major, minor = version.split(".")
    (text,) = told({"ignition": {"version": f"{version}.0"}, **sections})
    assert f"is known from version {major}.{int(minor) + 1}.0 on" in text
    newer = {"ignition": {"version": f"{major}.{int(minor) + 1}.0"}} | {
        key: value for key, value in sections.items() if key != "ignition"
    }
    assert told(newer) == []


def test_old_configs_have_old_keys() -> None:
    unit = {"name": "a.service", "enable": True, "contents": "[Unit]\n[Install]\n"}
    sections = {
        "systemd": {"units": [unit]},
        "networkd": {"units": [{"name": "00-eth0.network", "contents": "[Match]\nName=eth0\n"}]},
        "storage": {"files": [{"filesystem": "root", "path": "/a", "contents": {"source": ""}}]},
        "passwd": {"users": [{"name": "core", "create": {"uid": 7, "any": []}}]},
    }
    assert told_of("2.3.0", **sections) == []
    assert told_of("2.3.0", storage={"files": [{"path": "/a"}]}) == [
        "storage.files[0].filesystem: is missing"
    ]
    assert len(errors_of(check_ignition({"ignition": V3, **sections}))) == 4
