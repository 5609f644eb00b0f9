from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Interface, IPv4Network, IPv6Address

import pytest

from kairos_netboot.boot.network import DhcpMode, DhcpSite, Listen, Subnet
from kairos_netboot.doctor.facts import Host, Interface, Port
from kairos_netboot.doctor.findings import Finding, Level, worst
from kairos_netboot.doctor.host import (
    check_clock,
    check_host,
    check_interfaces,
    check_ports,
    check_rights,
    check_space,
)
from kairos_netboot.doctor.walls import check_firewall

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ETH0 = Interface(name="eth0", up=True, mtu=1500, addresses=(IPv4Interface("192.0.2.2/24"),))
DHCP = Port(protocol="udp", number=67, use="DHCP", option="--dhcp-port")
HTTP = Port(protocol="tcp", number=8080, use="HTTP", option="--http-port")
OURS = tuple(
    replace(port, holder="kairos-netboot (process 7)", process=7, is_ours=True)
    for port in (DHCP, HTTP)
)
HEALTHY = Host(
    interfaces=(ETH0,),
    ports=OURS,
    capabilities=frozenset(),
    open_from=1024,
    free_ports=(32768, 60999),
    sends_frames=True,
    ruleset={},
    why_not="",
    has_legacy_rules=False,
    now=NOW,
    newest=NOW,
    synchronised=True,
    free=100 << 30,
    may_write=True,
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
    taken = replace(
        HEALTHY, ports=(replace(DHCP, holder="dnsmasq (process 812)", process=812), OURS[1])
    )
    finding = one(list(check_ports(taken)), Level.BROKEN, "taken by dnsmasq (process 812)")
    assert "listen: raw" in finding.remedy
    taken = replace(HEALTHY, ports=(OURS[0], replace(HTTP, holder="nginx (process 9)", process=9)))
    assert "--http-port" in one(list(check_ports(taken)), Level.BROKEN, "nginx").remedy


def test_a_free_port_says_that_nobody_serves() -> None:
    idle = replace(HEALTHY, ports=(DHCP, OURS[1]))
    assert (
        "serve"
        in one(list(check_ports(idle)), Level.DOUBTFUL, "nobody listens on UDP port 67").remedy
    )


@pytest.mark.parametrize(
    ("capabilities", "open_from", "level"),
    [
        (frozenset[str](), 1024, Level.DOUBTFUL),
        (frozenset({"cap_net_bind_service", "cap_net_raw"}), 1024, Level.FINE),
        (frozenset({"cap_net_raw"}), 0, Level.FINE),
    ],
)
def test_low_ports_need_a_right(capabilities: frozenset[str], open_from: int, level: Level) -> None:
    host = replace(HEALTHY, ports=(DHCP, HTTP), capabilities=capabilities, open_from=open_from)
    assert worst(check_rights(host)) is level


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
    assert "nobody listens on UDP port 67 (DHCP), TCP port 8080 (HTTP)" in finding.text


def test_a_host_without_a_network_is_broken() -> None:
    lonely = replace(HEALTHY, interfaces=())
    one(list(check_interfaces(lonely)), Level.BROKEN, "no network interface")


CLOSED = {"family": "inet", "table": "f", "name": "in", "hook": "input", "policy": "drop"}


def test_rules_that_drop_us_are_told_with_port_interface_and_chain() -> None:
    closed = replace(HEALTHY, ruleset={"nftables": [{"chain": CLOSED}]})
    finding = one(list(check_firewall(closed)), Level.BROKEN, "nftables drops UDP port 67 (DHCP)")
    assert "TCP port 8080 (HTTP) on eth0, in chain inet f in: machines get no" in finding.text
    assert "`nft insert rule inet f in udp dport 67 accept`" in finding.remedy
    both = replace(closed, ports=(OURS[0], replace(OURS[0], number=4011)))
    finding = one(list(check_firewall(both)), Level.BROKEN, "UDP port 4011")
    assert "udp dport { 67, 4011 } accept" in finding.remedy


def test_files_over_tftp_need_more_than_their_port() -> None:
    rule = {
        "family": "inet",
        "table": "f",
        "chain": "in",
        "expr": [
            {
                "match": {
                    "op": "==",
                    "left": {"payload": {"protocol": "udp", "field": "dport"}},
                    "right": 69,
                }
            },
            {"accept": None},
        ],
    }
    ruleset = {"nftables": [{"chain": CLOSED}, {"rule": rule}]}
    tftp = replace(OURS[0], number=69, use="TFTP")
    host = replace(HEALTHY, ruleset=ruleset, ports=(tftp,))
    finding = one(list(check_firewall(host)), Level.BROKEN, "the acknowledgements of TFTP's files")
    assert "ct state established,related accept" in finding.remedy


def test_answers_that_do_not_get_out_are_told() -> None:
    ruleset = {"nftables": [{"chain": {**CLOSED, "name": "out", "hook": "output"}}]}
    finding = one(
        list(check_firewall(replace(HEALTHY, ruleset=ruleset))), Level.BROKEN, "answers from UDP"
    )
    assert "do not get out" in finding.text
    assert "udp sport 67 accept" in finding.remedy


def test_ipv6_has_rules_of_its_own() -> None:
    ruleset = {"nftables": [{"chain": {**CLOSED, "family": "ip6"}}]}
    assert worst(check_firewall(replace(HEALTHY, ruleset=ruleset))) is Level.FINE
    card = replace(ETH0, addresses6=(IPv6Address("2001:db8::2"),))
    host = replace(HEALTHY, ruleset=ruleset, interfaces=(card,))
    one(list(check_firewall(host)), Level.BROKEN, "TCP port 8080 (HTTP, IPv6)")


def test_a_packet_socket_is_beside_other_daemons_and_behind_no_firewall() -> None:
    other = replace(DHCP, holder="dnsmasq (process 812)", process=812)
    raw = replace(
        HEALTHY,
        ports=(other, OURS[1]),
        dhcp=DhcpSite(listen=Listen.RAW),
        ruleset={"nftables": [{"chain": CLOSED}]},
    )
    assert worst(check_ports(raw)) is Level.FINE
    finding = one(list(check_firewall(raw)), Level.BROKEN, "drops TCP port 8080 (HTTP) on")
    assert "67" not in finding.text
    free = replace(raw, ports=(DHCP, OURS[1]))
    assert worst(check_ports(free)) is Level.FINE


def test_a_holder_that_only_root_may_know_is_no_accusation() -> None:
    taken = replace(HEALTHY, ports=(replace(DHCP, holder="another program"), OURS[1]))
    assert "root" in one(list(check_ports(taken)), Level.DOUBTFUL, "only root may name").remedy


def test_missing_packet_sockets_are_told_with_what_they_are_for() -> None:
    without = replace(HEALTHY, sends_frames=False)
    one(list(check_rights(without)), Level.DOUBTFUL, "answered by broadcast")
    idle = replace(HEALTHY, ports=(DHCP,), open_from=0, dhcp=DhcpSite(listen=Listen.RAW))
    one(list(check_rights(idle)), Level.DOUBTFUL, "will not start with `listen: raw`")
    off = replace(HEALTHY, ports=(HTTP,))
    assert worst(check_rights(off)) is Level.FINE


def test_a_port_of_a_bridge_needs_no_address() -> None:
    port = replace(ETH0, addresses=(), part_of="br0")
    assert worst(check_interfaces(replace(HEALTHY, interfaces=(port,)))) is Level.FINE
    unplugged = replace(ETH0, addresses=(), has_link=False)
    assert worst(check_interfaces(replace(HEALTHY, interfaces=(unplugged,)))) is Level.FINE


def test_a_dhcp_server_needs_a_subnet_for_each_interface() -> None:
    far = DhcpSite(mode=DhcpMode.SERVER, subnets=(Subnet(network=IPv4Network("198.51.100.0/24")),))
    host = replace(HEALTHY, dhcp=far)
    finding = one(list(check_interfaces(host)), Level.DOUBTFUL, "in no subnet of the site file")
    assert "192.0.2.0/24" in finding.remedy


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
