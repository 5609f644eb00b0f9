from itertools import pairwise

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kairos_netboot.cloudconfig.yamlnodes import (
    MAX_DEPTH,
    find,
    is_other,
    kind,
    line_of,
    list_node,
    map_node,
    number_node,
    parse,
    source_of,
    text_node,
    to_value,
    triples,
    write,
)
from kairos_netboot.errors import DocumentProblem, NetbootError, SiteMistake


def problem(text: str) -> str:
    with pytest.raises(DocumentProblem) as caught:
        parse(text, "a.yaml")
    return str(caught.value)


UNTOUCHED = """\
mode: 0644
answer: yes
mac: 52:54:00:12:34:56
octal: 0o17
single: 'it''s'
double: "a\\tb"
empty:
none: ~
date: 2001-01-01
literal: |
  line one
    indented

  after a gap
stripped: |-
  no end
folded: >-
  one long text
flow: {a: [1, two], b: null}
long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb ccccccccccccccc
list:
- ö: 1
- !custom x
"""


def test_every_scalar_goes_out_as_it_came_in() -> None:
    assert write(parse(UNTOUCHED, "a.yaml")) == UNTOUCHED


def test_a_null_in_braces_does_not_become_an_empty_text() -> None:
    assert write(parse("a: {b: , c}\n", "a.yaml")) == "a: {b: null, c: null}\n"


def test_an_explicit_tag_keeps_its_meaning() -> None:
    assert write(parse('a: !!str 12\nb: !!int "5"\nc: !!null ""\n', "x")) == (
        "a: '12'\nb: 5\nc: null\n"
    )


def test_a_syntax_error_names_file_and_line() -> None:
    assert problem("a: [1\nb: 2").startswith("a.yaml:2: no YAML: did not find expected ',' or ']'")


def test_a_tab_is_told_to_be_one() -> None:
    assert "indent with spaces" in problem("a:\n\tb: 1\n")


def test_an_unquoted_colon_is_told_to_be_one() -> None:
    assert "quote a text that holds ': '" in problem("a: b: c\n")


def test_bytes_that_are_no_text_are_refused() -> None:
    assert problem("a: \x07").startswith("a.yaml: no YAML: ")
    assert problem("a: \ud800").startswith("a.yaml: no YAML: ")


def test_a_duplicate_key_is_named_with_both_lines() -> None:
    assert problem("a: 1\nb: 2\na: 3\n") == "a.yaml:3: key 'a' is there already, on line 1"


def test_the_same_key_in_two_mappings_is_no_duplicate() -> None:
    assert to_value(parse("a: {x: 1}\nb: {x: 2}\n", "a.yaml")) == {"a": {"x": 1}, "b": {"x": 2}}


def test_a_second_document_is_refused_where_it_begins() -> None:
    assert problem("a: 1\n---\nb: 2\n").startswith("a.yaml:2: a second document begins here")


def test_a_leading_marker_is_no_second_document() -> None:
    assert to_value(parse("---\na: 1\n", "a.yaml")) == {"a": 1}


def test_a_key_that_is_no_text_is_refused() -> None:
    assert problem("? [a]\n: 1\n") == "a.yaml:1: a key must be a text, not a list or a mapping"


def test_billion_laughs_are_refused() -> None:
    names = "abcdefghij"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in pairwise(names):
        lines.append(f"{name}: &{name} [{', '.join(['*' + before] * 9)}]")
    assert "aliases (*name) stand for too much" in problem("\n".join(lines))


def test_an_alias_within_itself_is_refused() -> None:
    assert "never ends" in problem("a: &a [*a]\n")


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    assert "nested more than" in problem("[" * depth + "]" * depth)


def test_nesting_that_people_write_is_read() -> None:
    parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, "a.yaml")


def test_nesting_by_aliases_counts_too() -> None:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 80)]
    assert "nested more than" in problem("\n".join(lines))


def test_a_megabyte_is_too_much() -> None:
    assert "too many" in problem("a: " + "x" * 1_000_000)


