"""Users: their shape, and that one of them can administrate the machine."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from .findings import Finding, error
from .yamlnodes import find, is_other, items, kind, to_value, triples

_OR = "or Kairos refuses to install"


def check_users(root: yaml.Node) -> Iterator[Finding]:
    yield from _shapes(root)
    yield from _admin(root)
    yield from _hardened(root)


def _shapes(root: yaml.Node) -> Iterator[Finding]:
    users = find(root, "users")
    if is_other(users, yaml.SequenceNode):
        yield error(users, "users", f"{kind(users)} is here: write a list (- name: kairos), {_OR}")
    for position, user in enumerate(items(users)):
        yield from _user_shape(user, f"users[{position}]", needs_name=True)
    for key, entry in _stage_entries(root):
        named = find(entry, "users")
        if is_other(named, yaml.MappingNode):
            yield error(
                named,
                f"{key}.users",
                f"{kind(named)} is here: in a stage, users are a mapping (kairos: {{…}}), "
                "or Kairos ignores every stage",
            )
        for name, _, user in triples(named):
            yield from _user_shape(user, f"{key}.users.{name}", needs_name=False)


def _user_shape(user: yaml.Node, key: str, *, needs_name: bool) -> Iterator[Finding]:
    if not isinstance(user, yaml.MappingNode):
        yield error(user, key, f"{kind(user)} is here: a user is a mapping, {_OR}")
        return
    if needs_name and not to_value(find(user, "name")):
        yield error(user, key, "this user has no name: add 'name: kairos'")
    for field in ("groups", "ssh_authorized_keys"):
        node = find(user, field)
        if is_other(node, yaml.SequenceNode):
            yield error(
                node, f"{key}.{field}", f"{kind(node)} is here: write a list (- item), {_OR}"
            )


def _admin(root: yaml.Node) -> Iterator[Finding]:
    """Since 3.3 Kairos makes no user of its own and refuses to install without an admin."""
    if to_value(find(root, "install", "nousers")) is True:
        return
    if any(_is_admin(user) for user in _all_users(root)):
        return
    yield error(
        find(root, "users") or root,
        "users",
        "no user is in the group admin: add 'groups: [admin]' to one, "
        "or set 'install.nousers: true'",
    )


def _is_admin(user: yaml.Node) -> bool:
    groups = [to_value(group) for group in items(find(user, "groups"))]
    return "admin" in groups or to_value(find(user, "primary_group")) == "admin"


def _hardened(root: yaml.Node) -> Iterator[Finding]:
    """Kairos looks at the top-level users only, and refuses the document without a key."""
    node = find(root, "install", "ssh_hardening")
    if node is None or to_value(node) is not True:
        return
    if not any(items(find(user, "ssh_authorized_keys")) for user in items(find(root, "users"))):
        yield error(
            node,
            "install.ssh_hardening",
            "no user under the top-level 'users' has ssh_authorized_keys: nobody could log in",
        )


def _all_users(root: yaml.Node) -> Iterator[yaml.Node]:
    yield from items(find(root, "users"))
    for _, entry in _stage_entries(root):
        yield from (user for _, _, user in triples(find(entry, "users")))


def _stage_entries(root: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    for stage, _, entries in triples(find(root, "stages")):
        for position, entry in enumerate(items(entries)):
            yield f"stages.{stage}[{position}]", entry
