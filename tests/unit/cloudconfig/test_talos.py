"""Talos' machine configs, and what would leave a machine waiting for one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.cloudconfig.talos import talos_document
from kairos_netboot.errors import DocumentProblem

WORKER = """\
version: v1alpha1
machine:
  type: worker
  token: abcdef.0123456789abcdef
  install:
    disk: /dev/sda
cluster:
  controlPlane:
    endpoint: https://192.0.2.10:6443
"""


def told(text: str) -> list[str]:
    return [str(finding) for finding in talos_document(text, "m.yaml").findings]


def test_a_worker_is_served_as_it_was_written() -> None:
    document = talos_document(WORKER, "m.yaml")
    assert document.text == WORKER
    assert not document.findings


def test_further_documents_are_named_by_kind() -> None:
    more = "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: alpha\n"
    for text in (
        f"{WORKER}---\n{more}",
        f"---\n{WORKER}--- # more\n{more}---\n",
        f"{more}---\n{WORKER}",
    ):
        assert told(text) == []


def test_text_behind_the_dashes_belongs_to_the_next_document() -> None:
    assert told(WORKER + "--- {apiVersion: v1, kind: Own}\n") == []
    assert told(WORKER + "--- text\n") == [
        "m.yaml:10: the text 'text' is here: write a mapping (key: value)"
    ]


def test_dashes_within_a_text_part_nothing() -> None:
    text = WORKER + "  inlineManifests:\n    - name: a\n      contents: |\n        ---\n        b\n"
    assert told(text) == []


def test_a_control_plane_has_its_key() -> None:
    text = WORKER.replace("worker", "controlplane")
    assert told(text) == ["m.yaml:1: machine.ca.key: is missing, which a control plane signs with"]
    ca = "  ca: {crt: a, key: b}\n"
    assert told(text.replace("  install:\n", ca + "  install:\n")) == []
    doubts = talos_document(WORKER.replace("  install:\n", ca + "  install:\n"), "m").findings
    assert [(finding.key, finding.is_error) for finding in doubts] == [("machine.ca.key", False)]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("v1alpha1", "v1", "version: write `version: v1alpha1`"),
        ("worker", "server", "machine.type: write one of init, controlplane, worker, join"),
        ("  type: worker\n", "", "machine.type: write one of"),
        ("  token: abcdef.0123456789abcdef\n", "", "machine.token: is missing"),
        ("    disk: /dev/sda\n", "    wipe: false\n", "machine.install.disk: is missing"),
        ("/dev/sda", "sda", "machine.install.disk: 'sda' is no disk"),
        ("https://192.0.2.10:6443", "192.0.2.10", "endpoint: '192.0.2.10' is no https://"),
        ("https://192.0.2.10:6443", "https://x:y", "endpoint: 'https://x:y' is no https://"),
        ("    endpoint: https://192.0.2.10:6443\n", "    x: y\n", "endpoint: is missing"),
    ],
)
def test_what_talos_needs_is_named(old: str, new: str, words: str) -> None:
    (text,) = told(WORKER.replace(old, new))
    assert words in text


def test_a_disk_may_be_selected_by_what_it_is() -> None:
    assert told(WORKER.replace("disk: /dev/sda", "diskSelector: {size: '> 100GB'}")) == []


def test_a_key_that_is_nearly_one_is_doubted() -> None:
    (finding,) = talos_document(WORKER.replace("  install:", "  instal:"), "m").findings[:1]
    assert finding.key == "machine.instal"
    assert finding.message == "Talos knows no such key; nearest: 'install'"
    assert not finding.is_error


def test_sections_are_mappings() -> None:
    text = "version: v1alpha1\nmachine: []\ncluster: {controlPlane: {endpoint: https://a}}\n"
    assert "m.yaml:2: machine: a list is here: write a mapping" in told(text)


def test_one_document_is_the_machines() -> None:
    more = "apiVersion: v1\nkind: Own\n"
    assert any("no document with `version: v1alpha1`" in line for line in told(more))
    assert any("no document with `version: v1alpha1`" in line for line in told(""))
    assert told(f"{WORKER}---\n{WORKER}")[0].startswith("m.yaml:11: a second v1alpha1 document")
    assert any("kind: is missing" in line for line in told(f"{WORKER}---\napiVersion: v1\n"))


def test_lines_are_those_of_the_whole() -> None:
    with pytest.raises(DocumentProblem, match=r"m\.yaml:13: no YAML"):
        talos_document(f"{WORKER}---\na: 1\nb: [\n", "m.yaml")


@given(st.text(alphabet="---\n :[]{}ab#&*\"'|", max_size=80))
@example("---\n---\n---")
@example("--- |\n a\n--- b")
@example("machine: 1\ncluster: []")
def test_no_text_whatever_breaks_the_check(text: str) -> None:
    with contextlib.suppress(DocumentProblem):
        assert talos_document(text, "m").errors
