"""The `phonehome:` block: what a node's agent needs to register here (docs/phone-home.md)."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from ..boot.fleet import Fleet, Node
from ..boot.phone import PhoneHome
from ..boot.site import NodeSpec, Profile
from ..boot.tokens import phone_token
from ..boot.urls import Urls
from .findings import Finding, error
from .yamlnodes import find, is_null, list_node, map_node, text_node

_KEY = "phonehome"


def phone_home_of(fleet: Fleet, node: Node) -> PhoneHome:
    """The profile's, else the site's."""
    profile = fleet.profile_of(node)
    return (profile.phone_home if profile else None) or fleet.phone_home


def phone_block(
    phone: PhoneHome, profile: Profile, spec: NodeSpec, urls: Urls, report_token: str
) -> yaml.Node | None:
    """Ours, to be merged into the document; None where agents do not phone home."""
    if not phone.enabled:
        return None
    cluster = spec.cluster or profile.cluster
    labels = {"node": spec.name, "profile": profile.name}
    if cluster:
        labels["cluster"] = cluster
    block = {
        "url": text_node(urls.base),
        "registration_token": text_node(phone_token(report_token)),
        "group": text_node(cluster or profile.name),
        "labels": map_node({key: text_node(value) for key, value in labels.items()}),
        "heartbeat_interval": text_node(f"{phone.heartbeat}s"),
        "allowed_commands": list_node([text_node(command) for command in phone.commands]),
    }
    return map_node({_KEY: map_node(block)})


def phone_clash(root: yaml.Node, ours: yaml.Node | None) -> Iterator[Finding]:
    """A block of the templates' own beside ours: an agent phones home to one server."""
    own = find(root, _KEY) if isinstance(root, yaml.MappingNode) else None
    if ours is not None and own is not None and not is_null(own):
        yield error(
            own,
            _KEY,
            "this server writes the block itself: take it out of the template, or switch ours off "
            "with `phone-home: {enabled: false}` in the profile",
        )


def may_run(phone: PhoneHome, command: str) -> bool:
    return phone.enabled and command in phone.commands
