import pytest

from kairos_netboot.cloudconfig.render import render
from kairos_netboot.errors import DocumentProblem

VARIABLES = {
    "hostname": "n1",
    "flag": True,
    "nothing": None,
    "keys": ["a", "b"],
    "disk": {"path": "/dev/vda"},
}


def rendered(text: str) -> str:
    return render(text, "base.yaml", VARIABLES)


def problem(text: str) -> str:
    with pytest.raises(DocumentProblem) as caught:
        rendered(text)
    return str(caught.value)


def test_variables_take_their_places_and_the_last_newline_stays() -> None:
    assert rendered("hostname: {{ hostname }}\n") == "hostname: n1\n"


def test_true_and_none_are_written_as_yaml_has_them() -> None:
    assert rendered("{{ flag }} {{ nothing }}") == "true null"


def test_to_json_makes_one_yaml_value_of_anything() -> None:
    assert rendered("{{ keys | to_json }} {{ 'a: \"b\"' | to_json }}") == '["a", "b"] "a: \\"b\\""'


def test_kairos_own_templates_pass_between_raw_and_endraw() -> None:
    text = 'hostname: {% raw %}"n-{{ trunc 4 .MachineID }}"{% endraw %}\nusers: []\n'
    assert rendered(text) == 'hostname: "n-{{ trunc 4 .MachineID }}"\nusers: []\n'


def test_an_undefined_name_is_told_with_line_and_nearest_name() -> None:
    assert problem("#cloud-config\n\nhostname: {{ hostnam }}\n") == (
        "base.yaml:3: 'hostnam' is undefined; nearest: 'hostname'"
    )


def test_an_undefined_name_in_a_condition_is_told_too() -> None:
    assert problem("a\n{% if hostnam %}b{% endif %}").startswith("base.yaml:2: 'hostnam'")


def test_a_name_like_no_other_is_told_where_to_set_it() -> None:
    assert problem("{{ zebra }}") == (
        "base.yaml:1: 'zebra' is undefined; set it under 'variables' in the site file"
    )


def test_a_missing_key_is_told_with_the_nearest() -> None:
    assert problem("{{ disk.pth }}") == "base.yaml:1: there is no key 'pth'; nearest: 'path'"


def test_an_undefined_name_may_have_a_default() -> None:
    assert rendered("{{ zebra | default('x') }}") == "x"


def test_a_syntax_error_is_told_with_its_line() -> None:
    assert problem("\n{{ a b }}") == (
        "base.yaml:2: no template: expected token 'end of print statement', got 'b'"
    )


@pytest.mark.parametrize("text", ["{{ .MachineID }}", "{{ trunc 4 .MachineID }}"])
def test_a_template_for_kairos_is_told_how_to_pass(text: str) -> None:
    assert problem(text).endswith("put Kairos' own {{ }} between {% raw %} and {% endraw %}")


def test_an_unknown_filter_is_told_with_the_nearest() -> None:
    assert problem("{{ keys | to_jsn }}") == (
        "base.yaml:1: no filter is named 'to_jsn'; nearest: 'to_json'"
    )


@pytest.mark.parametrize(
    "text", ["{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}"]
)
def test_other_files_cannot_be_read(text: str) -> None:
    assert "no include, import or extends here" in problem(text)


@pytest.mark.parametrize("text", ["{{ ''.__class__ }}", "{{ keys.append('c') }}"])
def test_the_sandbox_holds(text: str) -> None:
    assert "is unsafe" in problem(text)
    assert VARIABLES["keys"] == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["{{ 'a' * 10**9 }}", "{{ 10**9 * 'a' }}", "{{ [0] * 10**8 }}", "{{ 9**99999 }}"]
)
def test_nothing_large_is_made_by_multiplying(text: str) -> None:
    assert "something too large" in problem(text)


@pytest.mark.parametrize("text", ["{{ 'ab' * 3 }}", "{{ 3 * 'ab' }}"])
def test_small_products_are_made(text: str) -> None:
    assert rendered(text) == "ababab"
    assert rendered("{{ 2 ** 10 * 3 }}") == "3072"


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(90000) %}{{ 'a' * 100 }}{% endfor %}",
        "{% set x %}{% for i in range(90000) %}{{ 'a' * 100 }}{% endfor %}{% endset %}",
        "{% set a = 'a' * 900000 %}{{ a }}{{ a }}",
    ],
)
def test_a_text_grows_to_a_megabyte_at_most(text: str) -> None:
    assert "more than 1000000 characters" in problem(text)


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(10**9) %}{% endfor %}",
        "{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(30) }}",
    ],
)
def test_loops_and_calls_come_to_an_end(text: str) -> None:
    assert "more than 100000 steps" in problem(text)


def test_endless_recursion_is_an_error_of_the_template() -> None:
    assert "recursion" in problem("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}")


@pytest.mark.parametrize("text", ["{{ 1 / 0 }}", "{{ hostname + 1 }}", "{{ range() }}"])
def test_an_expression_that_fails_is_told_with_its_line(text: str) -> None:
    assert problem("\n" + text).startswith("base.yaml:2: the template fails: ")


def test_a_template_of_a_megabyte_is_refused_unread() -> None:
    assert "at most" in problem("x" * 1_000_001)


def test_one_rendering_does_not_spend_the_next_ones_steps() -> None:
    for _ in range(3):
        assert len(rendered("{% for i in range(50000) %}a{% endfor %}")) == 50000
