"""Networks as sites have them, in namespaces: no machine boots, so each test takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from kairos_netboot.boot.network import DhcpMode, DhcpSite, Listen, Subnet
from kairos_netboot.boot.site import Site
from kairos_netboot.store.store import Store
from tests.lab.lan import SERVER_ADDRESS, LabError, Lan
from tests.lab.site import SiteDhcp, SiteServer
from tests.unit.boot.sample import MAC, PROFILE, SPEC
from tests.unit.store.sample import stand_in

pytestmark = [pytest.mark.lab, pytest.mark.lan(site=SiteServer.NONE)]

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = str(Path(sys.executable).parent / "kairos-netboot")
BROADCAST = "ff:ff:ff:ff:ff:ff"
both = pytest.mark.parametrize("listen", [Listen.UDP, Listen.RAW])
Answers = list[dict[str, str]]


class Net:
    """The lan with what a test adds to it; `lan.site` is a client's place here."""

    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self.client, self.server = lan.site, lan.server
        self._state = lan.folder / "state"
        lan.folder.chmod(0o711)  # `serve` gives up root and must still get to its state

    def place(self, name: str) -> str:
        namespace = f"{self.server.removesuffix('server')}{name}"
        run("ip", "netns", "add", namespace)
        self.run_in(namespace, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        return namespace

    def cable(self, one: tuple[str, str], other: tuple[str, str]) -> None:
        """Two interfaces (place, name), connected."""
        peer = ("peer", "name", other[1], "netns", other[0])
        run("ip", "-n", one[0], "link", "add", "name", one[1], "type", "veth", *peer)
        for place, name in (one, other):
            run("ip", "-n", place, "link", "set", "dev", name, "up")

    def to_switch(self, place: str, name: str) -> None:
        self.cable((place, name), (self.lan.switch, f"{name}-{place[-4:]}"))
        run("ip", "-n", self.lan.switch, "link", "set", f"{name}-{place[-4:]}", "master", "lan")

    def address(self, place: str, interface: str, address: str) -> None:
        run("ip", "-n", place, "addr", "add", address, "dev", interface)

    def run_in(self, place: str, *argv: str) -> str:
        return run(*self.lan.command_in(place, argv))

    def start(self, place: str, *argv: str, log: str, ready: str) -> None:
        process = self.lan.start(argv, log=log, namespace=place)
        path, deadline = self.lan.logs / log, time.monotonic() + 30
        while ready not in (said := path.read_text() if path.exists() else ""):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"{argv[0]} is not ready: {said}")
            time.sleep(0.02)

    def serve(self, dhcp: DhcpSite, *wrapper: str) -> None:
        """The real program, with one armed node; `wrapper` is what starts it."""
        store = Store(self._state)
        store.add_image(stand_in(store.blobs))
        site = Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC}, dhcp=dhcp)
        store.apply(site, datetime(2026, 11, 23, tzinfo=UTC))
        store.close()
        argv = (*wrapper, PROGRAM, "--state", str(self._state), "-v", "serve")
        self.start(self.server, *argv, log="server.log", ready="ready:")

    def daemon_beside(self) -> None:
        """A DHCP server on the port 67 of our server's place."""
        argv = SiteDhcp().argv(self.lan.folder, self.lan.logs / "beside.log")
        argv[argv.index(f"--log-facility={self.lan.logs / 'beside.log'}")] = "--log-facility=-"
        self.start(self.server, *argv, log="beside.log", ready="DHCP, IP range")

    def ask(self, place: str, *options: str, interface: str = "eth0") -> Answers:
        """Every answer to one DISCOVER."""
        command = [sys.executable, "-m", "tests.lab.ask", interface, "--mac", MAC, *options]
        found: Answers = json.loads(self.run_in(place, *command))
        return found

    def said(self, log: str = "server.log") -> str:
        return (self.lan.logs / log).read_text()


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise LabError(f"'{' '.join(command)}' failed: {done.stderr.strip()}")
    return done.stdout


@pytest.fixture
def net(lan: Lan) -> Net:
    return Net(lan)


def proxy(listen: Listen) -> DhcpSite:
    return DhcpSite(listen=listen)


def only(answers: Answers) -> dict[str, str]:
    assert len(answers) == 1, answers
    return answers[0]


