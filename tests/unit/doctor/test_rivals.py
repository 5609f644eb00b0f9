from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from kairos_netboot.boot.network import DhcpMode, DhcpSite
from kairos_netboot.doctor.findings import Level
from kairos_netboot.doctor.rivals import judged
from kairos_netboot.server.rivals import Rival

SITE = Rival(
    address=IPv4Address("192.0.2.1"), offers_address=True, sends_boot=False, offer="192.0.2.100"
)
PROXY = Rival(
    address=IPv4Address("192.0.2.9"),
    offers_address=False,
    sends_boot=True,
    offer="the boot file pxelinux.0",
)


BESIDE, SERVER = DhcpSite(), DhcpSite(mode=DhcpMode.SERVER)


def test_beside_the_sites_server_all_is_well() -> None:
    (finding,) = judged("eth0", [SITE], BESIDE)
    assert finding.level is Level.FINE
    assert "192.0.2.1 on eth0 offers 192.0.2.100" in finding.text


def test_a_second_dhcp_server_breaks_a_network() -> None:
    (finding,) = judged("eth0", [SITE], SERVER)
    assert finding.level is Level.BROKEN


def test_another_boot_server_is_shown_with_its_offer() -> None:
    _, finding = judged("eth0", [SITE, PROXY], BESIDE)
    assert finding.level is Level.DOUBTFUL
    assert "the boot file pxelinux.0" in finding.text


def test_a_network_without_a_dhcp_server_is_told() -> None:
    (finding,) = judged("eth0", [], BESIDE)
    assert finding.level is Level.DOUBTFUL
    assert "mode: server" in finding.remedy
    assert not list(judged("eth0", [], SERVER))


def test_two_servers_that_were_asked_for_are_only_a_doubt() -> None:
    (finding,) = judged("eth0", [SITE], replace(SERVER, despite_others=True))
    assert finding.level is Level.DOUBTFUL


def test_a_server_that_leads_here_is_no_rival() -> None:
    led = replace(SITE, sends_boot=True, leads_here=True)
    for dhcp in (BESIDE, DhcpSite(mode=DhcpMode.OFF)):
        (finding,) = judged("eth0", [led], dhcp)
        assert finding.level is Level.FINE


def test_a_daemon_of_this_host_does_not_hear_us_ask() -> None:
    (finding,) = judged("eth0", [], BESIDE, "dnsmasq (process 812)")
    assert finding.level is Level.FINE
    assert "dnsmasq" in finding.text
