from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kairos_netboot.doctor.findings import Finding, Level, worst
from kairos_netboot.doctor.host import (
    Host,
    Interface,
    Port,
    check_clock,
    check_firewall,
    check_host,
    check_interfaces,
    check_ports,
    check_rights,
    check_space,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ETH0 = Interface(name="eth0", up=True, mtu=1500, addresses=("192.0.2.2",))
DHCP = Port(protocol="udp", number=67, use="DHCP", option="--dhcp-port")
HTTP = Port(protocol="tcp", number=8080, use="HTTP", option="--http-port")
OURS = tuple(replace(port, holder="kairos-netboot (process 7)") for port in (DHCP, HTTP))
HEALTHY = Host(
    interfaces=(ETH0, Interface(name="lo", up=True, mtu=65536, loopback=True)),
    ports=OURS,
    capabilities=frozenset(),
    open_from=1024,
    ruleset={},
    why_not="",
    now=NOW,
    newest=NOW,
    synchronised=True,
    free=100 << 30,
)


def one(found: list[Finding], level: Level, words: str) -> Finding:
    """The only finding that is not fine."""
    (finding,) = [f for f in found if f.level is not Level.FINE]
    assert finding.level is level
    assert words in finding.text
    return finding


def test_a_healthy_host_has_nothing_but_good_news() -> None:
    found = list(check_host(HEALTHY))
    assert worst(found) is Level.FINE
    assert {f.about for f in found} == {"ports", "network", "firewall", "clock", "disk"}


def test_a_port_of_another_program_is_named_with_the_way_out() -> None:
    taken = replace(HEALTHY, ports=(replace(DHCP, holder="dnsmasq (process 812)"), OURS[1]))
    finding = one(list(check_ports(taken)), Level.BROKEN, "taken by dnsmasq (process 812)")
    assert "listen: raw" in finding.remedy
    taken = replace(HEALTHY, ports=(OURS[0], replace(HTTP, holder="nginx (process 9)")))
    assert "--http-port" in one(list(check_ports(taken)), Level.BROKEN, "nginx").remedy


def test_a_free_port_says_that_nobody_serves() -> None:
    idle = replace(HEALTHY, ports=(DHCP, OURS[1]))
    assert "serve" in one(list(check_ports(idle)), Level.DOUBTFUL, "nobody listens").remedy


@pytest.mark.parametrize(
    ("capabilities", "open_from", "level"),
    [
        (frozenset[str](), 1024, Level.DOUBTFUL),
        (frozenset({"cap_net_bind_service"}), 1024, Level.FINE),
        (frozenset[str](), 0, Level.FINE),
    ],
)
def test_low_ports_need_a_right(capabilities: frozenset[str], open_from: int, level: Level) -> None:
    host = replace(HEALTHY, ports=(DHCP, HTTP), capabilities=capabilities, open_from=open_from)
    (finding,) = check_rights(host)
    assert finding.level is level


@pytest.mark.parametrize(
    ("interface", "words", "remedy"),
    [
        (replace(ETH0, addresses=()), "eth0 has no IPv4 address", "an address"),
        (replace(ETH0, mtu=1400), "takes packets of 1400 bytes", "mtu 1500"),
    ],
)
def test_an_interface_that_serves_nobody_is_told(
    interface: Interface, words: str, remedy: str
) -> None:
    found = list(check_interfaces(replace(HEALTHY, interfaces=(interface,))))
    assert remedy in one(found, Level.DOUBTFUL, words).remedy


def test_an_interface_that_is_down_is_nobodys_trouble() -> None:
    (finding,) = check_interfaces(replace(HEALTHY, interfaces=(replace(ETH0, up=False),)))
    assert finding.level is Level.FINE


def test_a_server_that_does_not_run_is_told_once() -> None:
    idle = replace(HEALTHY, ports=(DHCP, HTTP))
    finding = one(list(check_ports(idle)), Level.DOUBTFUL, "`serve` is not running")
    assert "UDP port 67 (DHCP), TCP port 8080 (HTTP) are free" in finding.text


def test_a_host_without_a_network_is_broken() -> None:
    lonely = replace(HEALTHY, interfaces=HEALTHY.interfaces[1:])
    one(list(check_interfaces(lonely)), Level.BROKEN, "no network interface")


def test_rules_that_drop_us_are_told_with_port_interface_and_chain() -> None:
    chain = {"family": "inet", "table": "f", "name": "in", "hook": "input", "policy": "drop"}
    closed = replace(HEALTHY, ruleset={"nftables": [{"chain": chain}]}, ports=(OURS[0],))
    finding = one(list(check_firewall(closed)), Level.BROKEN, "nftables drops UDP port 67")
    assert "on eth0, in chain inet f in" in finding.text
    assert finding.remedy == "let it in: udp dport 67 accept, in inet f in"


def test_rules_that_could_not_be_read_are_no_good_news() -> None:
    blind = replace(HEALTHY, ruleset=None, why_not="only root may read them")
    one(list(check_firewall(blind)), Level.DOUBTFUL, "only root may read them")


def test_a_clock_behind_its_own_state_is_broken() -> None:
    behind = replace(HEALTHY, newest=NOW + timedelta(days=1))
    one(list(check_clock(behind)), Level.BROKEN, "the state has news of 2026-11-24")
    one(list(check_clock(replace(HEALTHY, synchronised=False))), Level.DOUBTFUL, "time service")


@pytest.mark.parametrize(
    ("free", "level"), [(1 << 20, Level.BROKEN), (1 << 31, Level.DOUBTFUL), (1 << 33, Level.FINE)]
)
def test_space_is_told_before_it_is_gone(free: int, level: Level) -> None:
    (finding,) = check_space(replace(HEALTHY, free=free))
    assert finding.level is level
