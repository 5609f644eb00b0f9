"""The site file's `clusters`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address

from ..boot.clusters import Cluster, ClusterKind, Role
from ..boot.hostnames import is_host_name
from .fields import flag, number, required, texts, word
from .keys import names
from .located import Located

_MOST_SERVERS = 99
# What only p2p has a use for.
_OF_P2P = ("vpn", "auto", "network-id")
# What decides who makes the cluster and who joins it.
_OURS = ("--cluster-init", "--server", "--token", "--token-file", "--agent-token")
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")
_NAME = re.compile(r"[A-Za-z0-9*]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?")


def cluster(name: str, at: Located) -> Cluster:
    if not is_host_name(name):
        raise at.mistake("a cluster's name is small letters, digits, - and .")
    fields = at.fields(*names("cluster"))
    kind = ClusterKind(required(at, fields, "kind").choice(*ClusterKind))
    usual = Cluster(name=name, kind=kind)
    _check_fit(kind, fields)
    return Cluster(
        name=name,
        kind=kind,
        servers=_servers(fields, usual.servers),
        tls_sans=tuple(map(_san, texts(fields.get("tls-sans")))),
        vip=_vip(fields["vip"]) if "vip" in fields else "",
        vip_interface=_interface(fields["vip-interface"]) if "vip-interface" in fields else "",
        vpn=flag(fields, "vpn", default=usual.vpn),
        auto=flag(fields, "auto", default=usual.auto),
        network_id=_network_id(fields, usual.network_id),
        args={
            role: tuple(map(_arg, texts(fields[f"{role}-args"])))
            for role in Role
            if f"{role}-args" in fields
        },
    )


def _check_fit(kind: ClusterKind, fields: Mapping[str, Located]) -> None:
    """No key that this kind would silently ignore."""
    for key in _OF_P2P:
        if key in fields and kind is not ClusterKind.P2P:
            raise fields[key].mistake(f"only a p2p cluster has it, this one is {kind}")
    if kind is ClusterKind.K0S and "vip" in fields:
        raise fields["vip"].mistake("Kairos' kube-vip does not work with k0s: leave it out")
    if kind is ClusterKind.K0S and "tls-sans" in fields:
        raise fields["tls-sans"].mistake(
            "k0s reads them from its own file alone: write /etc/k0s/k0s.yaml by `write_files` in a "
            "template, and name it in `server-args`"
        )
    if "vip-interface" in fields and "vip" not in fields:
        raise fields["vip-interface"].mistake("for which address? `vip` says it")
    auto = flag(fields, "auto", default=True)
    if kind is ClusterKind.P2P and auto and "agent-args" in fields:
        raise fields["agent-args"].mistake(
            "who is an agent is known beforehand with `auto: false` alone"
        )


def _servers(fields: Mapping[str, Located], usual: int) -> int:
    found = number(fields, "servers", usual)
    if found is None or not 1 <= found <= _MOST_SERVERS:
        raise fields["servers"].mistake(f"a number from 1 to {_MOST_SERVERS}")
    return found


def _san(at: Located) -> str:
    if not _NAME.fullmatch(at.text()):
        raise at.mistake(f"'{at.text()}' is neither a host name nor an address")
    return at.text()


def _vip(at: Located) -> str:
    try:
        found = ip_address(at.text())
    except ValueError:
        raise at.mistake(f"'{at.text()}' is no address: write it like 192.168.77.10") from None
    if found.is_multicast or found.is_unspecified or found.is_loopback:
        raise at.mistake(f"{found} is not an address that machines can be reached by")
    return str(found)


def _interface(at: Located) -> str:
    if not _INTERFACE.fullmatch(at.text()):
        raise at.mistake(f"'{at.text()}' is no name of an interface")
    return at.text()


def _network_id(fields: Mapping[str, Located], usual: str) -> str:
    text = word(fields, "network-id", usual)
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text):
        raise fields["network-id"].mistake("letters, digits and _.- make its name, at most 64")
    return text


def _arg(at: Located) -> str:
    text = at.text()
    if not text.isprintable() or not text.startswith("-"):
        raise at.mistake("an argument is one line that begins with -: `--option=value`")
    if text.replace("=", " ").split()[0] in _OURS:
        raise at.mistake(f"'{text.split()[0]}' is decided by the node's place in the cluster")
    return text
