"""The finished document of one node: what the web serves, `explain` shows and `apply` checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ..boot.actions import Action, disks_of
from ..boot.clusters import Seat, member_of, seat_of
from ..boot.families import KAIROS
from ..boot.fleet import Fleet, Node
from ..boot.phone import PhoneHome
from ..boot.site import NodeSpec, Profile
from ..boot.urls import Urls
from ..errors import DocumentProblem
from .cluster import cluster_variables
from .document import Document, build
from .live import Live, live_document
from .phone import phone_block, phone_home_of
from .systems import system_document


def document_for(
    fleet: Fleet, node: Node, urls: Urls, report_token: str, action: Action
) -> Document:
    """Of a boot for `action`. Raises DocumentProblem, a line for each error that would break it."""
    if node.spec is None or node.spec.profile not in fleet.profiles:
        raise DocumentProblem(f"{node.name} has no profile, so no document")
    profile = fleet.profiles[node.spec.profile]
    if action in WITH_TEMPLATES:
        spec = replace(node.spec, macs=node.spec.macs or node.macs)
        seat = seat_of(fleet, node)
        phone = phone_home_of(fleet, node)
        return checked_document(profile, spec, urls, report_token, action, seat, phone)
    live = Live(
        action=action,
        hostname=node.spec.name,
        report_url=urls.report(report_token),
        ssh_keys=profile.ssh_keys,
        disks=disks_of(node.order, profile.disks),
        network_token=_network_token(fleet, node),
    )
    return Document(text=live_document(live))


# What gets the document that the site's templates make.
WITH_TEMPLATES = frozenset({Action.INSTALL, Action.RAM})


def checked_document(
    profile: Profile,
    spec: NodeSpec,
    urls: Urls,
    report_token: str,
    action: Action = Action.INSTALL,
    seat: Seat | None = None,
    phone: PhoneHome | None = None,
) -> Document:
    """As document_for, before there is a node; of an action WITH_TEMPLATES. `seat`: its place in
    its cluster; `phone`: whether its agent phones home."""
    report_url = urls.report(report_token)
    variables = variables_of(profile, spec, urls, cluster_variables(seat, report_url))
    if profile.family != KAIROS:
        return _without_errors(system_document(profile, variables, report_url, action))
    installs = action is Action.INSTALL
    block = phone_block(phone, profile, spec, urls, report_token) if phone else None
    built = build(
        profile.templates, variables, report_url, installs=installs, seat=seat, phone=block
    )
    return _without_errors(built)


def _without_errors(built: Document) -> Document:
    if built.errors:
        raise DocumentProblem("\n".join(map(str, built.errors)))
    return built


def _network_token(fleet: Fleet, node: Node) -> str:
    """The p2p network's that its recovery is to be reached by; empty where it is in none."""
    member = member_of(fleet, node)
    standing = fleet.standings.get(member.cluster) if member else None
    return standing.secrets.get("network-token", "") if standing else ""


def variables_of(
    profile: Profile, spec: NodeSpec, urls: Urls, cluster: Mapping[str, object] | None = None
) -> dict[str, object]:
    """What templates may use: the profile's variables, the node's over them, `node`, `server`,
    and `cluster`, which is none for a node outside.

    Raises DocumentProblem where the site has variables of our names: neither may silently win.
    """
    added = {"node": _node(profile, spec), "server": _server(urls), "cluster": cluster}
    for owner, variables in (
        (f"profile '{profile.name}'", profile.variables),
        (f"node '{spec.name}'", spec.variables),
    ):
        if taken := sorted(added.keys() & variables.keys()):
            raise DocumentProblem(
                f"{owner} sets the variable '{taken[0]}', which every template gets from us:"
                " give it another name under 'variables' in the site file"
            )
    return {**profile.variables, **spec.variables, **added}


def _node(profile: Profile, spec: NodeSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "mac": str(spec.macs[0]) if spec.macs else "",
        "macs": [str(mac) for mac in spec.macs],
        "labels": dict(spec.labels),
        "profile": profile.name,
        "image": profile.image,
    }


def _server(urls: Urls) -> dict[str, object]:
    """`registry` has its port always: without one, `server/name` would be an image of Docker's."""
    scheme, _, host = urls.base.partition("://")
    if not re.search(r":[0-9]+$", host):
        host += ":443" if scheme == "https" else ":80"
    return {"url": urls.base, "registry": host}