def assert_from(answer: dict[str, str], address: str) -> None:
    """That the address is everywhere where firmware looks for its server."""
    assert {answer[key] for key in ("source", "next_server", "identifier")} == {address}


@both
def test_each_network_is_answered_by_its_interface_from_its_address(
    net: Net, listen: Listen
) -> None:
    far = net.place("far")
    net.cable((net.server, "eth1"), (far, "eth0"))
    net.address(net.server, "eth1", "192.168.78.2/24")
    net.serve(proxy(listen))

    near_answer, far_answer = only(net.ask(net.client)), only(net.ask(far))
    assert_from(near_answer, SERVER_ADDRESS)
    assert_from(far_answer, "192.168.78.2")
    for answer in (near_answer, far_answer):
        assert (answer["to"], answer["destination"]) == (BROADCAST, "255.255.255.255")
        assert answer["file"].endswith("/snponly.efi")
        if listen is Listen.RAW:  # by UDP, the virtual card makes the checksum
            assert answer["sound"] == "True"


@both
def test_an_interface_that_comes_later_is_answered_too(net: Net, listen: Listen) -> None:
    far = net.place("far")
    net.serve(proxy(listen))
    net.ask(net.client)  # so that the addresses have been looked at

    net.cable((net.server, "eth1"), (far, "eth0"))
    net.address(net.server, "eth1", "192.168.78.2/24")
    time.sleep(1)
    assert_from(only(net.ask(far)), "192.168.78.2")


@both
def test_of_several_addresses_the_one_in_the_clients_network_answers(
    net: Net, listen: Listen
) -> None:
    net.address(net.server, "eth0", "192.168.77.3/24")  # of the same network: "secondary"
    net.address(net.server, "eth0", "192.168.79.2/24")
    net.serve(proxy(listen))

    assert_from(only(net.ask(net.client)), SERVER_ADDRESS)
    assert_from(only(net.ask(net.client, "--requested", "192.168.79.50")), "192.168.79.2")


