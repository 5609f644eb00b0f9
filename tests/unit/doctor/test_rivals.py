from __future__ import annotations

from ipaddress import IPv4Address

from kairos_netboot.doctor.findings import Level
from kairos_netboot.doctor.rivals import judged
from kairos_netboot.server.rivals import Rival

SITE = Rival(
    address=IPv4Address("192.0.2.1"), offers_address=True, boot_file="", offer="192.0.2.100"
)
PROXY = Rival(
    address=IPv4Address("192.0.2.9"),
    offers_address=False,
    boot_file="pxelinux.0",
    offer="the boot file pxelinux.0",
)


def test_beside_the_sites_server_all_is_well() -> None:
    (finding,) = judged("eth0", [SITE], as_server=False)
    assert finding.level is Level.FINE
    assert "192.0.2.1 on eth0 offers 192.0.2.100" in finding.text


def test_a_second_dhcp_server_breaks_a_network() -> None:
    (finding,) = judged("eth0", [SITE], as_server=True)
    assert finding.level is Level.BROKEN


def test_another_boot_server_is_shown_with_its_offer() -> None:
    _, finding = judged("eth0", [SITE, PROXY], as_server=False)
    assert finding.level is Level.DOUBTFUL
    assert "the boot file pxelinux.0" in finding.text


def test_a_network_without_a_dhcp_server_is_told() -> None:
    (finding,) = judged("eth0", [], as_server=False)
    assert finding.level is Level.DOUBTFUL
    assert "mode: server" in finding.remedy
    assert not list(judged("eth0", [], as_server=True))
