"""`clusters list | show | token | reset`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from ..boot.clusters import Cluster, Member, Role, Standing, address_of, waits_for
from ..boot.fleet import Fleet, Node
from ..boot.lifecycle import MAY_INSTALL
from ..cloudconfig.mask import STARS
from ..cloudconfig.spelling import hint_or_known
from ..errors import UnknownName
from ..store.clusters import reset_cluster
from ..store.joins import MAX_TOKEN, give_token
from .app import Common, columns, opened, say

app = typer.Typer(help="The clusters that nodes form.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(help="The cluster's name.")]


@app.command("list")
def list_clusters(context: typer.Context) -> None:
    """Every cluster of the site, and how many of its nodes are ready."""
    common: Common = context.obj
    with opened(common.state) as store:
        fleet = store.fleet()
    rows = [_row(fleet, cluster) for _, cluster in sorted(fleet.clusters.items())]
    if not rows:
        say("no clusters yet: name one under `clusters` in a site file")
        return
    for line in columns([("NAME", "KIND", "SERVERS", "AGENTS", "READY"), *rows]):
        say(line)


def _row(fleet: Fleet, cluster: Cluster) -> tuple[str, ...]:
    standing = fleet.standings.get(cluster.name, Standing())
    names = {member.node for member in standing.members}
    ready = sum(n.name in names and n.state == "ready" for n in fleet.nodes)
    servers = len(standing.servers)
    return (
        cluster.name,
        cluster.kind,
        f"{servers} of {cluster.servers}",
        str(len(names) - servers),
        f"{ready} of {len(names)}",
    )


@app.command()
def show(
    context: typer.Context,
    name: _Name,
    secrets: Annotated[bool, typer.Option("--secrets", help="Print its secrets.")] = False,
) -> None:
    """A cluster's members, what each of them waits for, and the names of its secrets."""
    common: Common = context.obj
    with opened(common.state) as store:
        fleet = store.fleet()
    cluster = _known(fleet, name)
    standing = fleet.standings.get(name, Standing())
    for line in _lines(fleet, cluster, standing, secrets):
        say(line)


def _known(fleet: Fleet, name: str) -> Cluster:
    if name not in fleet.clusters:
        raise UnknownName(f"no cluster '{name}' here{hint_or_known(name, fleet.clusters)}")
    return fleet.clusters[name]


def _lines(fleet: Fleet, cluster: Cluster, standing: Standing, secrets: bool) -> Iterator[str]:
    facts = [("name", cluster.name), ("kind", cluster.kind.value)]
    facts += [("address", cluster.vip)] if cluster.vip else []
    made = f"by {standing.initialised}" if standing.initialised else "not yet"
    yield from columns([*facts, ("made", made)])
    yield ""
    rows = [_member(fleet, member) for member in (*standing.servers, *_agents(standing))]
    if rows:
        yield from columns([("NODE", "ROLE", "STATE", "ADDRESS", "WHAT"), *rows])
    else:
        yield "no members: a node or a profile is in it by `cluster`"
    shown = [(key, value if secrets else STARS) for key, value in standing.secrets.items()]
    if shown:
        yield ""
        yield from columns(shown)


def _agents(standing: Standing) -> list[Member]:
    agents = (member for member in standing.members if member.role is Role.AGENT)
    return sorted(agents, key=lambda member: member.index)


def _member(fleet: Fleet, member: Member) -> tuple[str, ...]:
    role = f"{member.role} {member.index}"
    node = next((n for n in fleet.nodes if n.name == member.node), None)
    if node is None:
        return (member.node, role, "-", "-", "has no machine")
    return (node.name, role, node.state, address_of(node) or "-", _what(fleet, node) or "-")


def _what(fleet: Fleet, node: Node) -> str:
    return waits_for(fleet, node) if node.state in MAY_INSTALL else ""


@app.command()
def token(
    context: typer.Context,
    name: _Name,
    what: Annotated[str, typer.Argument(help="worker or controller; for kubeadm, ca-hash.")],
) -> None:
    """Take a join token from standard input, where the first server cannot tell one."""
    common: Common = context.obj
    value = sys.stdin.read(MAX_TOKEN + 2).strip()
    with opened(common.state) as store, store.writing() as connection:
        give_token(connection, name, what, value)
    say(f"cluster {name}: has a join token ({what})")


@app.command()
def reset(context: typer.Context, name: _Name) -> None:
    """A cluster that is lost: its first server makes it anew at its next install."""
    common: Common = context.obj
    with opened(common.state) as store:
        _known(store.fleet(), name)
        with store.writing() as connection:
            reset_cluster(connection, name)
    say(f"cluster {name}: its first server makes it anew when it is next installed")
