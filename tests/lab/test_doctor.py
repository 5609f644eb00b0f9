"""The doctor in a server's place, where it has something to find: no machine boots."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.network import DhcpSite, Listen
from kairos_netboot.boot.site import Site
from kairos_netboot.store.store import Store
from tests.lab.lan import SERVER_ADDRESS, SERVER_ADDRESS6, LabError, Lan
from tests.lab.site import SITE_ADDRESS
from tests.unit.boot.sample import PROFILE, SPEC
from tests.unit.store.sample import stand_in

pytestmark = [pytest.mark.lab, pytest.mark.timeout(60)]

PROGRAM = str(Path(sys.executable).parent / "kairos-netboot")
PROXY_ADDRESS = "192.168.77.9"
LOADER = bytes(range(256)) * 100  # the smallest one: that is fetched
# As an administrator writes it who knows the ports that are named in the manual.
FIREWALL = """\
table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    iifname "lo" accept
    udp dport { 67, 69, 4011 } accept
  }
}
"""


class Patient:
    """A place for our server, and what the doctor says of it."""

    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self._state = lan.folder / "state"
        self._loaders = lan.folder / "loaders"
        self._loaders.mkdir()
        (self._loaders / "snponly.efi").write_bytes(LOADER)
        lan.folder.chmod(0o711)  # `serve` gives up root and must still get to its state

    def site(self, dhcp: DhcpSite) -> None:
        store = Store(self._state)
        store.add_image(stand_in(store.blobs))
        site = Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC}, dhcp=dhcp)
        store.apply(site, datetime(2026, 11, 23, tzinfo=UTC))
        store.close()

    def run(self, *argv: str) -> None:
        subprocess.run(self.lan.server_command(argv), check=True, capture_output=True)

    def filter(self, rules: str) -> None:
        argv = self.lan.server_command(["nft", "-f", "-"])
        subprocess.run(argv, input=rules.encode(), check=True)

    def start(self, *argv: str, log: str, ready: str, place: str | None = None) -> None:
        process = self.lan.start(argv, log=log, namespace=place)
        path, deadline = self.lan.logs / log, time.monotonic() + 20
        while ready not in (said := path.read_text() if path.exists() else ""):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"{argv[0]} is not ready: {said}")
            time.sleep(0.02)

    def serve(self, *wrapper: str) -> None:
        argv = (*wrapper, PROGRAM, "--state", str(self._state), "serve")
        self.start(*argv, "--loaders", str(self._loaders), log="server.log", ready="ready:")

    def dnsmasq(self, *options: str, place: str | None = None) -> None:
        argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="]
        argv += ["--port=0", "--no-resolv", "--no-hosts", "--user=root", "--interface=eth0"]
        argv += ["--log-facility=-", f"--dhcp-leasefile={self.lan.folder}/other.leases", *options]
        self.start(*argv, log="other.log", ready="DHCP,", place=place)

    def examine(self, *options: str) -> tuple[int, list[str]]:
        """The exit code, and a line for each finding."""
        argv = [PROGRAM, "--state", str(self._state), "doctor", "--loaders", str(self._loaders)]
        done = subprocess.run(
            self.lan.server_command([*argv, *options]),
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.stderr
        lines = done.stdout.splitlines()
        print(done.stdout)
        levels = [("ok", "note", "FAIL").index(line.split()[0]) for line in lines[:-1]]
        assert levels == sorted(levels)
        return done.returncode, lines


@pytest.fixture
def patient(lan: Lan) -> Patient:
    return Patient(lan)


def bad(lines: list[str]) -> list[str]:
    """All but good news and the sum. Whether a clock is kept right is the host's affair."""
    worse = [line for line in lines[:-1] if not line.startswith("ok ")]
    return [line for line in worse if " clock " not in line and " disk " not in line]


def test_a_server_beside_a_dhcp_server_is_well(patient: Patient) -> None:
    patient.site(DhcpSite())
    patient.serve()
    code, lines = patient.examine()
    assert bad(lines) == []
    assert code in (0, 3)
    said = "\n".join(lines)
    assert "UDP port 67 (DHCP): kairos-netboot (process " in said
    assert f"tftp://{SERVER_ADDRESS}:69/snponly.efi comes whole" in said
    assert f"http://{SERVER_ADDRESS}:8080/start.ipxe comes" in said
    assert f"the site's DHCP server: {SITE_ADDRESS} on eth0 offers 192.168.77.1" in said


