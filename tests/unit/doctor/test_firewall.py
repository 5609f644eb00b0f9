"""Rulesets as `nft -j list ruleset` (1.0.6) printed them, shortened to what is read."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.doctor.firewall import Ruling, Verdict, ruling
from kairos_netboot.doctor.matches import Wanted

TFTP = Wanted(protocol="udp", to=(69, 69))


def chain(name: str = "input", hook: str = "input", policy: str = "accept") -> dict[str, Any]:
    base = {"type": "filter", "hook": hook, "prio": 0, "policy": policy} if hook else {}
    return {"chain": {"family": "inet", "table": "filter", "name": name, **base}}


def rule(*expressions: dict[str, Any], of: str = "input") -> dict[str, Any]:
    place = {"family": "inet", "table": "filter", "chain": of}
    return {"rule": {**place, "expr": list(expressions)}}


def match(left: dict[str, Any], right: object, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def dport(right: object, protocol: str = "udp", op: str = "==") -> dict[str, Any]:
    return match({"payload": {"protocol": protocol, "field": "dport"}}, right, op)


ACCEPT: dict[str, Any] = {"accept": None}
DROP: dict[str, Any] = {"drop": None}
ESTABLISHED = match({"ct": {"key": "state"}}, {"set": ["established", "related"]}, "in")
LOOPBACK = match({"meta": {"key": "iifname"}}, "lo")


def seen(*items: dict[str, Any], wanted: Wanted = TFTP) -> Verdict:
    return ruling({"nftables": list(items)}, wanted).verdict


def test_without_rules_everything_passes() -> None:
    assert ruling({}, TFTP) == Ruling(Verdict.PASSED)


def test_a_policy_of_drop_drops_and_the_chain_is_named() -> None:
    found = ruling({"nftables": [chain(policy="drop")]}, TFTP)
    assert found == Ruling(Verdict.DROPPED, "inet filter input")


@pytest.mark.parametrize(
    "right",
    [69, {"set": [67, 69]}, {"set": [{"range": [60, 70]}]}, {"range": [69, 69]}, "@ours"],
)
def test_a_port_that_is_let_through_passes(right: object) -> None:
    named = {"set": {"family": "inet", "table": "filter", "name": "ours", "elem": [69]}}
    assert seen(named, chain(policy="drop"), rule(dport(right), ACCEPT)) is Verdict.PASSED


def test_another_port_or_protocol_does_not_help() -> None:
    for expression in (dport(68), dport(69, "tcp"), dport({"set": [67]}), dport(69, op="!=")):
        assert seen(chain(policy="drop"), rule(expression, ACCEPT)) is Verdict.DROPPED


def test_rules_for_conversations_under_way_do_not_open_a_port() -> None:
    assert seen(chain(policy="drop"), rule(ESTABLISHED, ACCEPT)) is Verdict.DROPPED


def test_a_rule_for_another_interface_does_not_help() -> None:
    wanted = replace(TFTP, interface="eth0")
    assert seen(chain(policy="drop"), rule(LOOPBACK, ACCEPT), wanted=wanted) is Verdict.DROPPED
    starred = match({"meta": {"key": "iifname"}}, "eth*")
    assert seen(chain(policy="drop"), rule(starred, ACCEPT), wanted=wanted) is Verdict.PASSED


def test_what_is_not_understood_is_told_as_doubt() -> None:
    source = match({"payload": {"protocol": "ip", "field": "saddr"}}, "192.0.2.0")
    assert seen(chain(policy="drop"), rule(source, dport(69), ACCEPT)) is Verdict.PERHAPS
    assert seen(chain(), rule(source, DROP)) is Verdict.PERHAPS


def test_jumps_are_followed_and_come_back() -> None:
    ports = chain("ports", hook="")
    jump = rule({"jump": {"target": "ports"}})
    opened = rule(dport(69), ACCEPT, of="ports")
    assert seen(chain(policy="drop"), ports, jump, opened) is Verdict.PASSED
    assert seen(chain(policy="drop"), ports, jump) is Verdict.DROPPED
    left = rule({"return": None}, of="ports")
    assert seen(chain(policy="drop"), ports, jump, left, opened) is Verdict.DROPPED


def test_a_jump_in_a_circle_ends() -> None:
    circle = rule({"jump": {"target": "input"}})
    assert seen(chain(), circle) is Verdict.PASSED


def test_reject_is_a_drop_and_forwarding_is_not_ours() -> None:
    assert seen(chain(), rule(dport(69), {"reject": {}})) is Verdict.DROPPED
    assert seen(chain(hook="forward", policy="drop")) is Verdict.PASSED


def test_a_goto_does_not_come_back() -> None:
    ports = chain("ports", hook="")
    goto = rule({"goto": {"target": "ports"}})
    assert seen(chain(policy="drop"), ports, goto, rule(dport(69), ACCEPT)) is Verdict.DROPPED


def test_a_map_of_verdicts_is_read() -> None:
    key = {"payload": {"protocol": "udp", "field": "dport"}}
    pairs = [[67, ACCEPT], [{"range": [68, 69]}, ACCEPT]]
    ours = rule({"vmap": {"key": key, "data": {"set": pairs}}})
    assert seen(chain(policy="drop"), ours) is Verdict.PASSED
    state = {"key": {"ct": {"key": "state"}}, "data": {"set": [["established", ACCEPT]]}}
    assert seen(chain(policy="drop"), rule({"vmap": state})) is Verdict.DROPPED
    assert seen(chain(), rule({"vmap": {"key": key, "data": "@bad"}}), BAD) is Verdict.DROPPED


BAD = {"map": {"family": "inet", "table": "filter", "name": "bad", "elem": [[69, DROP]]}}


def test_a_range_of_ports_has_to_be_let_through_whole() -> None:
    acks = replace(TFTP, to=(32768, 60999))
    for right, verdict in (
        ({"range": [1024, 65535]}, Verdict.PASSED),
        ({"range": [40000, 65535]}, Verdict.PERHAPS),
        (69, Verdict.DROPPED),
    ):
        assert seen(chain(policy="drop"), rule(dport(right), ACCEPT), wanted=acks) is verdict


def test_who_has_no_address_yet_is_in_no_network() -> None:
    near = {"prefix": {"addr": "192.0.2.0", "len": 24}}
    lan = rule(match({"payload": {"protocol": "ip", "field": "saddr"}}, near), ACCEPT)
    for network, verdict in (
        ("0.0.0.0/32", Verdict.DROPPED),
        ("192.0.2.128/25", Verdict.PASSED),
        ("192.0.0.0/16", Verdict.PERHAPS),
    ):
        wanted = replace(TFTP, source=ip_network(network))
        assert seen(chain(policy="drop"), lan, wanted=wanted) is verdict


def test_a_table_is_asked_only_for_packets_that_pass_it() -> None:
    closed = chain(policy="drop")
    closed["chain"]["family"] = "ip6"
    assert seen(closed) is Verdict.PASSED
    assert seen(closed, wanted=replace(TFTP, family="ip6")) is Verdict.DROPPED
    assert seen(chain(policy="drop"), wanted=replace(TFTP, framed=True)) is Verdict.PASSED
    assert seen(chain(policy="drop"), wanted=replace(TFTP, outward=True)) is Verdict.PASSED
    assert seen(chain(hook="output", policy="drop")) is Verdict.PASSED
    card = chain(hook="ingress", policy="drop")
    card["chain"] |= {"family": "netdev", "dev": "eth0"}
    assert seen(card, wanted=replace(TFTP, interface="eth0", framed=True)) is Verdict.DROPPED
    assert seen(card, wanted=replace(TFTP, interface="eth1")) is Verdict.PASSED


def test_broadcasts_may_have_rules_of_their_own() -> None:
    drop = rule(match({"meta": {"key": "pkttype"}}, "broadcast"), DROP)
    assert seen(chain(), drop) is Verdict.PASSED
    assert seen(chain(), drop, wanted=replace(TFTP, broadcast=True)) is Verdict.DROPPED


def test_limits_and_rules_of_iptables_are_doubt() -> None:
    for odd in ({"limit": {"rate": 1}}, {"xt": None}):
        assert seen(chain(), rule(dport(69), odd, DROP)) is Verdict.PERHAPS


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["payload", "meta", "ct", "set", "range"]), inner)
        ),
        max_leaves=8,
    )
)
def test_odd_matches_are_doubt_and_no_crash(right: object) -> None:
    assert seen(chain(policy="drop"), rule(dport(right), ACCEPT)) in Verdict
