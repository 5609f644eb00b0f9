"""The `phonehome:` block of a document."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from kairos_netboot.boot.actions import Action
from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.phone import PhoneHome
from kairos_netboot.boot.site import Template
from kairos_netboot.boot.tokens import phone_token
from kairos_netboot.boot.urls import Urls
from kairos_netboot.cloudconfig.document import Document
from kairos_netboot.cloudconfig.for_node import document_for, variables_of
from kairos_netboot.cloudconfig.mask import mask
from kairos_netboot.cloudconfig.phone import may_run, phone_home_of
from kairos_netboot.errors import DocumentProblem
from tests.unit.boot import sample

URLS = Urls("http://192.0.2.1:8080")
REPORT = "0123456789abcdef0123456789abcdef"
ON = PhoneHome(enabled=True)


def fleet(
    site: PhoneHome = ON, profile: PhoneHome | None = None, cluster: str = "", text: str = ""
) -> tuple[Fleet, Node]:
    template = Template(name="a.yaml", text=sample.DOCUMENT + text)
    own = replace(sample.PROFILE, templates=(template,), phone_home=profile, cluster=cluster)
    node = sample.node()
    return replace(sample.fleet(node, profile=own), phone_home=site), node


def document(action: Action = Action.INSTALL, **more: object) -> Document:
    return document_for(*fleet(**more), URLS, REPORT, action)  # type: ignore[arg-type]


def block(action: Action = Action.INSTALL, **more: object) -> object:
    return yaml.safe_load(document(action, **more).text).get("phonehome")


def test_an_agent_is_told_where_with_what_and_as_whom_it_registers() -> None:
    assert block() == {
        "url": "http://192.0.2.1:8080",
        "registration_token": phone_token(REPORT),
        "group": "server",
        "labels": {"node": "alpha", "profile": "server"},
        "heartbeat_interval": "30s",
        "allowed_commands": ["upgrade", "upgrade-recovery", "reboot", "unregister"],
    }


def test_the_group_of_a_member_is_its_cluster() -> None:
    found = block(cluster="prod")
    assert isinstance(found, dict)
    assert found["group"] == "prod"
    assert found["labels"] == {"node": "alpha", "profile": "server", "cluster": "prod"}


def test_without_phone_home_there_is_no_block() -> None:
    assert block(site=PhoneHome()) is None


def test_a_profiles_settings_are_over_the_sites() -> None:
    assert block(profile=PhoneHome()) is None
    found = block(profile=PhoneHome(enabled=True, heartbeat=90, commands=()))
    assert isinstance(found, dict)
    assert (found["heartbeat_interval"], found["allowed_commands"]) == ("90s", [])
    assert phone_home_of(*fleet(site=PhoneHome(), profile=ON)) == ON


def test_a_node_without_a_profile_has_the_sites() -> None:
    whole, _ = fleet()
    assert phone_home_of(whole, sample.node(spec=None)) == ON


def test_labels_that_look_like_something_else_stay_texts() -> None:
    whole, node = fleet()
    spec = replace(sample.SPEC, name="007")
    text = document_for(whole, replace(node, spec=spec), URLS, REPORT, Action.INSTALL).text
    assert yaml.safe_load(text)["phonehome"]["labels"]["node"] == "007"


def test_what_runs_from_memory_phones_home_too() -> None:
    assert block(Action.RAM) == block()


@pytest.mark.parametrize("action", [Action.RESCUE, Action.RECOVERY, Action.SHELL])
def test_a_live_system_has_no_registration_token(action: Action) -> None:
    assert phone_token(REPORT) not in document(action).text
    assert "phonehome" not in document(action).text


@pytest.mark.parametrize("own", ["{url: http://other.lan}", "{reconnect_backoff: 9s}", "[]"])
def test_a_block_of_the_templates_own_beside_ours_is_an_error(own: str) -> None:
    with pytest.raises(DocumentProblem, match=r"a\.yaml:\d+: phonehome: .*take it out") as problem:
        document(text=f"phonehome: {own}\n")
    assert "phone-home: {enabled: false}" in str(problem.value)


def test_a_block_of_the_templates_own_is_theirs_where_ours_is_off() -> None:
    found = block(site=PhoneHome(), text="phonehome: {url: http://other.lan}\n")
    assert found == {"url": "http://other.lan"}


def test_an_empty_block_of_the_templates_is_none() -> None:
    assert block(text="phonehome:\n") == block()


def test_people_are_not_shown_the_token() -> None:
    whole, node = fleet()
    assert node.spec is not None
    variables = variables_of(whole.profiles["server"], node.spec, URLS)
    shown = mask(document().text, variables)
    assert phone_token(REPORT) not in shown
    assert "registration_token: '********'" in shown


def test_the_token_does_not_tell_the_reports() -> None:
    assert REPORT not in str(block())


def test_only_what_the_site_lets_run_is_run() -> None:
    assert may_run(ON, "reboot")
    assert not may_run(ON, "exec")
    assert may_run(replace(ON, commands=("exec",)), "exec")
    assert not may_run(replace(ON, enabled=False), "reboot")
