"""Ignition configs: read as JSON, completed with units, kept off disks in memory."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.boot.actions import Action
from kairos_netboot.cloudconfig.document import Document
from kairos_netboot.cloudconfig.ignition import ignition_document, installer_config
from kairos_netboot.errors import DocumentProblem

REPORT = "http://192.0.2.1:8080/reports/" + "e" * 32
HEAD: dict[str, Any] = {"ignition": {"version": "3.4.0"}}


def built(config: object, action: Action = Action.INSTALL) -> Document:
    text = config if isinstance(config, str) else json.dumps(config, indent=1)
    return ignition_document(text, "config.ign", REPORT, action)


def test_the_unit_that_reports_is_added_to_those_that_are_there() -> None:
    own = {"name": "app.service", "enabled": False}
    document = built({**HEAD, "systemd": {"units": [own]}})
    assert not document.findings
    first, second = json.loads(document.text)["systemd"]["units"]
    assert first == own
    assert second["name"] == "kairos-netboot-ready.service"
    assert second["enabled"] is True
    assert f"{REPORT}/ready" in second["contents"]


def test_nothing_else_of_it_is_changed() -> None:
    config = {**HEAD, "storage": {"files": [{"path": "/ö", "contents": {"source": "data:,%20"}}]}}
    found = json.loads(built(config).text)
    del found["systemd"]
    assert found == config


def test_old_configs_get_the_unit_as_well() -> None:
    document = built({"ignition": {"version": "2.3.0"}})
    assert json.loads(document.text)["systemd"]["units"][0]["enabled"] is True


def test_an_error_names_file_line_and_path() -> None:
    text = '{\n "ignition": {"version": "3.4.0"},\n "storage": {"files": [\n  {"path": "x"}]}\n}'
    (finding,) = built(text).errors
    assert str(finding) == (
        "config.ign:4: storage.files[0].path: 'x' is no absolute path: begin it with /"
    )


def test_a_name_of_ours_is_refused() -> None:
    unit = {"name": "kairos-netboot-ready.service"}
    with pytest.raises(DocumentProblem, match="is ours: give it another name"):
        built({**HEAD, "systemd": {"units": [unit]}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("variant: flatcar\nversion: 1.0.0\n", r"config.ign:1: this is a Butane config"),
        ("ignition: {version: 3.4.0}\n", "this is YAML: Ignition reads JSON alone"),
        ("", "config.ign:1: no JSON"),
        ('{\n "a": 1,\n}', "config.ign:3: no JSON"),
        ('{"a": 1, "a": 2}', "the key 'a' is there twice in one object"),
        ('{"a": NaN}', "NaN is no number that JSON has"),
        ("[" * 100_000, "nested too deep|no JSON"),
        ("1" * 1_000_001, "at most 1000000 characters"),
        ("9" * 5000, "no JSON"),
    ],
)
def test_what_is_no_json_is_told(text: str, words: str) -> None:
    with pytest.raises(DocumentProblem, match=words):
        built(text)


@pytest.mark.parametrize(
    "storage",
    [
        {"disks": [{"device": "/dev/sda", "wipeTable": True}]},
        {"raid": [{"name": "r", "level": "raid1", "devices": ["/dev/sda"]}]},
        {"luks": [{"name": "l", "device": "/dev/sda"}]},
        {"filesystems": [{"device": "/dev/sda", "format": "ext4", "wipeFilesystem": True}]},
    ],
)
def test_a_system_in_memory_leaves_disks_alone(storage: dict[str, object]) -> None:
    config = {**HEAD, "storage": storage}
    assert not built(config).errors
    assert any(
        "would write to disks at each boot" in finding.message
        for finding in built(config, Action.RAM).errors
    )


def test_a_system_in_memory_may_use_a_filesystem_that_is_there() -> None:
    filesystem = {"device": "/dev/sda1", "path": "/var", "format": "ext4", "wipeFilesystem": False}
    assert not built({**HEAD, "storage": {"filesystems": [filesystem]}}, Action.RAM).errors


def test_an_old_filesystem_is_looked_at_too() -> None:
    mount = {"device": "/dev/sda1", "format": "ext4", "create": {"force": True}}
    config = {
        "ignition": {"version": "2.2.0"},
        "storage": {"filesystems": [{"name": "v", "mount": mount}]},
    }
    assert not built(config).errors
    assert built(config, Action.RAM).errors


def test_an_installers_config_in_full() -> None:
    assert json.loads(installer_config([{"name": "a.service"}])) == {
        "ignition": {"version": "3.1.0"},
        "systemd": {"units": [{"name": "a.service"}]},
    }


words = st.sampled_from(
    ["ignition", "version", "3.4.0", "2.3.0", "storage", "files", "path", "/etc/a", "systemd"]
) | st.text(max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@given(values, st.sampled_from([Action.INSTALL, Action.RAM]))
@example({"ignition": None}, Action.INSTALL)
@example({"ignition": {"version": "3.4.0"}, "storage": []}, Action.RAM)
@example({"ignition": {"version": "3.4.0"}, "storage": {"filesystems": 1}}, Action.RAM)
def test_no_json_whatever_breaks_the_check(value: object, action: Action) -> None:
    document = built(json.dumps(value), action)
    assert document.errors or json.loads(document.text)["systemd"]["units"]


sections = st.sampled_from(["storage", "systemd", "passwd", "networkd", "kernelArguments"])


@given(st.dictionaries(sections, values, max_size=3), st.sampled_from(["2.2.0", "3.0.0", "3.5.0"]))
def test_no_section_whatever_breaks_the_check(config: dict[str, object], version: str) -> None:
    built({"ignition": {"version": version}, **config})


@given(st.text(max_size=200))
@example("\x00")
@example("\t{}")
def test_no_text_whatever_breaks_it(text: str) -> None:
    with contextlib.suppress(DocumentProblem):
        built(text)
