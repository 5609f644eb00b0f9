"""YAML as Kairos reads it: what a plain scalar means to Go's yaml.v3.

PyYAML's own rules are YAML 1.1: `52:54:00:12:34:56` is a number to base 60 there and `yes` is
true. A node's tag says here what Go will make of it, and a node goes out spelt as it came in.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

NULL = "tag:yaml.org,2002:null"
BOOL = "tag:yaml.org,2002:bool"
INT = "tag:yaml.org,2002:int"
FLOAT = "tag:yaml.org,2002:float"
STR = "tag:yaml.org,2002:str"
SEQ = "tag:yaml.org,2002:seq"
MAP = "tag:yaml.org,2002:map"
MERGE = "tag:yaml.org,2002:merge"
PLAIN = (NULL, BOOL, INT, FLOAT)  # what a scalar can only be without quotes

# yaml.v3 drops every underscore of a number before it reads it, wherever it stands but first.
_INT = re.compile(
    r"[-+]?(?:0[xX]_*[0-9a-fA-F][0-9a-fA-F_]*|0[oO]_*[0-7][0-7_]*|0[bB]_*[01][01_]*"
    r"|0[0-7_]*|[1-9][0-9_]*)$"
)
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?$"
    r"|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
)
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"(?:~|null|Null|NULL|)$")
_MERGE = re.compile(r"<<$")

_LONGEST_NUMBER = 308  # digits of the largest float; Go leaves longer ones as text, too

_Resolvers = dict[str | None, list[tuple[str, re.Pattern[str]]]]


def _resolvers() -> _Resolvers:
    """PyYAML's table: first character of a plain scalar → what to try, in order."""
    table: _Resolvers = {}
    for tag, pattern, firsts in (
        (NULL, _NULL, ["~", "n", "N", ""]),
        (BOOL, _BOOL, list("tTfF")),
        (INT, _INT, list("-+0123456789")),
        (FLOAT, _FLOAT, list("-+.0123456789")),
        (MERGE, _MERGE, ["<"]),
    ):
        for first in firsts:
            table.setdefault(first, []).append((tag, pattern))
    return table


class Loader(yaml.CSafeLoader):
    yaml_implicit_resolvers: Any = _resolvers()


class Dumper(yaml.CSafeDumper):
    yaml_implicit_resolvers: Any = _resolvers()


def scalar_value(tag: str, text: str) -> object:
    """The value Kairos gets for a scalar; a text that breaks its explicit tag stays a text."""
    if tag == NULL:
        return None
    if tag == BOOL and _BOOL.match(text):
        return text.lower() == "true"
    if len(text) > _LONGEST_NUMBER:
        return text
    if tag == INT and _INT.match(text):
        return _integer(text.replace("_", "").lower())
    if tag in (INT, FLOAT) and _FLOAT.match(text):
        return _float(text.replace("_", "").lower())
    return text


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    if digits.startswith("0") and digits.isdigit():
        digits = "0o" + digits  # 0644: Go still reads YAML 1.1's octal
    return int(digits, 0) * (-1 if text.startswith("-") else 1)


def _float(text: str) -> float:
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))
