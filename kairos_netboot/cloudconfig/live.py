"""The documents of systems that run from memory for a while: rescue, recovery, wipe, shell.

Small, without a secret of the install's document, and in stages alone: `cos.setup` runs those.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from ..boot.actions import Action
from .document import write_document
from .eraser import erase_commands
from .telling import told_to
from .yamlnodes import list_node, map_node, number_node, text_node

# Images have a user with a password that everybody knows, in live systems.
_NO_PASSWORDS = "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"

_READY = """\
{tell}
addresses=$(ip -o addr show scope global 2> /dev/null | awk '{{ printf "%s ", $4 }}')
(exec < /dev/null > /dev/null 2>&1
 tell 60 live-ready --data-urlencode "hostname=$(cat /proc/sys/kernel/hostname)" \\
   --data-urlencode "addresses=$addresses") &"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """`disks` are what a wipe erases; `network_token` is the p2p network's that a recovery is
    reached by, empty: it makes one of its own."""

    action: Action
    hostname: str
    report_url: str
    ssh_keys: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    network_token: str = ""


def live_document(live: Live) -> str:
    stages: dict[str, yaml.Node] = {}
    if live.action is Action.RESCUE:
        stages["initramfs"] = list_node([_access(live)])
    if live.action in (Action.RESCUE, Action.RECOVERY):
        ready = _READY.format(tell=told_to(live.report_url))
        stages["network"] = list_node([_entry("report live-ready", ready)])
    if live.action is Action.WIPE:
        erase = erase_commands(live.disks, told_to(live.report_url))
        stages["network"] = list_node([_entry("erase the disks", erase)])
    # Nothing to fetch after this: an address here would be followed without end.
    root = {"config_url": text_node(""), "stages": map_node(stages)}
    if live.action is Action.RECOVERY and live.network_token:
        root["p2p"] = map_node({"network_token": text_node(live.network_token)})
    return write_document(map_node(root))


def _access(live: Live) -> yaml.Node:
    """Who may log in, and nobody else by the network."""
    user = {"groups": _texts(["admin"]), "ssh_authorized_keys": _texts(live.ssh_keys)}
    sshd = {
        "path": text_node("/etc/ssh/sshd_config.d/00-kairos-netboot.conf"),
        "permissions": number_node(0o600),
        "content": text_node(_NO_PASSWORDS),
    }
    entry = {
        "name": text_node("kairos-netboot: who may log in"),
        "hostname": text_node(live.hostname),
        "files": list_node([map_node(sshd)]),
    }
    if live.ssh_keys:
        entry["users"] = map_node({"kairos": map_node(user)})
    return map_node(entry)


def _texts(texts: Iterable[str]) -> yaml.Node:
    return list_node(map(text_node, texts))


def _entry(name: str, command: str) -> yaml.Node:
    return map_node(
        {
            "name": text_node(f"kairos-netboot: {name}"),
            "commands": list_node([text_node(command)]),
        }
    )