@both
def test_a_bridge_answers_and_not_its_port(net: Net, listen: Listen) -> None:
    run("ip", "-n", net.server, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
    run("ip", "-n", net.server, "addr", "flush", "dev", "eth0")
    run("ip", "-n", net.server, "link", "set", "eth0", "master", "br0")
    run("ip", "-n", net.server, "link", "set", "br0", "up")
    net.address(net.server, "br0", f"{SERVER_ADDRESS}/24")
    net.serve(proxy(listen))

    assert_from(only(net.ask(net.client)), SERVER_ADDRESS)


@both
@pytest.mark.parametrize("way_back", ["same", "other"])
def test_a_relays_clients_are_answered_whichever_way_leads_to_the_relay(
    net: Net, listen: Listen, way_back: str
) -> None:
    """The server has a leg in the relay's network at most; `other`: its route to the relay's
    clients leaves by another interface than the one that requests come in on."""
    relay, far = net.place("relay"), net.place("far")
    net.to_switch(relay, "eth0")
    net.address(relay, "eth0", "192.168.77.3/24")
    net.cable((relay, "eth1"), (far, "eth0"))
    net.address(relay, "eth1", "192.168.80.1/24")
    gateway = "192.168.77.3"
    if way_back == "other":
        gateway = "192.168.78.3"
        net.cable((net.server, "eth1"), (relay, "eth2"))
        net.address(net.server, "eth1", "192.168.78.2/24")
        net.address(relay, "eth2", f"{gateway}/24")
    run("ip", "-n", net.server, "route", "add", "192.168.80.0/24", "via", gateway)
    argv = ["dnsmasq", "-k", "--conf-file=/dev/null", "--pid-file=", "--port=0", "--user=root"]
    argv += ["--log-facility=-", f"--dhcp-relay=192.168.80.1,{SERVER_ADDRESS}"]
    net.start(relay, *argv, log="relay.log", ready="DHCP relay from")
    net.serve(proxy(listen))

    answer = only(net.ask(far))
    assert answer["source"] == "192.168.80.1"  # the relay's, as RFC 2131 has it
    assert (answer["next_server"], answer["identifier"]) == (SERVER_ADDRESS, SERVER_ADDRESS)


def test_a_dhcp_daemon_of_this_host_keeps_its_port_and_its_clients(net: Net) -> None:
    net.daemon_beside()
    net.serve(proxy(Listen.RAW))

    lease, boot = sorted(net.ask(net.client), key=lambda answer: answer["file"])
    assert_from(boot, SERVER_ADDRESS)
    assert (boot["offered"], boot["file"]) == ("0.0.0.0", f"{MAC.hyphens}/snponly.efi")
    assert lease["offered"].startswith("192.168.77.1")
    net.run_in(net.client, *udhcpc())
    assert "DHCPACK(eth0)" in net.said("beside.log")


def test_by_udp_a_daemon_that_holds_the_port_is_named(net: Net) -> None:
    net.daemon_beside()
    with pytest.raises(LabError, match=r"UDP port 67 on 0\.0\.0\.0 is taken by dnsmasq"):
        net.serve(proxy(Listen.UDP))


def test_a_missing_right_to_packet_sockets_is_said_in_one_line(net: Net) -> None:
    state = str(net.lan.folder / "empty")
    store = Store(Path(state))
    store.apply(Site(images={}, profiles={}, nodes={}, dhcp=proxy(Listen.RAW)), datetime.now(UTC))
    store.close()
    bare = ("setpriv", "--bounding-set=-net_raw", PROGRAM, "--state", state, "serve")
    with pytest.raises(LabError, match=r"listen: raw\) needs the right CAP_NET_RAW: run as root"):
        net.run_in(net.server, *bare)


def udhcpc(*options: str) -> tuple[str, ...]:
    """It sets no broadcast flag, and takes the answer by a packet socket."""
    return ("udhcpc", "-i", "eth0", "-f", "-n", "-q", "-t", "5", "-T", "1", "-s", "/bin/true")


def server(listen: Listen) -> DhcpSite:
    first = IPv4Address("192.168.77.150")
    subnet = Subnet(network=IPv4Network("192.168.77.0/24"), ranges=((first, first + 9),))
    return DhcpSite(mode=DhcpMode.SERVER, listen=listen, subnets=(subnet,))


@both
def test_a_client_without_address_is_answered_at_its_ethernet_address(
    net: Net, listen: Listen
) -> None:
    net.serve(server(listen))

    offer = only(net.ask(net.client, "--plain", "--unicast", "--seconds", "3"))
    assert (offer["to"], offer["destination"]) == (MAC, offer["offered"])
    assert {offer["source"], offer["identifier"]} == {SERVER_ADDRESS}
    flagged = only(net.ask(net.client, "--plain", "--seconds", "3"))
    assert (flagged["to"], flagged["destination"]) == (BROADCAST, "255.255.255.255")
    net.run_in(net.client, *udhcpc())


def test_without_the_right_to_packet_sockets_it_is_answered_by_broadcast(net: Net) -> None:
    net.serve(server(Listen.UDP), "setpriv", "--bounding-set=-net_raw")

    offer = only(net.ask(net.client, "--plain", "--unicast", "--seconds", "3"))
    assert (offer["to"], offer["destination"]) == (BROADCAST, "255.255.255.255")
    net.run_in(net.client, *udhcpc())


@both
def test_a_vlans_machines_are_answered_by_its_sub_interface_alone(net: Net, listen: Listen) -> None:
    """This kernel may have no 802.1Q: a program stands in for the sub-interface."""
    far = net.place("far")
    net.cable((net.server, "eth1"), (far, "eth0"))  # a trunk
    net.address(net.server, "eth1", "192.168.78.2/24")
    net.start(net.server, *tagging(), log="tagging.log", ready="ready")
    run("ip", "-n", net.server, "link", "set", "eth1.5", "up")
    net.address(net.server, "eth1.5", "192.168.85.2/24")
    net.serve(proxy(listen))

    assert_from(only(net.ask(far, "--vlan", "5")), "192.168.85.2")
    assert_from(only(net.ask(far)), "192.168.78.2")
    assert_from(only(net.ask(far, "--vlan", "0")), "192.168.78.2")  # a priority, and no VLAN
    assert net.ask(far, "--vlan", "6") == []
    if listen is Listen.RAW:
        assert "DHCP requests tagged for a VLAN come in on eth1 and are ignored" in net.said()


def tagging() -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.lab.tagging", "eth1", "5")
