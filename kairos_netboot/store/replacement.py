"""A machine that takes over another's place: its name, its role, its secrets.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, update
from sqlalchemy.dialects.sqlite import insert

from ..boot.fleet import Event, Fleet, Node
from ..boot.lifecycle import MAY_WIPE, SETTLED, Kind, State
from ..boot.site import NodeSpec, Origin
from ..errors import InvalidValue, SiteMistake, UnknownName
from ..values import Mac
from .approval import find_machine
from .given import give_name
from .nodes import add_node, any_settled, append, close_boots, read_node, read_nodes
from .orders import named_node
from .rows import from_spec
from .schema import agents, nodes, settled_macs
from .settings import put_setting, setting
from .site import read_profiles

# What the site file still says of nodes whose machines were replaced: by name, the old machine's
# identity and the new one's cards.
_KEY = "replacements"


def replace_node(
    connection: Connection, old_name: str, new: str, at: datetime, *, force: bool = False
) -> list[str]:
    """`new`, a MAC or a machine that is known, is `old_name` from now on, and armed; what changed,
    a sentence each. `force`: even where a system was installed on it. Raises UnknownName and
    InvalidValue."""
    old = named_node(connection, old_name)
    assert old.spec is not None  # it is named
    machine = _machine(connection, new)
    _check(connection, old, machine, force=force)
    spec = _taken_over(old.spec, machine.macs)
    connection.execute(update(nodes).where(nodes.c.id == machine.id).values(name=None, spec=None))
    retired = _retire(connection, old, machine, at)
    row = {"name": spec.name, "spec": from_spec(spec)}
    connection.execute(update(nodes).where(nodes.c.id == machine.id).values(row))
    if spec.origin is Origin.SITE:
        _remember(connection, old.spec, machine.macs)
    else:
        give_name(connection, spec.name, machine.macs[0])
    return [retired, _arm(connection, machine, spec, at)]


def _machine(connection: Connection, text: str) -> Node:
    """One that is known, or a card that never asked."""
    fleet = Fleet(read_nodes(connection))
    try:
        return find_machine(fleet, text)
    except UnknownName:
        try:
            mac = Mac(text)
        except InvalidValue:
            mac = None
        if mac is None:
            raise
    return read_node(connection, add_node(connection, (mac,)))


def _check(connection: Connection, old: Node, new: Node, *, force: bool) -> None:
    if new.id == old.id:
        raise InvalidValue(f"{old.name} cannot replace itself: `nodes reinstall` installs it anew")
    if not new.macs:
        raise InvalidValue(f"{new.name} has no network card that is known")
    if new.denied:
        raise InvalidValue(f"{new.name} was denied: `kairos-netboot nodes approve` it first")
    if new.spec is not None and new.spec.origin is Origin.SITE:
        raise InvalidValue(
            f"{new.name} is a node of the site file: take it out there and apply, then replace"
        )
    used = new.state in SETTLED or new.state in MAY_WIPE or any_settled(connection, new.macs)
    if used and not force:
        raise InvalidValue(
            f"{new.name} was a machine of this site before, and what is on its disk would be "
            "overwritten: --force says that it may be"
        )


def _taken_over(spec: NodeSpec, macs: tuple[Mac, ...]) -> NodeSpec:
    """All but what is the old machine's own: how it is known, and its power controller."""
    return replace(spec, macs=macs, uuid="", serial="", asset="", power=None)


def _retire(connection: Connection, old: Node, new: Node, at: datetime) -> str:
    """Nameless, and never installed by itself again."""
    said = f"replaced by {', '.join(new.macs)}: has no name any more; it was {old.state}"
    append(connection, Event(node=old.id, at=at, kind=Kind.REPLACED, text=said))
    if old.state in MAY_WIPE:
        taken = "replaced: its disks are not to be erased"
        append(connection, Event(node=old.id, at=at, kind=Kind.DISARMED, text=taken))
    kept = "replaced: gets no installer by itself"
    append(connection, Event(node=old.id, at=at, kind=Kind.KEPT, text=kept))
    close_boots(connection, old.id)
    for mac in old.macs:
        connection.execute(insert(settled_macs).values(mac=mac).on_conflict_do_nothing())
    connection.execute(update(nodes).where(nodes.c.id == old.id).values(name=None, spec=None))
    connection.execute(update(agents).where(agents.c.node == old.id).values(key=""))
    return f"machine {', '.join(old.macs) or '#' + str(old.id)}: {said}"


def _arm(connection: Connection, machine: Node, spec: NodeSpec, at: datetime) -> str:
    profile = read_profiles(connection).get(spec.profile)
    arms = profile is not None and profile.arms
    close_boots(connection, machine.id)
    kind = Kind.REARMED if arms else Kind.SETTINGS
    if machine.state is State.DISCOVERED:
        kind = Kind.NAMED if arms else Kind.LISTED
    does = "armed, installs when it next boots from the network" if arms else "armed for nothing"
    said = f"takes the place of the machine that was {spec.name}: {does}"
    append(connection, Event(node=machine.id, at=at, kind=kind, text=said))
    return f"node {spec.name}: {', '.join(machine.macs)} {said}"


def _remember(connection: Connection, old: NodeSpec, macs: tuple[Mac, ...]) -> None:
    notes: dict[str, Any] = setting(connection, _KEY, {})
    earlier = notes.get(old.name, {"old": {"macs": [], "shows": []}})["old"]
    shows = [*earlier["shows"], *(text for text in (old.uuid, old.serial, old.asset) if text)]
    before = {"macs": [*earlier["macs"], *old.macs], "shows": shows}
    note = {"old": before, "new": list(macs)}
    put_setting(connection, _KEY, {**notes, old.name: note})


def with_replacements(
    connection: Connection, wanted: Mapping[str, NodeSpec]
) -> tuple[dict[str, NodeSpec], list[str]]:
    """The nodes of a site file that may still say machines that were replaced; and what to write
    there, a sentence each."""
    notes: dict[str, Any] = setting(connection, _KEY, {})
    stale = {n: note for n, note in notes.items() if n in wanted and _is_old(wanted[n], note)}
    if stale != notes:
        put_setting(connection, _KEY, stale)
    known, lines = dict(wanted), []
    for name, note in stale.items():
        macs = tuple(map(Mac, note["new"]))
        _check_claims(wanted, name, macs)
        known[name] = _taken_over(wanted[name], macs)
        lines.append(
            f"node {name}: its machine was replaced, and stays so: write `macs: "
            f"[{', '.join(macs)}]` into the site file, which still says the old one's"
        )
    return known, lines


def _is_old(spec: NodeSpec, note: Mapping[str, Any]) -> bool:
    """Whether the site file says the old machine; else a person has said another since."""
    if not set(spec.macs).isdisjoint(note["new"]):
        return False
    shows = {spec.uuid, spec.serial, spec.asset} - {""}
    return bool(shows & set(note["old"]["shows"]) or set(spec.macs) & set(note["old"]["macs"]))


def _check_claims(wanted: Mapping[str, NodeSpec], name: str, macs: tuple[Mac, ...]) -> None:
    for other in wanted.values():
        if other.name != name and not set(other.macs).isdisjoint(macs):
            raise SiteMistake(
                f"node '{other.name}' of the site file is the machine that replaced '{name}' "
                f"({', '.join(macs)}): write it as the macs of '{name}', and only there"
            )
