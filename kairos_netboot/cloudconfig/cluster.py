"""What the document of a cluster's member gets from us, and what its templates may use.

A template's own scalar wins over ours, and its lists are joined to ours; but not over secrets and
roles: two cluster tokens are two clusters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import yaml

from ..boot.clusters import ClusterKind, Role, Seat, join_secret
from ..errors import DocumentProblem
from .dialect import BOOL
from .joining import join_address, join_stages
from .kubevip import IMAGE, MANIFEST_PATH, manifest
from .merge import merge
from .yamlnodes import find, list_node, map_node, number_node, text_node

_K0S_TOKEN = "/etc/k0s/token"
Blocks = dict[str, yaml.Node]


def with_cluster(
    root: yaml.Node, seat: Seat, report_url: str, variables: Mapping[str, object]
) -> yaml.Node:
    """The merged templates with the member's blocks. Raises DocumentProblem."""
    match seat.cluster.kind:
        case ClusterKind.K3S:
            soft, hard = _k3s(seat, variables)
        case ClusterKind.P2P:
            soft, hard = _p2p(seat)
        case ClusterKind.K0S:
            soft, hard = _k0s(seat, report_url)
        case ClusterKind.RKE2 | ClusterKind.KUBEADM:
            return root  # by templates, with our variables
    hard |= _silenced(root, hard)
    return merge(merge(map_node(soft), root), map_node(hard))


def _silenced(root: yaml.Node, ours: Mapping[str, yaml.Node]) -> Blocks:
    """Blocks of the other role that templates have for all nodes: Kairos starts the first that is
    enabled, servers before agents."""
    roles = ("k3s", "k3s-agent", "k0s", "k0s-worker")
    others = [key for key in roles if key not in ours and find(root, key) is not None]
    return {key: map_node({"enabled": _flag(False)}) for key in others}


def _k3s(seat: Seat, variables: Mapping[str, object]) -> tuple[Blocks, Blocks]:
    cluster, secret = seat.cluster, {"K3S_TOKEN": seat.secrets["token"]}
    if seat.member.role is Role.AGENT:
        env = {"K3S_URL": _url(seat), **secret}
        return _block("k3s-agent", _own_args(seat)), {"k3s-agent": _env(env)}
    soft = _block("k3s", [*_k3s_joins(seat), *_tls_sans(seat), *_own_args(seat)])
    if cluster.vip:
        image = variables.get("kube_vip_image", IMAGE)
        text = manifest(cluster.vip, cluster.vip_interface, image)
        soft["write_files"] = list_node([_file(MANIFEST_PATH, text)])
    return soft, {"k3s": _env(secret)}


def _k3s_joins(seat: Seat) -> list[str]:
    if not seat.founds:
        return [f"--server {_url(seat)}"]
    several = seat.cluster.servers > 1 or len(seat.standing.servers) > 1
    return ["--cluster-init"] if several else []


def _tls_sans(seat: Seat) -> list[str]:
    names = dict.fromkeys((*seat.cluster.tls_sans, seat.cluster.vip))
    return [f"--tls-san={name}" for name in names if name]


def _p2p(seat: Seat) -> tuple[Blocks, Blocks]:
    cluster = seat.cluster
    several = cluster.servers > 1
    auto = {"enable": _flag(True)}
    if several and cluster.auto:
        more = number_node(cluster.servers - 1)
        auto["ha"] = map_node({"enable": _flag(True), "master_nodes": more})
    needed = max(cluster.servers, min(2, len(seat.standing.members)))
    vpn = {"create": _flag(cluster.vpn), "use": _flag(cluster.vpn)}
    p2p = {
        "network_id": text_node(cluster.network_id),
        "minimum_nodes": number_node(needed),
        "vpn": map_node(vpn),
        "auto": map_node(auto),
    }
    is_agent = seat.member.role is Role.AGENT and not cluster.auto
    args = _own_args(seat) if is_agent else [*_tls_sans(seat), *_server_args(seat)]
    key = "k3s-agent" if is_agent else "k3s"
    soft = {"p2p": map_node(p2p), **_block(key, args)}
    if cluster.vip:
        announced = {"interface": cluster.vip_interface} if cluster.vip_interface else {}
        soft["kubevip"] = _texts({"eip": cluster.vip, **announced})
    # Without `auto.enable`, Kairos ignores `role` and takes the k3s block for all there is.
    said = {"network_token": seat.secrets["network-token"]}
    said |= {} if cluster.auto else {"role": _p2p_role(seat)}
    return soft, {"p2p": _texts(said), key: map_node({})}


