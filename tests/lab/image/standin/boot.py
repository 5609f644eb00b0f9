"""What the installed system does at every boot: mount, run the stages, bring up the network."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from .cmdline import settings
from .console import say
from .documents import INSTALLED_DIRS, Document, collect, merge, read_directories
from .fetch import fetch
from .stages import run_stage, set_hostname

EARLY_STAGES = ("rootfs", "initramfs", "boot", "fs")
MOUNTS = (("COS_OEM", "/oem"), ("COS_PERSISTENT", "/usr/local"))
WAIT_ONLINE = "/usr/lib/systemd/systemd-networkd-wait-online"


def boot(cmdline: str) -> None:
    """Go through the stages of a boot from disk."""
    say("booted from disk (a stand-in for Kairos, not Kairos)")
    for label, place in MOUNTS:
        _run("mount", f"LABEL={label}", place)
    documents = read_directories(INSTALLED_DIRS)
    saved = _merged(documents)
    if saved.get("hostname"):
        set_hostname(str(saved["hostname"]))
    for stage in EARLY_STAGES:
        run_stage(saved, stage)
    online = network_up()
    say(f"network {'is up' if online else 'did not come up'}, address {address() or 'none'}")
    run_stage(saved, "network")
    # Kairos' agent scans again here, and so fetches a config_url that was saved.
    if any(document.get("config_url") for document in documents):
        say("config_url was saved by the installation: fetching it again")
        collect([*documents, settings(cmdline)], fetch)
    # Whoever reads the next line may pull the plug: what the stages wrote must be on the disk.
    os.sync()
    say(f"installed system up, hostname {socket.gethostname()}")


def network_up() -> bool:
    """Start networkd and wait for one link; started only now, so that DHCP sends our name."""
    _run("systemctl", "start", "systemd-networkd.service")
    online = _run(WAIT_ONLINE, "--any", "--ipv4", "--timeout=120")
    servers = [
        server
        for path in Path("/run/systemd/netif/leases").glob("*")
        for server in lease_servers(path.read_text())
    ]
    # Debian's networkd leaves resolv.conf to resolved, which this image has not.
    Path("/etc/resolv.conf").write_text("".join(f"nameserver {server}\n" for server in servers))
    return online


def lease_servers(lease: str) -> list[str]:
    """The name servers in one of networkd's lease files."""
    lines = [line.partition("=") for line in lease.splitlines()]
    return [server for key, _, value in lines if key == "DNS" for server in value.split()]


def address() -> str:
    """The first global IPv4 address."""
    command = ["ip", "-4", "-o", "addr", "show", "scope", "global"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    words = done.stdout.split()
    return words[3] if len(words) > 3 else ""


def _merged(documents: list[Document]) -> Document:
    merged: Document = {}
    for document in documents:
        merged = merge(merged, document)
    return merged


def _run(*command: str) -> bool:
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        say(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.returncode == 0
