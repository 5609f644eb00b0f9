"""Which profile a machine gets that nobody gave one: selectors over what it told of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from .fleet import Fleet, Node
from .identity import either_order, identity_of
from .lifecycle import State
from .site import Profile
from .unknown import IGNORE, INVENTORY, Selector, word_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A profile that could be a machine's. `weight` grows with what its best selector asks for;
    `why` is a sentence without a subject."""

    profile: str
    fits: bool
    why: str
    weight: tuple[int, int, int] = (0, 0, 0)


def candidates(fleet: Fleet, node: Node) -> tuple[Candidate, ...]:
    """Every profile with selectors: those that fit first, the most specific first of all."""
    found = [_candidate(p, node) for p in fleet.profiles.values() if p.match]
    found.sort(key=lambda c: (not c.fits, *(-part for part in c.weight), c.profile))
    if not found or not found[0].fits:
        return tuple(found)
    winner = found[0]
    return (winner, *(_beaten(c, winner) if c.fits else c for c in found[1:]))


def select(fleet: Fleet, node: Node) -> Candidate | None:
    """The profile whose selector fits best; None where none does."""
    best = next(iter(candidates(fleet, node)), None)
    return best if best and best.fits else None


def choice_for(fleet: Fleet, node: Node, network: IPv4Address | None = None) -> Candidate | None:
    """What a machine that nobody named would get: the best selector's profile, or else the one
    that its network's word is."""
    best = select(fleet, node)
    word = word_for(fleet.unknown, node, network)
    if best is not None or word in (IGNORE, INVENTORY) or word not in fleet.profiles:
        return best
    return Candidate(profile=word, fits=True, why=f"unknown machines there get '{word}'")


def may_name(fleet: Fleet, node: Node | None, network: IPv4Address | None) -> bool:
    """Whether what a machine tells may give it a name or a profile."""
    if node is not None and (node.denied or _is_named(node)):
        return False
    if any(n.spec and identity_of(n.spec) and not n.macs for n in fleet.nodes):
        return True
    selects = any(p.match for p in fleet.profiles.values())
    if node is not None and node.spec is not None:
        return selects
    by_word = word_for(fleet.unknown, node, network) not in (IGNORE, INVENTORY)
    return (selects or by_word) and not fleet.unknown.approval


def _is_named(node: Node) -> bool:
    return node.spec is not None and node.state is not State.DISCOVERED


def wants_vendor(fleet: Fleet) -> bool:
    """Whether any selector asks for a card's vendor: the registry takes a moment to load."""
    return any("vendor" in s.facts for p in fleet.profiles.values() for s in p.match)


def weight_of(selector: Selector) -> tuple[int, int, int]:
    """How many facts it asks for, how many of them exactly, how narrow its network is."""
    patterns = [*selector.facts.items(), *selector.labels.items()]
    exact = sum(_is_exact(key, pattern) for key, pattern in patterns)
    subnet = selector.subnet
    asked = len(patterns) + (subnet is not None)
    return asked, exact, subnet.prefixlen if subnet else 0


def _is_exact(key: str, pattern: str) -> bool:
    return not set("*?") & set(pattern) and (key != "mac" or len(_bare(pattern)) == 12)


def _candidate(profile: Profile, node: Node) -> Candidate:
    """By its best selector: of those that fit the most specific, else the one nearest to it."""
    judged = [(s, list(_misfits(s, node))) for s in profile.match]
    fitting = [s for s, misfits in judged if not misfits]
    if fitting:
        best = max(fitting, key=weight_of)
        why = "; ".join(_reasons(best, node))
        return Candidate(profile=profile.name, fits=True, why=why, weight=weight_of(best))
    nearest, misfits = min(judged, key=lambda pair: len(pair[1]))
    why = "; ".join(misfits)
    return Candidate(profile=profile.name, fits=False, why=why, weight=weight_of(nearest))


def _beaten(candidate: Candidate, winner: Candidate) -> Candidate:
    """The same, with why another one won."""
    mine, its = candidate.weight, winner.weight
    if mine == its:
        why = f"'{winner.profile}' asks for as much, and comes first by its name"
    elif mine[0] != its[0]:
        why = f"'{winner.profile}' asks for {its[0]} facts, this one for {mine[0]}"
    elif mine[1] != its[1]:
        why = f"'{winner.profile}' asks for as many facts, and more of them exactly"
    else:
        why = f"'{winner.profile}' asks for a narrower subnet (/{its[2]}, not /{mine[2]})"
    return Candidate(
        profile=candidate.profile, fits=True, weight=mine, why=f"{candidate.why}; but {why}"
    )


def _reasons(selector: Selector, node: Node) -> Iterator[str]:
    for key, pattern, values in _asked(selector, node):
        yield f"{key} is '{_shown(key, values, pattern)}' (wanted '{pattern}')"
    if selector.subnet is not None:
        yield f"asks from {node.facts.get('network', '')} (wanted {selector.subnet})"


def _misfits(selector: Selector, node: Node) -> Iterator[str]:
    """A sentence for each fact that is not as wanted."""
    for key, pattern, values in _asked(selector, node):
        if not values:
            yield f"{key} is not known (wanted '{pattern}')"
        elif not any(_fits(key, value, pattern) for value in values):
            yield f"{key} is '{', '.join(values)}', not '{pattern}'"
    if selector.subnet is not None:
        told = node.facts.get("network", "")
        if not told:
            yield f"the network it asks from is not known (wanted {selector.subnet})"
        elif IPv4Address(told) not in selector.subnet:
            yield f"asks from {told}, not from {selector.subnet}"


def _asked(selector: Selector, node: Node) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Name, pattern and the machine's values of each fact and label."""
    labels: Mapping[str, str] = node.spec.labels if node.spec else {}
    for key, pattern in selector.facts.items():
        own = node.facts.get(key, "")
        yield key, pattern, tuple(node.macs) if key == "mac" else (own,) if own else ()
    for key, pattern in selector.labels.items():
        own = labels.get(key, "")
        yield f"label {key}", pattern, (own,) if own else ()


def _shown(key: str, values: tuple[str, ...], pattern: str) -> str:
    return next(value for value in values if _fits(key, value, pattern))


def _fits(key: str, value: str, pattern: str) -> bool:
    if key == "uuid" and either_order(pattern):
        return value.lower() in either_order(pattern)
    if key == "mac":
        bare = _bare(pattern)
        whole = bare if "*" in bare or len(bare) == 12 else f"{bare}*"
        return matches(whole, _bare(value))
    return matches(pattern, value)


def _bare(mac: str) -> str:
    return re.sub(r"[.:-]", "", mac)


def matches(pattern: str, value: str) -> bool:
    """`*` stands for any letters, `?` for one; capitals are small ones.

    Without `re`, which takes for ever to see that `*a*a*a*a*b` does not fit.
    """
    first, *others = pattern.strip().lower().split("*")
    rest = value.strip().lower()
    if not _begins(rest, first):
        return False
    if not others:
        return len(rest) == len(first)
    rest, last = rest[len(first) :], others.pop()
    for part in others:
        at = next((i for i in range(len(rest) + 1) if _begins(rest[i:], part)), None)
        if at is None:
            return False
        rest = rest[at + len(part) :]
    return len(rest) >= len(last) and _begins(rest[len(rest) - len(last) :], last)


def _begins(text: str, part: str) -> bool:
    return len(text) >= len(part) and all(
        wanted in ("?", is_there) for wanted, is_there in zip(part, text, strict=False)
    )
