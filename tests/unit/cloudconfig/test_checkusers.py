import pytest

from kairos_netboot.cloudconfig.checkusers import check_users
from kairos_netboot.cloudconfig.yamlnodes import parse

ADMIN = "users:\n- name: kairos\n  groups: [admin]\n"


def lines(text: str) -> list[str]:
    found = list(check_users(parse(text, "a.yaml")))
    assert all(finding.is_error for finding in found)
    return [str(finding) for finding in found]


@pytest.mark.parametrize(
    "text",
    [
        ADMIN,
        "users: [{name: kairos, primary_group: admin}]",
        "stages: {initramfs: [{users: {kairos: {groups: [wheel, admin]}}}]}",
        "stages: {boot: [{name: x}, {users: {a: {}, kairos: {primary_group: admin}}}]}",
        "install: {nousers: true}",
    ],
)
def test_an_admin_anywhere_is_enough_or_the_wish_for_none(text: str) -> None:
    assert lines(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "hostname: x",
        "users: [{name: kairos, groups: [sudo]}]",
        "users: []",
        "stages: {boot: [{commands: [useradd]}]}",
        "install: {nousers: false}",
        "install: {nousers: 'true'}",
    ],
)
def test_no_admin_is_an_error(text: str) -> None:
    assert lines(text) == [
        "a.yaml:1: users: no user is in the group admin: add 'groups: [admin]' to one, "
        "or set 'install.nousers: true'"
    ]


def test_users_at_the_top_are_a_list() -> None:
    (first, *_) = lines("users:\n  kairos: {groups: [admin]}\n")
    assert first == (
        "a.yaml:2: users: a mapping is here: write a list (- name: kairos), "
        "or Kairos refuses to install"
    )


def test_users_of_a_stage_are_a_mapping() -> None:
    assert lines(ADMIN + "stages:\n  boot:\n  - users:\n    - name: x\n") == [
        "a.yaml:7: stages.boot[0].users: a list is here: in a stage, users are a mapping "
        "(kairos: {…}), or Kairos ignores every stage"
    ]


def test_a_user_has_a_name() -> None:
    assert lines("users:\n- groups: [admin]\n") == [
        "a.yaml:2: users[0]: this user has no name: add 'name: kairos'"
    ]


def test_a_user_is_a_mapping() -> None:
    assert lines(ADMIN + "- default\n") == [
        "a.yaml:4: users[1]: the text 'default' is here: a user is a mapping, "
        "or Kairos refuses to install"
    ]


@pytest.mark.parametrize("field", ["groups", "ssh_authorized_keys"])
def test_groups_and_keys_are_lists(field: str) -> None:
    assert lines(ADMIN + f"- name: x\n  {field}: admin\n") == [
        f"a.yaml:5: users[1].{field}: the text 'admin' is here: write a list (- item), "
        "or Kairos refuses to install"
    ]


def test_hardened_ssh_needs_a_key_of_a_top_level_user() -> None:
    hardened = "install: {ssh_hardening: true}\n"
    assert lines(ADMIN + hardened) == [
        "a.yaml:4: install.ssh_hardening: no user under the top-level 'users' has "
        "ssh_authorized_keys: nobody could log in"
    ]
    assert lines(ADMIN + "  ssh_authorized_keys: [github:me]\n" + hardened) == []


def test_keys_of_a_stage_do_not_count_for_hardened_ssh() -> None:
    stage = "stages: {boot: [{users: {a: {ssh_authorized_keys: [x]}}}]}\n"
    assert len(lines(ADMIN + stage + "install: {ssh_hardening: true}\n")) == 1
