"""DHCP clients as they are, each in a network namespace of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from kairos_netboot.values import Mac

from .lan import LAN, LabError, Lan

_NETWORKD = Path("/lib/systemd/systemd-networkd")
CLIENTS = ("udhcpc", "dhclient", str(_NETWORKD))

# udhcpc and dhclient tell a script what they were given; it sets the address, as renewals are
# sent from it, and appends everything to a file.
_SCRIPT = """#!/bin/sh
{{ echo "--"; env; echo "event=${{1:-$reason}}"; }} >> {folder}/told
case "${{1:-$reason}}" in
  bound|renew) ip addr replace "$ip/$mask" dev eth0;;
  BOUND|RENEW|REBIND|REBOOT)
    ip addr replace "$new_ip_address/$new_subnet_mask" dev eth0;;
  deconfig|EXPIRE|FAIL|RELEASE|STOP) ip addr flush dev eth0;;
esac
if [ -n "$router$new_routers" ]; then ip route replace default via ${{router:-$new_routers}}; fi
exit 0
"""


# From a socket of its own, as no client at hand sends INFORM.
_INFORM = """
import socket, sys
from scapy.layers.dhcp import BOOTP, DHCP

address, mac = sys.argv[1:]
options = [("message-type", "inform"), ("param_req_list", [3, 6, 15]), "end"]
chaddr = bytes.fromhex(mac.replace(":", ""))
question = BOOTP(xid=0x77, ciaddr=address, chaddr=chaddr) / DHCP(options=options)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    sock.settimeout(5)
    sock.bind(("", 68))
    sock.sendto(bytes(question), ("255.255.255.255", 67))
    answer = BOOTP(sock.recv(4096))
assert answer.xid == 0x77
print(f"yiaddr={answer.yiaddr}")
for option in answer[DHCP].options:
    if isinstance(option, tuple):
        value = option[1].decode() if isinstance(option[1], bytes) else option[1]
        print(f"{option[0]}={value}")
"""


class Client:
    """A namespace with an `eth0` that has no address yet."""

    def __init__(self, lan: Lan, name: str, mac: Mac, *, switch: str = LAN) -> None:
        self._lan, self.name, self.mac = lan, name, mac
        self.place = f"{lan.server.removesuffix('server')}{name}"
        self.folder = lan.folder / name
        self.folder.mkdir()
        self._script = self.folder / "script"
        self._script.write_text(_SCRIPT.format(folder=self.folder))
        self._script.chmod(0o755)
        run("ip", "netns", "add", self.place)
        self.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        peer = ("peer", "name", "eth0", "address", mac, "netns", self.place)
        run("ip", "-n", lan.switch, "link", "add", "name", name, "type", "veth", *peer)
        run("ip", "-n", lan.switch, "link", "set", "dev", name, "master", switch, "up")
        for interface in ("lo", "eth0"):
            run("ip", "-n", self.place, "link", "set", "dev", interface, "up")

    def run(self, *argv: str, fails: bool = False) -> str:
        return run(*self._lan.command_in(self.place, argv), fails=fails)

    def address(self) -> str:
        """Empty where it has none."""
        words = run("ip", "-n", self.place, "-4", "-brief", "addr", "show", "eth0").split()
        return words[2].partition("/")[0] if len(words) > 2 else ""

    def told(self, event: str) -> Mapping[str, str]:
        """What the client's script was last told of an event; LabError where it was not."""
        path = self.folder / "told"
        texts = path.read_text().split("--\n") if path.exists() else []
        for text in reversed(texts):
            if f"event={event}\n" in text:
                return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        raise LabError(f"{self.name} heard of no '{event}'")

    def udhcpc(self, *options: str, log: str = "") -> subprocess.Popen[bytes]:
        """Stays, and holds what it is given."""
        argv = ("udhcpc", "-f", "-i", "eth0", "-s", str(self._script), "-t", "5", "-T", "1")
        log = log or f"{self.name}-udhcpc.log"
        return self._lan.start((*argv, *options), log=log, namespace=self.place)

    def dhclient(self, *options: str, config: str = "") -> str:
        """One run, which leaves a dhclient behind that holds the lease; what it printed."""
        (self.folder / "dhclient.conf").write_text(config or "timeout 10;\n")
        files = ("-lf", f"{self.folder}/leases", "-pf", f"{self.folder}/pid")
        script = ("-sf", str(self._script), "-cf", f"{self.folder}/dhclient.conf")
        return self.run("dhclient", "-4", "-v", *files, *script, *options, "eth0")

    def end_dhclient(self) -> None:
        """As a machine that loses its power: it says nothing."""
        pid = (self.folder / "pid").read_text().strip()
        run("kill", "-9", pid)
        self.run("ip", "addr", "flush", "dev", "eth0")

    def networkd(self, settings: str = "") -> subprocess.Popen[bytes]:
        """Without the rest of systemd: a /run of its own, no D-Bus, and a /sys that cannot be
        written, by which it knows that there is no udev to wait for."""
        text = f"[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n{settings}"
        (self.folder / "10-eth0.network").write_text(text)
        steps = (
            "mount -o remount,ro /sys",
            "mount -t tmpfs tmpfs /run",
            "mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases",
            "mkdir -p /run/systemd/netif/lldp",
            f"cp {self.folder}/10-eth0.network /run/systemd/network/",
            "chown -R systemd-network: /run/systemd/netif",
            f"exec env SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console {_NETWORKD}",
        )
        argv = ("unshare", "--mount", "sh", "-ec", "\n".join(steps))
        return self._lan.start(argv, log=f"{self.name}-networkd.log", namespace=self.place)

    def inform(self, address: str) -> Mapping[str, str]:
        """What it is told that has this address, read by scapy."""
        said = self.run(sys.executable, "-c", _INFORM, address, self.mac)
        return dict(line.split("=", 1) for line in said.splitlines())

    def wait_for_address(self, other_than: str = "", *, seconds: float = 10) -> str:
        deadline = time.monotonic() + seconds
        while not (found := self.address()) or found == other_than:
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} has no address but '{found}' after {seconds:g} s")
            time.sleep(0.05)
        return found


def run(*command: str, fails: bool = False) -> str:
    """Output and error text; LabError where it ends otherwise than `fails` says."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    if bool(done.returncode) is not fails:
        raise LabError(f"'{' '.join(command)}' ended with {done.returncode}: {said.strip()}")
    return said
