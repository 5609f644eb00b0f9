"""The site file's `clusters`."""

from __future__ import annotations

from ..boot.clusters import Cluster, ClusterKind, Role
from .fields import flag, number, required, texts, word
from .keys import names
from .located import Located


def cluster(name: str, at: Located) -> Cluster:
    fields = at.fields(*names("cluster"))
    kind = required(at, fields, "kind")
    usual = Cluster(name=name, kind=ClusterKind(kind.choice(*ClusterKind)))
    return Cluster(
        name=name,
        kind=usual.kind,
        servers=number(fields, "servers", usual.servers) or 0,
        tls_sans=tuple(san.text() for san in texts(fields.get("tls-sans"))),
        vip=word(fields, "vip", ""),
        vip_interface=word(fields, "vip-interface", ""),
        vpn=flag(fields, "vpn", default=usual.vpn),
        auto=flag(fields, "auto", default=usual.auto),
        network_id=word(fields, "network-id", usual.network_id),
        args={
            role: tuple(arg.text() for arg in texts(fields[f"{role}-args"]))
            for role in Role
            if f"{role}-args" in fields
        },
    )
