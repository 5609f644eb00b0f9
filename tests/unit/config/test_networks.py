from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from kairos_netboot.boot.network import DhcpMode, DhcpSite, Listen
from kairos_netboot.boot.site import Site
from kairos_netboot.config.sitefile import load_site
from kairos_netboot.errors import SiteMistake

BASE = """\
images: {plain: registry.example/kairos/debian:v4.2.0}
profiles:
  server:
    image: plain
    boot: {uefi-amd64: shim}
    network:
      vlan: vlan5:eth0
      ip: vlan5:dhcp
nodes:
  alpha:
    macs: 52:54:00:12:34:56
    profile: server
    boot: grub
    address: 192.168.77.50
    dhcp: {routers: 192.168.77.9, mtu: 9000}
boot:
  bios: custom.kpxe
  http-amd64: shim
"""
DHCP = """\
dhcp:
  mode: server
  listen: raw
  check-address: false
  despite-others: true
  subnets:
    192.168.77.0/24:
      ranges: [192.168.77.100-192.168.77.199, 192.168.77.210]
      routers: 192.168.77.1
      dns: [192.168.77.1, 192.168.77.2]
      ntp: 192.168.77.1
      domain: rack.example.org
      mtu: 1500
      routes: {10.0.0.0/8: 192.168.77.254}
      lease: 12h
"""


def load(tmp_path: Path, text: str) -> Site:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return load_site(path, ())


def mistake(tmp_path: Path, text: str) -> str:
    with pytest.raises(SiteMistake) as caught:
        load(tmp_path, text)
    return str(caught.value).replace(str(tmp_path), "")


def test_every_key_of_dhcp_is_read(tmp_path: Path) -> None:
    dhcp = load(tmp_path, BASE + DHCP).dhcp
    assert (dhcp.mode, dhcp.listen) == (DhcpMode.SERVER, Listen.RAW)
    assert (dhcp.check_address, dhcp.despite_others) == (False, True)
    (subnet,) = dhcp.subnets
    assert subnet.network == IPv4Network("192.168.77.0/24")
    assert [tuple(map(str, pair)) for pair in subnet.ranges] == [
        ("192.168.77.100", "192.168.77.199"),
        ("192.168.77.210", "192.168.77.210"),
    ]
    options = subnet.options
    assert options.routers == (IPv4Address("192.168.77.1"),)
    assert [str(a) for a in options.dns] == ["192.168.77.1", "192.168.77.2"]
    assert (options.domain, options.mtu, options.lease_seconds) == ("rack.example.org", 1500, 43200)
    assert options.routes == {IPv4Network("10.0.0.0/8"): IPv4Address("192.168.77.254")}


def test_without_a_word_on_dhcp_we_are_a_proxy(tmp_path: Path) -> None:
    text = "images: {}\n"
    assert load(tmp_path, text).dhcp == DhcpSite()


def test_a_node_has_its_address_its_options_and_its_way_to_boot(tmp_path: Path) -> None:
    site = load(tmp_path, BASE + DHCP)
    alpha = site.nodes["alpha"]
    assert alpha.address == IPv4Address("192.168.77.50")
    assert alpha.dhcp.routers == (IPv4Address("192.168.77.9"),)
    assert alpha.dhcp.mtu == 9000
    assert alpha.boot["uefi-arm64"] == "grub"
    assert "bios" not in alpha.boot  # there is no GRUB for it
    assert site.boot == {"bios": "custom.kpxe", "http-amd64": "shim"}
    profile = site.profiles["server"]
    assert profile.boot == {"uefi-amd64": "shim"}
    assert (profile.network.vlan, profile.network.ip) == (("vlan5:eth0",), ("vlan5:dhcp",))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("mode: server", "mode: serve", "site.yaml:20: dhcp.mode: 'serve' is not known here"),
        ("192.168.77.0/24:", "192.168.77.1/24:", "is not a network like 192.168.77.0/24"),
        ("192.168.77.210]", "192.168.78.210]", "192.168.78.210 is not in the subnet"),
        ("192.168.77.210]", "192.168.77.199]", "two ranges of 192.168.77.0/24 overlap"),
        ("77.100-192.168.77.199", "77.100-192.168.77.99", "ends before it begins"),
        ("77.100-192.168.77.199", "77.0-192.168.77.199", "are no machine's"),
        ("mtu: 1500", "mtu: 1", "'1' is no MTU"),
        ("lease: 12h", "lease: 5s", "'5s' is no lease time: write 90s, 30m"),
        ("domain: rack.example.org", "domain: 'a b'", "is no domain"),
        ("dns: [192.168.77.1,", "dns: [192.168.77.300,", "is not an address like"),
        ("address: 192.168.77.50", "address: 10.0.0.5", "10.0.0.5 is in no subnet"),
        ("boot: grub", "boot: pxelinux", "'pxelinux' is not known here"),
        ("bios: custom.kpxe", "bios: shim", "bios has no 'shim': it has ipxe, or a file's name"),
        ("bios: custom.kpxe", "bios: ../x", "neither a way to boot nor a boot loader's file name"),
        ("http-amd64: shim", "http-amd46: shim", "no such key"),
        ("vlan: vlan5:eth0", "vlan: 'a b'", "one word"),
        ("vlan: vlan5:eth0", "vlan: kairos.reset", "Kairos do something other"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = BASE + DHCP
    assert old in text
    assert said in mistake(tmp_path, text.replace(old, new))


def test_a_dhcp_server_needs_subnets(tmp_path: Path) -> None:
    assert "needs `subnets`" in mistake(tmp_path, "dhcp: {mode: server}\n")


def test_subnets_do_not_overlap(tmp_path: Path) -> None:
    text = "dhcp: {subnets: {10.0.0.0/8: {}, 10.1.0.0/16: {}}}\n"
    assert "10.0.0.0/8 and 10.1.0.0/16 overlap" in mistake(tmp_path, text)


def test_an_address_is_one_nodes(tmp_path: Path) -> None:
    second = "  beta: {macs: 52:54:00:12:34:57, profile: server, address: 192.168.77.50}\nboot:"
    said = mistake(tmp_path, BASE.replace("boot:\n  bios", second + "\n  bios") + DHCP)
    assert "192.168.77.50 is node alpha's already" in said