def test_aliases_are_written_out() -> None:
    assert write(parse("a: &x {q: 1}\nb: *x\n", "a.yaml")) == "a: {q: 1}\nb: {q: 1}\n"


def test_merge_keys_are_flattened_and_own_keys_win() -> None:
    text = "base: &b {x: 1, y: 2}\nnode: {y: 3, <<: *b}\n"
    assert to_value(find(parse(text, "a.yaml"), "node")) == {"x": 1, "y": 3}


def test_of_several_merged_mappings_the_first_wins() -> None:
    text = "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\n"
    assert to_value(find(parse(text, "a.yaml"), "c")) == {"x": 1, "y": 2}


def test_a_merge_key_takes_mappings_only() -> None:
    assert problem("a: {<<: 5}\n") == ("a.yaml:1: '<<' takes a mapping or a list of mappings")


def test_a_quoted_merge_key_is_a_key() -> None:
    assert to_value(parse("'<<': 5\n", "a.yaml")) == {"<<": 5}


def test_nothing_is_null() -> None:
    assert to_value(parse("# only a comment\n", "a.yaml")) is None


def test_the_caller_chooses_the_error() -> None:
    with pytest.raises(SiteMistake):
        parse("[", "site.yaml", SiteMistake)


def test_nodes_know_where_they_stood() -> None:
    root = parse("a:\n  b: 1\n", "a.yaml")
    node = find(root, "a", "b")
    assert node is not None
    assert (source_of(node), line_of(node)) == ("a.yaml", 2)
    assert [(key, line) for key, line, _ in triples(root)] == [("a", 1)]


def test_find_walks_keys_and_positions() -> None:
    root = parse("a: [{b: x}]\n", "a.yaml")
    assert to_value(find(root, "a", 0, "b")) == "x"
    assert find(root, "a", 1) is None
    assert find(root, "a", "b") is None


def test_a_long_text_is_shortened_in_messages() -> None:
    assert kind(parse("x" * 50, "a")) == "the text '" + "x" * 40 + "…'"


@pytest.mark.parametrize(("text", "other"), [("5", True), ("{}", True), ("[]", False), ("", False)])
def test_nothing_is_no_other_kind_than_the_wanted_one(text: str, other: bool) -> None:
    assert is_other(parse(text, "a"), yaml.SequenceNode) is other
    assert not is_other(None, yaml.SequenceNode)


def test_made_nodes_are_written_so_that_nobody_misreads_them() -> None:
    made = map_node(
        {"a": text_node("yes"), "b": text_node("two\nlines\n"), "c": list_node([number_node(3)])}
    )
    assert write(made) == 'a: "yes"\nb: |\n  two\n  lines\nc:\n- 3\n'


def test_a_node_that_stands_twice_gets_no_anchor() -> None:
    twice = text_node("x")
    assert write(list_node([twice, twice])) == '- "x"\n- "x"\n'


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=50)
@given(VALUES)
@example({"a": "|\n  x\n"})
@example({"": ""})
def test_writing_keeps_every_value(value: object) -> None:
    text = str(yaml.dump(value, allow_unicode=True, width=200, sort_keys=False))
    once = parse(text, "a.yaml")
    assert to_value(parse(write(once), "b.yaml")) == to_value(once)


@settings(max_examples=50)
@given(TEXTS)
@example("  leading\nspaces\n")
@example("\nbreak first")
@example("trailing \n")
@example("****")
@example("a: b # c")
def test_a_text_node_holds_any_text(text: str) -> None:
    written = write(map_node({"key": text_node(text)}))
    assert to_value(parse(written, "a.yaml")) == {"key": text}


@settings(max_examples=50)
@given(st.text(max_size=200))
@example("\ufeffa: 1")
@example("%YAML 3.0\n---\na: 1")
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    message = "a.yaml"
    try:
        parse(text, "a.yaml")
    except NetbootError as error:
        message = str(error)
    assert message.startswith("a.yaml")
    assert "\n" not in message