def _p2p_role(seat: Seat) -> str:
    if seat.member.role is Role.AGENT:
        return "worker"
    if not seat.founds:
        return "master/ha"
    several = seat.cluster.servers > 1 or len(seat.standing.servers) > 1
    return "master/clusterinit" if several else "master"


def _k0s(seat: Seat, report_url: str) -> tuple[Blocks, Blocks]:
    is_server = seat.member.role is Role.SERVER
    key = "k0s" if is_server else "k0s-worker"
    joins = [] if seat.founds else [f"--token-file {_K0S_TOKEN}"]
    hard: Blocks = {key: map_node({})}
    if not seat.founds:
        hard["write_files"] = list_node([_file(_K0S_TOKEN, _join_token(seat))])
    hard |= join_stages(report_url, ("worker", "controller") if seat.reports else ())
    return _block(key, [*joins, *_own_args(seat)]), hard


def _join_token(seat: Seat) -> str:
    what = "controller" if seat.member.role is Role.SERVER else "worker"
    if token := seat.secrets.get(join_secret(what), ""):
        return token
    raise DocumentProblem(f"no join token ({what}) of cluster '{seat.cluster.name}' is here yet")


def _own_args(seat: Seat) -> tuple[str, ...]:
    return tuple(seat.cluster.args.get(seat.member.role, ()))


def _server_args(seat: Seat) -> tuple[str, ...]:
    return tuple(seat.cluster.args.get(Role.SERVER, ()))


def _block(key: str, args: Iterable[str]) -> Blocks:
    block = {"enabled": _flag(True)}
    if listed := [text_node(arg) for arg in args]:
        block["args"] = list_node(listed)
    return {key: map_node(block)}


def _env(values: Mapping[str, str]) -> yaml.Node:
    return map_node({"env": _texts(values)})


def _texts(values: Mapping[str, str]) -> yaml.Node:
    return map_node({key: text_node(value) for key, value in values.items()})


def _file(path: str, content: str) -> yaml.Node:
    return _texts({"path": path, "permissions": "0600", "content": content})


def _flag(flag: bool) -> yaml.Node:
    return yaml.ScalarNode(BOOL, "true" if flag else "false")


def _url(seat: Seat) -> str:
    """Where it joins."""
    if not seat.first:
        raise DocumentProblem(
            f"no server of cluster '{seat.cluster.name}' has told an address to join at"
        )
    host = f"[{seat.first}]" if ":" in seat.first else seat.first
    return f"https://{host}:6443"


def cluster_variables(seat: Seat | None, report_url: str) -> dict[str, object] | None:
    """The variable `cluster`; None for a node that is in none."""
    if seat is None:
        return None
    cluster, secrets = seat.cluster, seat.secrets
    return {
        "name": cluster.name,
        "kind": cluster.kind.value,
        "role": seat.member.role.value,
        "index": seat.member.index,
        "first": "" if seat.founds and not cluster.vip else seat.first,
        "is_first": seat.founds,
        "servers": cluster.servers,
        "vip": cluster.vip,
        "vip_interface": cluster.vip_interface,
        "tls_sans": list(cluster.tls_sans),
        "args": list(_own_args(seat)),
        "members": [
            {"name": member.node, "role": member.role.value, "index": member.index}
            for member in seat.standing.members
        ],
        "token": secrets.get("token", ""),
        "network_token": secrets.get("network-token", ""),
        "certificate_key": secrets.get("certificate-key", ""),
        "worker_token": secrets.get(join_secret("worker"), ""),
        "controller_token": secrets.get(join_secret("controller"), ""),
        "ca_hash": secrets.get(join_secret("ca-hash"), ""),
        # Where a template's own hook tells what others join by.
        "join_url": join_address(report_url) if seat.reports else "",
    }
