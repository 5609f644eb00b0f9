"""One template becomes one document, and people are shown it without its secrets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from kairos_netboot.boot.actions import Action
from kairos_netboot.boot.site import Profile, Template
from kairos_netboot.boot.urls import Urls
from kairos_netboot.cloudconfig.for_node import checked_document
from kairos_netboot.cloudconfig.systems import installer_document, masked, system_document
from kairos_netboot.errors import DocumentProblem
from tests.unit.boot.sample import PROFILE, SPEC
from tests.unit.cloudconfig.test_talos import WORKER

URLS = Urls("http://192.0.2.1:8080")
TOKEN = "e" * 32
REPORT = URLS.report(TOKEN)


def profile_of(family: str, text: str, **variables: object) -> Profile:
    templates = (Template(name="it", text=text),) if text else ()
    return replace(
        PROFILE, family=family, templates=templates, variables=variables, disks=("/dev/sda",)
    )


def text_of(family: str, text: str, **variables: object) -> str:
    profile = profile_of(family, text, **variables)
    return checked_document(profile, SPEC, URLS, TOKEN).text


def test_templates_know_the_node_its_variables_and_the_reports_address() -> None:
    text = "{{ node.name }} {{ colour }} {{ server.url }} {{ report_url }}"
    assert text_of("generic", text, colour="blue") == f"alpha blue {URLS.base} {REPORT}"


def test_each_family_has_its_own_kind_of_document() -> None:
    assert text_of("talos", WORKER) == WORKER
    assert "ready" in text_of("flatcar", '{"ignition": {"version": "3.0.0"}}')
    assert "ready" in text_of("fedora-coreos", '{"ignition": {"version": "3.0.0"}}')
    assert "ready" in text_of("k3os", "hostname: a\n")


@pytest.mark.parametrize(
    ("family", "text", "words"),
    [
        ("talos", "version: v1\n", "it:1: version: write `version: v1alpha1`"),
        ("flatcar", "{}", "it:1: ignition.version: is missing"),
        ("k3os", "hostnam: a\n", "it:1: hostnam: k3OS knows no such key"),
        ("generic", "{{ nobody }}", "it:1: 'nobody' is undefined"),
        ("generic", "{{ 'a' * 600000 }}{{ 'a' * 600000 }}", "more than 1000000"),
    ],
)
def test_errors_are_told_as_of_every_document(family: str, text: str, words: str) -> None:
    with pytest.raises(DocumentProblem, match=words):
        text_of(family, text)


def test_without_a_template_there_is_no_document() -> None:
    assert text_of("generic", "") == ""


def test_our_variables_are_not_taken() -> None:
    with pytest.raises(DocumentProblem, match="'report_url' is ours"):
        text_of("generic", "a", report_url="x")


def test_an_old_template_with_an_endless_text_is_refused() -> None:
    variables = {"long": "a" * 999_999}
    with pytest.raises(DocumentProblem, match="more than"):
        text_of("generic", "{{ long }}{{ long }}", **variables)


def installer(family: str, **variables: object) -> str:
    profile = profile_of(family, "x", **variables)
    return installer_document(profile, URLS, "d" * 32, REPORT).text


def test_the_installers_of_both_ignition_families() -> None:
    assert "coreos-installer.service" in installer("fedora-coreos")
    flatcar = json.loads(installer("flatcar", flatcar_install_args="-b http://mirror"))
    (unit,) = flatcar["systemd"]["units"]
    assert "-i /run/kairos-netboot/config.ign -b http://mirror\n" in unit["contents"]
    assert f"{URLS.base}/documents/{'d' * 32}/config.ign\n" in unit["contents"]
    with pytest.raises(DocumentProblem, match="talos has no config for its installer"):
        installer("talos")


# Hiding secrets


def shown(family: str, text: str, **variables: object) -> str:
    return masked(profile_of(family, text), text, variables)


def test_ignition_stays_json_without_what_its_files_hold() -> None:
    config = {
        "ignition": {"version": "3.0.0"},
        "passwd": {"users": [{"name": "core", "passwordHash": "$6$abc$defghijklm"}]},
        "storage": {"files": [{"path": "/a", "contents": {"source": "data:;base64,c2VjcmV0"}}]},
        "systemd": {"units": [{"name": "a.service", "contents": "Environment=K=topsecret1\n"}]},
    }
    found = shown("flatcar", json.dumps(config, indent=1), token="topsecret1")
    assert "c2VjcmV0" not in found
    assert "defghijklm" not in found
    assert "topsecret1" not in found
    assert json.loads(found)["storage"]["files"][0]["path"] == "/a"


def test_talos_private_keys_are_hidden_in_every_document() -> None:
    secret = "LS0tLS1CRUdJTiBFRDI1NTE5"
    text = WORKER.replace("  install:\n", f"  ca: {{crt: Y3J0, key: {secret}}}\n  install:\n")
    more = f"apiVersion: v1\nkind: Own\nsecret: topsecret1\nnote: {secret}\n"
    found = shown("talos", f"{text}---\n{more}")
    assert secret not in found
    assert "abcdef.0123456789abcdef" not in found
    assert "topsecret1" not in found
    first, second = yaml.safe_load_all(found)
    assert first["machine"]["ca"]["crt"] == "Y3J0"
    assert second["kind"] == "Own"


def test_k3os_passwords_are_hidden() -> None:
    found = shown("k3os", "hostname: a\nk3os: {password: supersecure, token: abc}\n")
    assert yaml.safe_load(found) == {
        "hostname": "a",
        "k3os": {"password": "********", "token": "********"},
    }


def test_any_other_text_is_searched_for_what_is_known() -> None:
    assert shown("generic", "a=topsecret1\n", token="topsecret1") == "a=********\n"
    assert shown("generic", "") == ""


def test_kairos_documents_are_masked_as_ever() -> None:
    assert shown("kairos", "#cloud-config\nk3s: {token: abcdefgh}\n").startswith("#cloud-config\n")


def test_findings_that_are_no_errors_are_told_with_it() -> None:
    config = (
        '{"ignition": {"version": "3.0.0"}, "storage": {"files": [{"path": "/a", "mode": 644}]}}'
    )
    document = system_document(profile_of("flatcar", config), {}, REPORT, Action.INSTALL)
    (finding,) = document.findings
    assert not finding.is_error
