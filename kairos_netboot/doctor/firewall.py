"""What nftables would do with a packet for us, read from `nft -j list ruleset`. Pure.

A match that is not understood counts as "perhaps": a rule behind it neither lets a packet through
for certain nor drops it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

_HOOKS = ("ingress", "prerouting", "input")
_FAMILIES = ("ip", "ip6", "inet", "netdev")
_DROPS = ("drop", "reject")
# Jumps deeper than the kernel allows (NFT_JUMP_STACK_SIZE) are a ruleset it would not have taken.
_DEEPEST = 16

Rule = Mapping[str, Any]


class Verdict(Enum):
    PASSED = "passed"
    PERHAPS = "perhaps dropped"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A packet that opens a conversation with us. `protocol`: `udp` or `tcp`."""

    protocol: str
    port: int
    interface: str = ""  # empty: any


@dataclass(frozen=True, slots=True)
class Ruling:
    """`where`: the chain that decided, `inet filter input`."""

    verdict: Verdict
    where: str = ""


def ruling(ruleset: Mapping[str, Any], wanted: Wanted) -> Ruling:
    """The worst that any chain on a packet's way to a socket of this host does with it."""
    tables = _Tables(ruleset.get("nftables", ()))
    found = Ruling(Verdict.PASSED)
    for chain in tables.base_chains():
        verdict = tables.verdict(chain, wanted)
        if verdict is Verdict.DROPPED:
            return Ruling(verdict, _name(chain))
        if verdict is Verdict.PERHAPS:
            found = Ruling(verdict, _name(chain))
    return found


def _name(chain: Mapping[str, Any]) -> str:
    return f"{chain['family']} {chain['table']} {chain['name']}"


_Key = tuple[str, str, str]  # family, table, chain or set


class _Tables:
    def __init__(self, items: Sequence[Mapping[str, Any]]) -> None:
        self.chains: dict[_Key, Mapping[str, Any]] = {}
        self.rules: dict[_Key, list[Rule]] = {}
        self.sets: dict[_Key, Any] = {}
        for item in items:
            if chain := item.get("chain"):
                self.chains[chain["family"], chain["table"], chain["name"]] = chain
            elif rule := item.get("rule"):
                key = (rule["family"], rule["table"], rule["chain"])
                self.rules.setdefault(key, []).append(rule)
            elif named := item.get("set"):
                self.sets[named["family"], named["table"], named["name"]] = named.get("elem", [])

    def base_chains(self) -> list[Mapping[str, Any]]:
        return [
            chain
            for chain in self.chains.values()
            if chain.get("hook") in _HOOKS and chain["family"] in _FAMILIES
        ]

    def verdict(self, chain: Mapping[str, Any], wanted: Wanted) -> Verdict:
        key = (chain["family"], chain["table"], chain["name"])
        end, perhaps = self._walk(key, wanted, 0)
        end = end or ("drop" if chain.get("policy") == "drop" else "accept")
        if end in _DROPS:
            return Verdict.PERHAPS if perhaps == "accept" else Verdict.DROPPED
        return Verdict.PERHAPS if perhaps == "drop" else Verdict.PASSED

    def _walk(self, key: _Key, wanted: Wanted, depth: int) -> tuple[str, str]:
        """(what ends it for certain or empty, what may have happened on the way or empty)."""
        perhaps = ""
        for rule in self.rules.get(key, ()) if depth <= _DEEPEST else ():
            matches = self._matches(rule, wanted)
            if matches is False:
                continue
            end, doubt = self._outcome(rule, key, wanted, depth)
            if matches is True and end:
                return end, perhaps or doubt
            perhaps = perhaps or doubt or (_summary(end) if matches is None else "")
            if matches is True and "return" in _words(rule):
                break
        return "", perhaps

    def _outcome(self, rule: Rule, key: _Key, wanted: Wanted, depth: int) -> tuple[str, str]:
        for expression in rule.get("expr", ()):
            for word, value in expression.items():
                if word in ("accept", *_DROPS):
                    return word, ""
                if word in ("jump", "goto"):
                    return self._walk((*key[:2], value["target"]), wanted, depth + 1)
        return "", ""

    def _matches(self, rule: Rule, wanted: Wanted) -> bool | None:
        """None: it cannot be told."""
        known: bool | None = True
        for expression in rule.get("expr", ()):
            if "match" not in expression:
                continue
            answer = self._match(expression["match"], rule, wanted)
            if answer is False:
                return False
            known = None if answer is None else known
        return known

    def _match(self, match: Mapping[str, Any], rule: Rule, wanted: Wanted) -> bool | None:
        value = _value_of(match["left"], wanted)
        if value is None:
            return None
        if value == "":  # a packet of any interface: it may be this one
            return None
        if isinstance(value, bool):
            return value
        holds = self._contains(match["right"], value, rule)
        if holds is None:
            return None
        return not holds if match.get("op") == "!=" else holds

    def _contains(self, right: Any, value: str | int, rule: Rule) -> bool | None:
        if isinstance(right, str) and right.startswith("@"):
            named = self.sets.get((rule["family"], rule["table"], right[1:]))
            return None if named is None else self._contains({"set": named}, value, rule)
        if isinstance(right, list):  # as newer versions print the states of a connection
            right = {"set": right}
        if isinstance(right, dict) and isinstance(right.get("set"), list):
            found = [self._contains(element, value, rule) for element in right["set"]]
            return True if True in found else (None if None in found else False)
        if isinstance(right, dict) and isinstance(right.get("range"), list):
            first, last = (*right["range"], None, None)[:2]
            if not (isinstance(first, int) and isinstance(last, int) and isinstance(value, int)):
                return None
            return first <= value <= last
        if isinstance(right, str) and right.endswith("*") and isinstance(value, str):
            return value.startswith(right[:-1])
        if isinstance(right, str | int):
            return bool(right == value)
        return None


def _value_of(left: Any, wanted: Wanted) -> str | int | bool | None:
    """What this packet has there; a truth value where the match is decided by it alone."""
    if not isinstance(left, dict) or len(left) != 1:
        return None
    ((kind, of),) = left.items()
    if not isinstance(of, dict):
        return None
    match kind, of.get("protocol"), of.get("field", of.get("key")):
        case "payload", ("udp" | "tcp") as protocol, _ if protocol != wanted.protocol:
            return False
        case "payload", "udp" | "tcp", "dport":
            return wanted.port
        case ("payload", "ip", "protocol") | ("meta", _, "l4proto"):
            return wanted.protocol
        case "meta", _, "iifname" | "iif":
            return wanted.interface
        case "ct", _, "state":  # nobody has spoken before
            return "new"
    return None


def _words(rule: Rule) -> set[str]:
    return {word for expression in rule.get("expr", ()) for word in expression}


def _summary(end: str) -> str:
    return "drop" if end in _DROPS else end
