"""Expectations follow sdk/collector's own tests of DeepMerge where it has them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kairos_netboot.cloudconfig.merge import clashes, merge
from kairos_netboot.cloudconfig.yamlnodes import line_of, parse, to_value, write


def merged(base: str, over: str) -> object:
    return to_value(merge(parse(base, "base.yaml"), parse(over, "over.yaml")))


def test_mappings_merge_deep() -> None:
    assert merged("i: {auto: true, g: {x: 1}}", "i: {device: d, g: {y: 2}}") == {
        "i": {"auto": True, "device": "d", "g": {"x": 1, "y": 2}}
    }


def test_a_later_scalar_replaces() -> None:
    assert merged("name: mario", "name: luigi") == {"name": "luigi"}


def test_an_empty_text_replaces() -> None:
    assert merged("config_url: http://a", 'config_url: ""') == {"config_url": ""}


def test_lists_of_scalars_are_united_in_order() -> None:
    assert merged("a: [one, three]", "a: [two, one, 4, 4]") == {"a": ["one", "three", "two", 4]}


def test_one_and_true_and_its_text_are_different_items() -> None:
    assert merged("a: [1]", "a: [true, '1', 1.0]") == {"a": [1, True, "1", 1.0]}


def test_lists_of_mappings_are_joined_even_where_they_are_equal() -> None:
    assert merged("s: [{a: 1}]", "s: [{a: 1}, {b: 2}]") == {"s": [{"a": 1}, {"a": 1}, {"b": 2}]}


def test_the_first_item_decides_how_lists_merge() -> None:
    assert merged("s: [{a: 1}, x]", "s: [x]") == {"s": [{"a": 1}, "x", "x"]}
    assert merged("s: [x, {a: 1}]", "s: [{a: 1}]") == {"s": ["x", {"a": 1}]}


def test_an_empty_list_takes_what_comes() -> None:
    assert merged("a: []", "a: [x, x]") == {"a": ["x", "x"]}


def test_null_empties_what_was_there() -> None:
    assert merged(
        "l: [1]\nm: {a: 1}\ns: x\nn: 5\nb: true\nf: 1.5",
        "l: null\nm: ~\ns:\nn: null\nb: null\nf: null",
    ) == {"l": [], "m": {}, "s": "", "n": 0, "b": False, "f": 0.0}


def test_anything_replaces_null() -> None:
    assert merged("a:", "a: [1]") == {"a": [1]}


@pytest.mark.parametrize(
    ("base", "over"), [("[a]", "{b: 1}"), ("{b: 1}", "x"), ("x", "[a]"), ("'1'", "1")]
)
def test_of_different_kinds_the_later_wins(base: str, over: str) -> None:
    assert merged(f"k: {base}", f"k: {over}") == {"k": to_value(parse(over, "x"))}


def test_different_kinds_are_told_with_their_key_and_both_places() -> None:
    base = parse("a:\n  users: [x]\n  same: 1\n", "base.yaml")
    over = parse("a:\n  same: '2'\n  users: {y: 1}\n", "over.yaml")
    assert [(key, line_of(b), line_of(o)) for key, b, o in clashes(base, over)] == [
        ("a.users", 2, 3)
    ]


def test_null_clashes_with_nothing() -> None:
    assert list(clashes(parse("a: [1]", "b"), parse("a:", "o"))) == []


def test_spelling_and_style_survive_the_merge() -> None:
    base = parse("files:\n- mode: 0644\n  text: |\n    a\nmac: '5'\n", "base.yaml")
    over = parse("files:\n- mode: 0600\nmac: 52:54:00:12:34:56\n", "over.yaml")
    assert write(merge(base, over)) == (
        "files:\n- mode: 0644\n  text: |\n    a\n- mode: 0600\nmac: 52:54:00:12:34:56\n"
    )


def test_a_merged_scalar_knows_the_file_it_came_from() -> None:
    tree = merge(parse("a: 1", "base.yaml"), parse("\n\na: 2", "over.yaml"))
    assert [(key.start_mark.name, line_of(key)) for key, _ in tree.value] == [("over.yaml", 3)]


SCALARS = st.sampled_from(["x", "'y'", "0644", "yes", "true", "1.5", "52:54:00:12:34:56"])
MAPS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), SCALARS, max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from("def"), inner | st.lists(inner, min_size=1, max_size=2), max_size=3
    ),
    max_leaves=8,
)


def flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return str(value)


DOCUMENTS = MAPS.map(flow)
quick = settings(max_examples=30)


@quick
@given(DOCUMENTS)
def test_an_empty_document_changes_nothing(text: str) -> None:
    node, empty = parse(text, "a"), parse("{}", "e")
    assert to_value(merge(node, empty)) == to_value(node)
    assert to_value(merge(empty, node)) == to_value(node)


@quick
@given(DOCUMENTS, DOCUMENTS)
def test_merging_leaves_its_inputs_alone(first: str, second: str) -> None:
    base, over = parse(first, "a"), parse(second, "b")
    before = write(base), write(over)
    merge(base, over)
    assert (write(base), write(over)) == before


@quick
@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_merging_is_associative_where_kinds_agree(first: str, second: str, third: str) -> None:
    a, b, c = parse(first, "a"), parse(second, "b"), parse(third, "c")
    if any(list(clashes(x, y)) for x, y in ((a, b), (b, c), (a, c))):
        return
    assert to_value(merge(merge(a, b), c)) == to_value(merge(a, merge(b, c)))


@quick
@given(DOCUMENTS, DOCUMENTS)
def test_every_key_of_both_is_there(first: str, second: str) -> None:
    a, b = to_value(parse(first, "a")), to_value(parse(second, "b"))
    both = merged(first, second)
    assert isinstance(a, dict)
    assert isinstance(b, dict)
    assert isinstance(both, dict)
    assert set(both) == {*a, *b}
