"""The finished document of one node: what the web serves, `explain` shows and `apply` checks."""

from __future__ import annotations

import re

from ..boot.actions import Action
from ..boot.fleet import Fleet, Node
from ..boot.site import NodeSpec, Profile
from ..boot.urls import Urls
from ..errors import DocumentProblem
from .document import Document, build


def document_for(
    fleet: Fleet, node: Node, urls: Urls, report_token: str, action: Action
) -> Document:
    """Of a boot for `action`. Raises DocumentProblem, a line for each error that would break it."""
    if node.spec is None or node.spec.profile not in fleet.profiles:
        raise DocumentProblem(f"{node.name} has no profile, so no document")
    profile = fleet.profiles[node.spec.profile]
    return checked_document(profile, node.spec, urls, report_token)


def checked_document(profile: Profile, spec: NodeSpec, urls: Urls, report_token: str) -> Document:
    """As document_for, before there is a node."""
    variables = variables_of(profile, spec, urls)
    built = build(profile.templates, variables, urls.report(report_token))
    if built.errors:
        raise DocumentProblem("\n".join(map(str, built.errors)))
    return built


def variables_of(profile: Profile, spec: NodeSpec, urls: Urls) -> dict[str, object]:
    """What templates may use: the profile's variables, the node's over them, `node`, `server`.

    Raises DocumentProblem where the site has variables of our names: neither may silently win.
    """
    added = {"node": _node(profile, spec), "server": _server(urls)}
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
        "mac": str(spec.macs[0]),
        "macs": [str(mac) for mac in spec.macs],
        "profile": profile.name,
        "image": profile.image,
    }


def _server(urls: Urls) -> dict[str, object]:
    """`registry` has its port always: without one, `server/name` would be an image of Docker's."""
    scheme, _, host = urls.base.partition("://")
    if not re.search(r":[0-9]+$", host):
        host += ":443" if scheme == "https" else ":80"
    return {"url": urls.base, "registry": host}
