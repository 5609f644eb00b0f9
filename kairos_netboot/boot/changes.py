"""What `apply` changes, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields

from .actions import Action
from .fleet import Node
from .identity import identity_of
from .lifecycle import State
from .matching import Match
from .network import DhcpSite
from .site import NodeSpec, Profile

# What the site file calls a field, where it is not its name.
_KEYS = {
    "templates": "cloud-config",
    "kernel_args": "kernel-args",
    "exits": "exit",
    "documents_opened_by": "document-key",
}


def profile_changes(before: Mapping[str, Profile], after: Mapping[str, Profile]) -> list[str]:
    """One line for each profile added, changed or removed."""
    lines = [f"profile {name}: added" for name in after if name not in before]
    lines += [
        f"profile {name}: {_differences(before[name], profile)}"
        for name, profile in after.items()
        if name in before and before[name] != profile
    ]
    return lines + [f"profile {name}: removed" for name in before if name not in after]


def setting_changes(
    before: tuple[Mapping[str, str], DhcpSite], after: tuple[Mapping[str, str], DhcpSite]
) -> list[str]:
    """One line for each of `boot` and `dhcp` that changed."""
    lines = ["boot: changed"] if dict(before[0]) != dict(after[0]) else []
    old, new = before[1], after[1]
    if (old.mode, old.listen) != (new.mode, new.listen):
        lines.append(f"dhcp: {new.mode}, listening on {new.listen}, when `serve` starts next")
    elif old != new:
        lines.append("dhcp: changed")
    return lines


def armed_sentence(profile: Profile | None) -> str:
    """What an armed node of that profile does."""
    if profile is None or profile.action is Action.INSTALL:
        return "installs when it next boots from the network"
    if profile.action is Action.RAM and profile.ram.writes_disks:
        return "runs from memory and prepares its disk when it next boots from the network"
    if profile.action is Action.MENU and Action.INSTALL in profile.menu.items:
        return "its menu offers the installer when it next boots from the network"
    return f"to no effect: profile '{profile.name}' does '{profile.action}'"


def node_change(match: Match, profile: Profile | None = None) -> str:
    """One sentence; empty where nothing changes. `profile`: the one that it has from now on."""
    spec, node = match.spec, match.node
    if node is None or node.state is State.DISCOVERED:
        return f"named, profile '{spec.profile}': armed, {armed_sentence(profile)}"
    if node.spec is None:
        return f"named again, profile '{spec.profile}': stays {node.state}"
    if node.spec == spec:
        return ""
    line = f"{_differences(node.spec, spec)}: stays {node.state}"
    if match.cards and set(node.macs).isdisjoint(match.cards):
        line += f"; if it is another machine now: `kairos-netboot nodes reinstall {spec.name}`"
    return line


def waiting_sentence(spec: NodeSpec) -> str:
    """For a node whose profile the selectors choose."""
    known_by = f" by its {identity_of(spec)}" if identity_of(spec) and not spec.macs else ""
    return f"named{known_by}: selectors choose its profile when it tells what they ask for"


def kept_sentence(spec: NodeSpec) -> str:
    """For a node that is given a card of a machine that was installed, or failed, before."""
    return (
        f"named, profile '{spec.profile}'; a card of it was an installed machine's, so it boots "
        f"its disk: to install it, `kairos-netboot nodes reinstall {spec.name}`"
    )


def disputed_sentence(spec: NodeSpec, telling: Iterable[Node]) -> str:
    """For machines that all tell what a node is known by."""
    cards = ", ".join(mac for node in telling for mac in node.macs)
    return (
        f"node {spec.name}: several machines tell its {identity_of(spec)}, so it is none of them: "
        f"say by MAC which one it is ({cards})"
    )


def disarmed_sentence(spec: NodeSpec) -> str:
    """For a node that was armed for something that its profile does not do any more."""
    return (
        f"profile '{spec.profile}' does something else now: not armed for it until "
        f"`kairos-netboot nodes reinstall {spec.name}`"
    )


def _differences(before: Profile | NodeSpec, after: Profile | NodeSpec) -> str:
    changed = [
        _KEYS.get(field.name, field.name)
        for field in fields(before)
        if getattr(before, field.name) != getattr(after, field.name)
    ]
    return ", ".join(changed) + " changed"
