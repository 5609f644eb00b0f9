"""Our DHCP server and clients of others: no machine boots, so each test takes seconds."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from kairos_netboot.boot.network import DhcpMode, DhcpOptions, DhcpSite, Subnet
from kairos_netboot.boot.site import NodeSpec, Site
from kairos_netboot.dhcp.leasebook import Hold, Lease
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.lab.dhcp_clients import CLIENTS, Client, run
from tests.lab.lan import SERVER_ADDRESS, LabError, Lan
from tests.lab.site import SITE_ADDRESS, SiteServer
from tests.unit.boot.sample import PROFILE

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(120),
    pytest.mark.lan(site=SiteServer.NONE),
]

PROGRAM = str(Path(sys.executable).parent / "kairos-netboot")
NETWORK = IPv4Network("192.168.77.0/24")
FIRST, LAST = IPv4Address("192.168.77.100"), IPv4Address("192.168.77.149")
MAC = Mac("52:54:00:77:00:01")
# Exchanges a second, each with an address tried and a lease on the disk. Two busy cores lost none
# at 800.
RATE = 200
OPTIONS = DhcpOptions(
    routers=(IPv4Address("192.168.77.1"),),
    dns=(IPv4Address("192.168.77.53"), IPv4Address("192.168.77.54")),
    ntp=(IPv4Address("192.168.77.123"),),
    domain="rack.example.org",
    mtu=1400,
    routes={IPv4Network("10.20.0.0/16"): IPv4Address("192.168.77.9")},
    lease_seconds=3600,
)


def serves(
    *more: Subnet, options: DhcpOptions = OPTIONS, last: IPv4Address = LAST, others: bool = False
) -> DhcpSite:
    subnet = Subnet(network=NETWORK, ranges=((FIRST, last),), options=options)
    subnets = (subnet, *more)
    return DhcpSite(mode=DhcpMode.SERVER, subnets=subnets, despite_others=others)


class Site77:
    """The real program as the DHCP server of the lan."""

    def __init__(self, lan: Lan) -> None:
        for name in (*CLIENTS, "perfdhcp", "dhcrelay"):
            if shutil.which(name) is None:
                pytest.fail(f"{name} is not installed: see scripts/setup-lab", pytrace=False)
        self._lan = lan
        self._state = lan.folder / "state"
        self._server: subprocess.Popen[bytes] | None = None
        lan.folder.chmod(0o711)  # `serve` gives up root and must still get to its state

    def apply(self, dhcp: DhcpSite, *nodes: NodeSpec) -> None:
        store = Store(self._state)
        named = {node.name: node for node in nodes}
        site = Site(images={}, profiles={"server": PROFILE}, nodes=named, dhcp=dhcp)
        store.apply(site, datetime(2026, 11, 23, tzinfo=UTC))
        store.close()

    def serve(self, *options: str) -> None:
        """Until it says that it is ready; LabError with what it said where it ends."""
        argv = (PROGRAM, "--state", str(self._state), "-v", "serve", *options)
        before = len(self.said())
        self._server = self._lan.start(argv, log="server.log")
        deadline = time.monotonic() + 30
        while "ready:" not in self.said()[before:]:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise LabError(self.said()[before:])
            time.sleep(0.02)

    def kill(self) -> None:
        assert self._server is not None
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.wait(10)

    def said(self) -> str:
        path = self._lan.logs / "server.log"
        return path.read_text() if path.exists() else ""

    def leases(self) -> Mapping[str, Lease]:
        """Those that are on the disk, by their addresses."""
        store = Store(self._state)
        try:
            return {str(lease.address): lease for lease in store.leases()}
        finally:
            store.close()


@pytest.fixture
def site(lan: Lan) -> Site77:
    return Site77(lan)


def test_udhcpc_is_told_all_that_the_site_file_says(lan: Lan, site: Site77) -> None:
    site.apply(serves())
    site.serve()
    client = Client(lan, "client", MAC)
    asked = ("-O", "mtu", "-O", "ntpsrv", "-O", "staticroutes", "-O", "broadcast", "-O", "domain")
    client.udhcpc(*asked)
    address = client.wait_for_address()

    told = client.told("bound")
    assert address == str(FIRST)
    wanted = {
        "ip": address,
        "subnet": "255.255.255.0",
        "router": "192.168.77.1",
        "dns": "192.168.77.53 192.168.77.54",
        "ntpsrv": "192.168.77.123",
        "domain": "rack.example.org",
        "mtu": "1400",
        "broadcast": "192.168.77.255",
        "staticroutes": "10.20.0.0/16 192.168.77.9 0.0.0.0/0 192.168.77.1",
        "lease": "3600",
        "serverid": SERVER_ADDRESS,
    }
    assert {key: told.get(key) for key in wanted} == wanted
    assert site.leases()[address].hold is Hold.BOUND


def test_a_client_keeps_its_address_when_it_comes_back(lan: Lan, site: Site77) -> None:
    site.apply(serves())
    site.serve()
    first, second = Client(lan, "first", MAC), Client(lan, "second", Mac("52:54:00:77:00:02"))
    running = first.udhcpc("-R")
    kept = first.wait_for_address()
    lan.stop(running)  # udhcpc -R: releases
    wait_until(lambda: site.leases()[kept].ends <= time.time(), "the lease has not ended")
    second.udhcpc()
    assert second.wait_for_address() != kept
    first.udhcpc()
    assert first.wait_for_address() == kept


def test_dhclient_renews_rebinds_and_comes_back(lan: Lan, site: Site77) -> None:
    """A lease of 8 s: it renews after 4."""
    site.apply(serves(options=replace(OPTIONS, lease_seconds=8)))
    site.serve()
    client = Client(lan, "client", MAC)
    said = client.dhclient()
    address = client.wait_for_address()
    assert f"DHCPACK of {address} from {SERVER_ADDRESS}" in said
    first = site.leases()[address].ends
    wait_until(lambda: site.leases()[address].ends > first, "was not renewed", seconds=8)
    assert client.told("RENEW")["new_ip_address"] == address

    client.end_dhclient()  # a machine that restarts asks for what it had
    said = client.dhclient()
    assert "DHCPDISCOVER" not in said
    assert f"DHCPACK of {address} from {SERVER_ADDRESS}" in said


def test_dhclient_that_was_moved_here_is_told_at_once(lan: Lan, site: Site77) -> None:
    site.apply(serves())
    site.serve()
    client = Client(lan, "client", MAC)
    (client.folder / "leases").write_text(
        'lease {\n  interface "eth0";\n  fixed-address 10.9.8.7;\n  option subnet-mask'
        " 255.255.255.0;\n  option dhcp-lease-time 86400;\n  option dhcp-message-type 5;\n"
        "  option dhcp-server-identifier 10.9.8.1;\n  renew never;\n  rebind never;\n"
        "  expire never;\n}\n"
    )
    said = client.dhclient()
    assert f"DHCPNAK from {SERVER_ADDRESS}" in said
    assert client.wait_for_address() == str(FIRST)


def test_dhclient_gives_its_lease_back(lan: Lan, site: Site77) -> None:
    site.apply(serves())
    site.serve()
    client = Client(lan, "client", MAC)
    client.dhclient()
    address = client.wait_for_address()
    client.dhclient("-r")
    wait_until(lambda: site.leases()[address].ends <= time.time(), "the lease has not ended")


def test_networkd_is_configured_and_keeps_its_address(lan: Lan, site: Site77) -> None:
    """By an identifier as RFC 4361 has it, which its DHCPv6 would use as well."""
    site.apply(serves())
    site.serve()
    client = Client(lan, "client", MAC)
    running = client.networkd("[DHCPv4]\nUseMTU=yes\nSendRelease=no\n")
    address = client.wait_for_address(seconds=20)
    assert address == str(FIRST)
    routes = client.run("ip", "route")
    assert "default via 192.168.77.1" in routes
    assert "10.20.0.0/16 via 192.168.77.9" in routes
    assert "mtu 1400" in client.run("ip", "link", "show", "eth0")
    assert site.leases()[address].client[0] == 255

    lan.stop(running)
    client.run("ip", "addr", "flush", "dev", "eth0")
    client.udhcpc()  # the same machine with another identifier
    assert client.wait_for_address() == address


def test_a_reservation_comes_before_the_range_with_its_own_options(lan: Lan, site: Site77) -> None:
    own = DhcpOptions(dns=(IPv4Address("192.168.77.99"),))
    address = IPv4Address("192.168.77.20")
    node = NodeSpec(name="alpha", macs=(MAC,), profile="server", address=address, dhcp=own)
    site.apply(serves(), node)
    site.serve()
    client = Client(lan, "client", MAC)
    client.udhcpc("-O", "hostname")
    assert client.wait_for_address() == str(address)
    told = client.told("bound")
    assert (told["dns"], told["router"], told["hostname"]) == (
        "192.168.77.99",
        "192.168.77.1",
        "alpha",
    )


def test_an_address_that_somebody_uses_is_passed_over(lan: Lan, site: Site77) -> None:
    lan.add_host("squatter", str(FIRST))
    site.apply(serves())
    site.serve()
    client = Client(lan, "client", MAC)
    client.udhcpc()
    assert client.wait_for_address() == str(FIRST + 1)
    assert site.leases()[str(FIRST)].hold is Hold.DECLINED
    assert f"{FIRST} is in use by somebody without a lease" in site.said()


def test_an_address_that_a_client_declines_is_set_aside(lan: Lan, site: Site77) -> None:
    """We did not try it: the client does (udhcpc -a), as RFC 2131 (4.4.1) has it."""
    lan.add_host("squatter", str(FIRST))
    site.apply(replace(serves(), check_address=False))
    site.serve()
    client = Client(lan, "client", MAC)
    client.udhcpc("-a", "-A", "1")
    assert client.wait_for_address() == str(FIRST + 1)
    assert site.leases()[str(FIRST)].hold is Hold.DECLINED
    assert f"declines {FIRST}, which somebody without a lease uses" in site.said()


def test_who_has_an_address_of_its_own_is_told_the_rest(lan: Lan, site: Site77) -> None:
    site.apply(serves())
    site.serve()
    client = Client(lan, "client", MAC)
    client.run("ip", "addr", "add", "192.168.77.30/24", "dev", "eth0")
    told = client.inform("192.168.77.30")
    assert (told["message-type"], told["yiaddr"]) == ("5", "0.0.0.0")
    assert (told["router"], told["domain"]) == ("192.168.77.1", "rack.example.org")
    assert "lease_time" not in told
    assert site.leases() == {}


def test_leases_outlive_kill_9_and_a_full_range_says_so(lan: Lan, site: Site77) -> None:
    site.apply(serves(last=FIRST))
    site.serve()
    first, second = Client(lan, "first", MAC), Client(lan, "second", Mac("52:54:00:77:00:02"))
    running = first.udhcpc()
    first.wait_for_address()
    lan.stop(running)  # holds its lease
    before = site.leases()
    site.kill()
    site.serve()
    assert site.leases() == before
    second.udhcpc()
    sentence = "no address is left in 192.168.77.0/24: widen its `ranges`"
    wait_until(lambda: sentence in site.said(), "nothing was said of the full range")
    assert second.address() == ""
    first.udhcpc()
    assert first.wait_for_address() == str(FIRST)


@pytest.mark.lan(site=SiteServer.DNSMASQ)
def test_it_does_not_start_beside_another_dhcp_server(lan: Lan, site: Site77) -> None:
    site.apply(serves())
    with pytest.raises(LabError, match=rf"another DHCP server, {SITE_ADDRESS}, answers on eth0"):
        site.serve()
    site.apply(serves(others=True))
    site.serve()


FAR = Subnet(
    network=IPv4Network("192.168.78.0/24"),
    ranges=((IPv4Address("192.168.78.100"), IPv4Address("192.168.78.149")),),
    options=DhcpOptions(routers=(IPv4Address("192.168.78.1"),), lease_seconds=600),
)
RELAYS = {
    "dhcrelay": ("dhcrelay", "-d", "-4", "-a", "-id", "eth1", "-iu", "eth0", SERVER_ADDRESS),
    # RFC 3527: by an address that the server reaches, with the client's network in option 82.
    "link-selection": (
        *("dhcrelay", "-d", "-4", "-a", "-id", "eth1", "-iu", "eth0", "-U", "eth0"),
        SERVER_ADDRESS,
    ),
    "dnsmasq": (
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--port=0"),
        *("--user=root", f"--dhcp-relay=192.168.78.1,{SERVER_ADDRESS}", "--log-dhcp"),
    ),
}


@pytest.mark.parametrize(
    "relay",
    [
        "link-selection",
        *(pytest.param(name, marks=pytest.mark.nightly) for name in ("dhcrelay", "dnsmasq")),
    ],
)
def test_a_client_behind_a_relay_gets_an_address_of_its_network(
    lan: Lan, site: Site77, relay: str
) -> None:
    """The server has one leg, and a route to that network; renewals come by it."""
    gateway = lan.add_host("gateway", "192.168.77.3")
    lan.add_switch("far")
    peer = ("peer", "name", "eth1", "netns", gateway)
    run("ip", "-n", lan.switch, "link", "add", "name", "gw", "type", "veth", *peer)
    run("ip", "-n", lan.switch, "link", "set", "dev", "gw", "master", "far", "up")
    run("ip", "-n", gateway, "addr", "add", "192.168.78.1/24", "dev", "eth1")
    run("ip", "-n", gateway, "link", "set", "dev", "eth1", "up")
    run(*lan.command_in(gateway, ("sysctl", "-qw", "net.ipv4.ip_forward=1")))
    run("ip", "-n", lan.server, "route", "add", str(FAR.network), "via", "192.168.77.3")
    site.apply(serves(FAR))
    site.serve()
    lan.start(RELAYS[relay], log="relay.log", namespace=gateway)
    client = Client(lan, "client", MAC, switch="far")
    running = client.udhcpc("-T", "2")
    address = client.wait_for_address(seconds=20)
    assert IPv4Address(address) in FAR.network
    first = site.leases()[address].ends
    time.sleep(1)  # times are in whole seconds
    running.send_signal(signal.SIGUSR1)  # renew, by unicast
    wait_until(lambda: site.leases()[address].ends > first, "was not renewed")


def test_a_steady_load_loses_no_exchange(lan: Lan, site: Site77) -> None:
    """ISC's perfdhcp, as the relay of a network whose machines come one after the other."""
    network = IPv4Network("10.77.0.0/20")
    pool = Subnet(
        network=network,
        ranges=((network[16], network[-2]),),
        options=DhcpOptions(routers=(network[1],), lease_seconds=3600),
    )
    site.apply(DhcpSite(mode=DhcpMode.SERVER, subnets=(pool,)))
    relay = str(network[1])
    run("ip", "-n", lan.server, "route", "add", str(network), "via", relay, "dev", "eth0", "onlink")
    site.serve()
    load = Client(lan, "load", MAC)
    load.run("ip", "addr", "add", f"{relay}/20", "dev", "eth0")
    load.run("ip", "route", "add", SERVER_ADDRESS, "dev", "eth0")
    options = ("-4", "-l", "eth0", "-r", str(RATE), "-R", "2000", "-p", "5", "-W", "3000000")
    said = load.run("perfdhcp", *options, SERVER_ADDRESS)
    sent = [int(number) for number in re.findall(r"sent packets: (\d+)", said)]
    received = [int(number) for number in re.findall(r"received packets: (\d+)", said)]
    assert sent == received, said
    assert re.findall(r"(?:non unique addresses|rejected leases): (\d+)", said) == ["0"] * 4
    assert min(sent) > RATE * 3
    assert len(site.leases()) == max(sent)


def wait_until(holds: Callable[[], bool], complaint: str, *, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.05)
