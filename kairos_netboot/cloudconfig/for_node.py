"""The finished document of one node: what the web serves, `explain` shows and `apply` checks."""

from __future__ import annotations

from ..boot.fleet import Fleet, Node
from ..boot.site import NodeSpec, Profile
from ..boot.urls import Urls
from ..errors import DocumentProblem
from .document import Document, build


def document_for(fleet: Fleet, node: Node, urls: Urls, report_token: str) -> Document:
    """Raises DocumentProblem, one line for each error that would break the install."""
    if node.spec is None or node.spec.profile not in fleet.profiles:
        raise DocumentProblem(f"{node.name} has no profile, so no document")
    profile = fleet.profiles[node.spec.profile]
    return checked_document(profile, node.spec, urls, report_token)


def checked_document(profile: Profile, spec: NodeSpec, urls: Urls, report_token: str) -> Document:
    """As document_for, before there is a node."""
    built = build(profile.templates, variables_of(profile, spec), urls.report(report_token))
    if built.errors:
        raise DocumentProblem("\n".join(map(str, built.errors)))
    return built


def variables_of(profile: Profile, spec: NodeSpec) -> dict[str, object]:
    """What templates may use: the profile's variables, the node's over them, and `node`."""
    return {
        **profile.variables,
        **spec.variables,
        "node": {
            "name": spec.name,
            "mac": str(spec.macs[0]),
            "macs": [str(mac) for mac in spec.macs],
            "profile": profile.name,
            "image": profile.image,
        },
    }
