"""What nftables would do with a packet of ours, read from `nft -j list ruleset`. Pure.

A match that is not understood counts as "perhaps": a rule behind it neither lets a packet through
for certain nor drops it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .matches import Value, Wanted, is_in, value_of

_INWARD = ("ingress", "prerouting", "input")
_OUTWARD = ("output", "postrouting", "egress")
_BOTH_FAMILIES = ("inet", "netdev")
# Statements that end a rule for some packets; for which, cannot be told.
_DOUBTS = ("limit", "quota", "ct count", "meter", "xt")
_ACCEPT, _DROP, _RETURN, _GO_ON = "accept", "drop", "return", "go on"
_VERDICTS = {"accept": _ACCEPT, "drop": _DROP, "reject": _DROP, "return": _RETURN}

Rule = Mapping[str, Any]
_Ends = frozenset[str]  # what may become of a packet
_Key = tuple[str, str, str]  # family, table, chain or set


class Verdict(Enum):
    PASSED = "passed"
    PERHAPS = "perhaps dropped"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Ruling:
    """`where`: the chain that decided, `inet filter input`."""

    verdict: Verdict
    where: str = ""


def ruling(ruleset: Mapping[str, Any], wanted: Wanted) -> Ruling:
    """The worst that any chain on a packet's way does with it."""
    walk = _Walk(_Tables(ruleset.get("nftables", ())), wanted)
    found = Ruling(Verdict.PASSED)
    for chain in walk.base_chains():
        verdict = walk.verdict(chain)
        if verdict is Verdict.DROPPED:
            return Ruling(verdict, " ".join(_key(chain)))
        if verdict is Verdict.PERHAPS:
            found = Ruling(verdict, " ".join(_key(chain)))
    return found


def _key(item: Mapping[str, Any]) -> _Key:
    return item["family"], item["table"], item["name"]


class _Tables:
    def __init__(self, items: Sequence[Mapping[str, Any]]) -> None:
        self.chains: list[Mapping[str, Any]] = []
        self.rules: dict[_Key, list[Rule]] = {}
        self.sets: dict[_Key, Any] = {}
        for item in items:
            if chain := item.get("chain"):
                self.chains.append(chain)
            elif rule := item.get("rule"):
                key = (rule["family"], rule["table"], rule["chain"])
                self.rules.setdefault(key, []).append(rule)
            elif named := item.get("set") or item.get("map"):
                self.sets[_key(named)] = named.get("elem", [])


class _Walk:
    """One packet through the tables."""

    def __init__(self, tables: _Tables, wanted: Wanted) -> None:
        self._tables, self._wanted = tables, wanted
        self._known: dict[_Key, _Ends] = {}

    def base_chains(self) -> list[Mapping[str, Any]]:
        return [chain for chain in self._tables.chains if self._is_on_the_way(chain)]

    def _is_on_the_way(self, chain: Mapping[str, Any]) -> bool:
        wanted, family = self._wanted, chain["family"]
        if chain.get("hook") not in (_OUTWARD if wanted.outward else _INWARD):
            return False
        if family not in (wanted.family, *_BOTH_FAMILIES):
            return False
        if family != "netdev":
            return not wanted.framed
        device = chain.get("dev", [])
        devices = device if isinstance(device, list) else [device]
        return not wanted.interface or wanted.interface in devices

    def verdict(self, chain: Mapping[str, Any]) -> Verdict:
        ends = self._ends_of_chain(_key(chain))
        if _RETURN in ends:
            ends = ends - {_RETURN} | {_DROP if chain.get("policy") == "drop" else _ACCEPT}
        if _DROP not in ends:
            return Verdict.PASSED
        return Verdict.DROPPED if ends == {_DROP} else Verdict.PERHAPS

    def _ends_of_chain(self, key: _Key) -> _Ends:
        if key not in self._known:
            self._known[key] = frozenset({_RETURN})  # for a circle, which no kernel takes
            self._known[key] = self._through(key)
        return self._known[key]

    def _through(self, key: _Key) -> _Ends:
        found: _Ends = frozenset()
        for rule in self._tables.rules.get(key, ()):
            matches = self._matches(rule)
            if matches is False:
                continue
            ends = self._ends_of_rule(rule, key)
            found |= ends - {_GO_ON}
            if matches is True and _GO_ON not in ends:
                return found
        return found | {_RETURN}

    def _ends_of_rule(self, rule: Rule, key: _Key) -> _Ends:
        for expression in rule.get("expr", ()):
            for word, value in expression.items():
                if word in _VERDICTS:
                    return frozenset({_VERDICTS[word]})
                if word in ("jump", "goto"):
                    ends = self._ends_of_chain((*key[:2], value["target"]))
                    return ends if word == "goto" else _come_back(ends)
                if word == "vmap":
                    return self._ends_of_map(value, key)
                if word == "xt":  # a target of iptables', REJECT for one
                    return frozenset({_DROP, _GO_ON})
        return frozenset({_GO_ON})

    def _ends_of_map(self, vmap: Mapping[str, Any], key: _Key) -> _Ends:
        value = value_of(vmap["key"], self._wanted)
        if isinstance(value, bool):
            return frozenset({_GO_ON})
        data = vmap["data"]
        if isinstance(data, str):
            data = {"set": self._tables.sets.get((*key[:2], data[1:]), [])}
        found = frozenset({_GO_ON})
        for pair in data.get("set", []):
            if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], dict)):
                continue
            holds = None if value is None else self._holds(pair[0], value, key)
            ends = self._ends_of_rule({"expr": [pair[1]]}, key)
            if holds is True:
                return found - {_GO_ON} | ends
            found |= ends if holds is None else frozenset()
        return found

    def _matches(self, rule: Rule) -> bool | None:
        """None: it cannot be told."""
        known: bool | None = True
        for expression in rule.get("expr", ()):
            if "match" in expression:
                answer = self._match(expression["match"], (rule["family"], rule["table"], ""))
            else:
                answer = None if any(word in expression for word in _DOUBTS) else True
            if answer is False:
                return False
            known = None if answer is None else known
        return known

    def _match(self, match: Mapping[str, Any], key: _Key) -> bool | None:
        value = value_of(match["left"], self._wanted)
        if value is None or isinstance(value, bool):
            return value
        holds = self._holds(match["right"], value, key)
        if holds is None:
            return None
        return not holds if match.get("op") == "!=" else holds

    def _holds(self, right: Any, value: Value, key: _Key) -> bool | None:
        """Whether a value is what a rule has on its right side, or among it."""
        if isinstance(right, str) and right.startswith("@"):
            right = self._tables.sets.get((*key[:2], right[1:]))
        if isinstance(right, list):  # as newer versions print the states of a connection
            right = {"set": right}
        if isinstance(right, dict) and isinstance(right.get("set"), list):
            found = [self._holds(element, value, key) for element in right["set"]]
            return True if True in found else (None if None in found else False)
        if isinstance(right, dict) and isinstance(right.get("elem"), dict):
            return self._holds(right["elem"].get("val"), value, key)
        return is_in(right, value)


def _come_back(ends: _Ends) -> _Ends:
    return ends - {_RETURN} | {_GO_ON} if _RETURN in ends else ends
