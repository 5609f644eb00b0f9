import pytest

from kairos_netboot.cloudconfig.checkstages import check_stages
from kairos_netboot.cloudconfig.yamlnodes import parse


def lines(text: str) -> list[str]:
    return [str(finding) for finding in check_stages(parse(text, "a.yaml"))]


@pytest.mark.parametrize(
    "text",
    [
        "hostname: x",
        "stages:",
        "stages: {}",
        "stages: {boot: }",
        "stages: {boot: [{commands: [a, 5]}]}",
        "stages: {provider-kairos.bootstrap.after.master: [{commands: [a]}]}",
        "stages: {kairos-install.pre: [{name: x}]}",
    ],
)
def test_good_stages_pass(text: str) -> None:
    assert lines(text) == []


def test_stages_are_a_mapping() -> None:
    assert lines("stages: [boot]") == [
        "a.yaml:1: stages: a list is here: write a mapping of stage names"
    ]


def test_a_stage_is_a_list() -> None:
    assert lines("stages:\n  boot:\n    commands: [a]\n") == [
        "a.yaml:3: stages.boot: a mapping is here: write a list (- commands: [...])"
    ]


def test_an_entry_of_a_stage_is_a_mapping() -> None:
    assert lines("stages:\n  boot:\n  - echo hi\n") == [
        "a.yaml:3: stages.boot[0]: the text 'echo hi' is here: write '- commands:' "
        "and the commands below it"
    ]


def test_commands_are_a_list() -> None:
    assert lines("stages: {boot: [{commands: echo hi}]}") == [
        "a.yaml:1: stages.boot[0].commands: the text 'echo hi' is here: write a list (- command)"
    ]


def test_a_command_with_an_unquoted_colon_is_told_to_need_quotes() -> None:
    assert lines("stages:\n  boot:\n  - commands:\n    - true\n    - echo a: b\n") == [
        "a.yaml:5: stages.boot[0].commands[1]: a mapping is here, because of a ': ' or '- ': "
        "put the command in quotes"
    ]


def test_a_misspelt_stage_is_a_warning() -> None:
    (finding,) = check_stages(parse("stages: {kairos-instal.pre: []}", "a.yaml"))
    assert not finding.is_error
    assert finding.message == (
        "no stage has this name: it would never run; nearest: 'kairos-install.pre'"
    )