@pytest.mark.lan(server_ipv6=True)
def test_ipv6_is_looked_at_where_there_is_any(patient: Patient) -> None:
    # What a host says to itself goes by its loopback, whatever the address.
    patient.run("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0")
    patient.serve()
    _, lines = patient.examine("--no-probe")
    assert bad(lines) == []
    said = "\n".join(lines)
    assert "UDP port 547 (DHCPv6): kairos-netboot" in said
    assert f"TFTP on [{SERVER_ADDRESS6}] port 69 answers" in said
    assert f"http://[{SERVER_ADDRESS6}]:8080/start.ipxe comes" in said
    patient.filter("table ip6 f { chain in { type filter hook input priority 0; policy drop; }; }")
    code, lines = patient.examine("--no-probe")
    assert code == 1
    firewall = next(line for line in bad(lines) if "firewall" in line)
    assert "UDP port 547 (DHCPv6)" in firewall
    assert "UDP port 67" not in firewall


def test_a_server_that_does_not_run_is_told_once(patient: Patient) -> None:
    code, lines = patient.examine()
    assert code == 3
    (idle,) = bad(lines)
    assert "`serve` is not running: nobody listens on UDP port 67 (DHCP), " in idle


def test_a_port_of_another_program_is_told_with_its_name(patient: Patient) -> None:
    patient.dnsmasq("--dhcp-range=192.168.77.150,192.168.77.160")
    code, lines = patient.examine("--no-probe")
    assert code == 1
    assert "UDP port 67 (DHCP) is taken by dnsmasq (process " in bad(lines)[-1]
    assert "listen: raw" in bad(lines)[-1]


def test_beside_a_daemon_of_the_same_host_a_packet_socket_is_well(patient: Patient) -> None:
    patient.dnsmasq("--dhcp-range=192.168.77.150,192.168.77.160")
    patient.site(DhcpSite(listen=Listen.RAW))
    patient.serve()
    _, lines = patient.examine()
    assert bad(lines) == []
    assert any("`listen: raw` works beside it" in line for line in lines)


def test_another_boot_server_is_told_with_its_offer(patient: Patient) -> None:
    place = patient.lan.add_host("proxy", PROXY_ADDRESS)
    patient.dnsmasq(
        "--dhcp-range=192.168.77.0,proxy",
        "--pxe-service=X86-64_EFI,Boot,other.efi",
        place=place,
    )
    code, lines = patient.examine()
    assert code == 3
    rival = next(line for line in bad(lines) if "another boot server" in line)
    assert f"{PROXY_ADDRESS} on eth0 offers a boot menu for PXEClient" in rival


def test_rules_that_drop_us_are_told_and_the_advice_mends_them(patient: Patient) -> None:
    patient.filter(FIREWALL)
    patient.serve()
    code, lines = patient.examine("--no-probe")
    assert code == 1
    (finding,) = bad(lines)
    assert "drops the acknowledgements of TFTP's files, TCP port 8080 (HTTP) on eth0" in finding
    assert "in chain inet filter input" in finding
    for command in finding.split("`")[1::2]:
        patient.run("sh", "-c", command)
    assert bad(patient.examine("--no-probe")[1]) == []


def test_packets_are_dropped_as_the_doctor_says(patient: Patient) -> None:
    """From another host's side: what the rules do is what was said."""
    patient.filter(FIREWALL)
    patient.serve()
    with pytest.raises(LabError):
        get(patient.lan, "http://{}:8080/start.ipxe", 2)
    with pytest.raises(LabError):
        get(patient.lan, "tftp://{}/snponly.efi", 3)
    _, lines = patient.examine("--no-probe")
    for command in bad(lines)[0].split("`")[1::2]:
        patient.run("sh", "-c", command)
    assert get(patient.lan, "tftp://{}/snponly.efi", 10) == LOADER
    assert get(patient.lan, "http://{}:8080/start.ipxe", 10).startswith(b"#!ipxe")


def get(lan: Lan, url: str, seconds: int) -> bytes:
    argv = ["curl", "-sS", "--noproxy", "*", "--max-time", str(seconds)]
    command = lan.command_in(lan.site, [*argv, url.format(SERVER_ADDRESS)])
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise LabError(done.stderr.decode())
    return done.stdout


def test_interfaces_that_serve_nobody_are_told(patient: Patient) -> None:
    patient.run("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
    patient.run("ip", "link", "add", "br0", "type", "bridge")
    patient.run("ip", "link", "set", "eth8", "master", "br0")
    for name in ("eth7", "eth8"):
        patient.run("ip", "link", "set", name, "up")
    patient.run("ip", "link", "set", "eth0", "mtu", "1400")
    code, lines = patient.examine("--no-probe")
    assert code == 3
    told = "\n".join(bad(lines))
    assert "eth7 has no IPv4 address: machines there get no answer" in told
    assert "eth0 takes packets of 1400 bytes" in told
    assert "ok    network   eth8 is part of br0" in lines


def test_without_the_right_for_packet_sockets_the_server_does_less(patient: Patient) -> None:
    patient.serve("setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw")
    code, lines = patient.examine("--no-probe")
    assert code == 3
    (finding,) = bad(lines)
    assert "`serve` runs without CAP_NET_RAW" in finding
