"""Each expectation was seen in Go: gopkg.in/yaml.v3 v3.0.1 into map[string]interface{}."""

import math

import pytest
import yaml

from kairos_netboot.cloudconfig.dialect import Loader, scalar_value


def read(text: str) -> object:
    node = yaml.compose(f"key: {text}\n", Loader=Loader)
    assert isinstance(node, yaml.MappingNode)
    value = node.value[0][1]
    return scalar_value(value.tag, value.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0644", 420),
        ("0o17", 15),
        ("-0o17", -15),
        ("0x1F", 31),
        ("-0x1f", -31),
        ("0b11", 3),
        ("1_000", 1000),
        ("+12", 12),
        ("08", 8.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1_0.5", 10.5),
        (".inf", math.inf),
        ("True", True),
        ("FALSE", False),
        ("~", None),
        ("NULL", None),
        ("", None),
    ],
)
def test_numbers_booleans_and_nulls_are_read_as_go_reads_them(text: str, value: object) -> None:
    assert read(text) == value
    assert type(read(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    ["yes", "no", "on", "y", "52:54:00:12:34:56", "0o8", "1e", "_1", ".e1", "0b2", "2001-01-01"],
)
def test_what_only_yaml_1_1_takes_for_something_is_text(text: str) -> None:
    assert read(text) == text


def test_quotes_make_text_of_anything() -> None:
    assert read("'0644'") == "0644"
    assert read('"true"') == "true"


def test_a_tag_overrules_the_looks() -> None:
    assert read("!!str 12") == "12"
    assert read('!!int "5"') == 5


def test_a_text_that_breaks_its_tag_stays_text() -> None:
    assert read("!!int five") == "five"
    assert read("!!bool yes") == "yes"


def test_a_number_beyond_every_number_is_text() -> None:
    assert read("1" * 5000) == "1" * 5000
