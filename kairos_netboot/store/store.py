"""The store: what the program keeps, as whole operations. Blocking; the server calls it in a
thread, the commands directly. Each operation is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..boot.changes import kept_sentence, node_change, profile_changes
from ..boot.fleet import Event, Fleet, Node
from ..boot.lifecycle import MAX_BOOTS, MAY_INSTALL, SETTLED, Kind, State
from ..boot.matching import Match, match_nodes
from ..boot.site import Image, Profile, Site
from ..boot.tokens import BootTokens
from ..errors import UnknownName
from ..values import Digest, Mac
from .blobs import BlobStore
from .database import open_database, reading, writing
from .directory import open_directory
from .nodes import (
    MAX_DISCOVERED,
    absorb,
    add_node,
    any_settled,
    append,
    close_document,
    close_reports,
    last_events,
    open_boot,
    read_node,
    read_nodes,
    read_timeline,
    set_facts,
    set_macs,
)
from .ownership import give_to_owner
from .rows import from_profile, from_spec, to_facts, to_files, to_profile
from .schema import images, macs, nodes, profiles, settings


class Store:
    """The state directory. Raises StoreProblem where it cannot be made, owned or read.

    `user`: whose it shall be when root makes it; empty for the usual one.
    """

    def __init__(self, directory: Path, user: str = "") -> None:
        self.directory = directory
        self.owner = open_directory(directory, user)
        self._engine = open_database(directory / "state.db")
        self.blobs = BlobStore(directory / "blobs")
        give_to_owner(directory / "blobs", directory)

    def close(self) -> None:
        self._engine.dispose()

    # What is there

    def fleet(self) -> Fleet:
        with reading(self._engine) as connection:
            return Fleet(
                read_nodes(connection),
                _read_profiles(connection),
                _read_images(connection),
                _setting(connection, "vendor-recipes", {}),
            )

    def change_count(self) -> int:
        """Grows whenever another process writes (SQLite's data_version)."""
        with self._engine.connect() as connection:
            return int(connection.execute(text("PRAGMA data_version")).scalar_one())

    def timeline(self, node: int) -> tuple[Event, ...]:
        with reading(self._engine) as connection:
            return read_timeline(connection, node)

    def last_events(self) -> Mapping[int, Event]:
        """The newest event of each node, by the node's id."""
        with reading(self._engine) as connection:
            return last_events(connection)

    # The site

    def apply(self, site: Site, at: datetime) -> list[str]:
        """Make the site so; what changed, a sentence each."""
        with writing(self._engine) as connection:
            lines = profile_changes(_read_profiles(connection), site.profiles)
            connection.execute(delete(profiles))
            for profile in site.profiles.values():
                row = {"name": profile.name, "spec": from_profile(profile)}
                connection.execute(insert(profiles).values(row))
            _set(connection, "vendor-recipes", dict(site.vendor_recipes))
            return lines + _apply_nodes(connection, site, at)

    # Images

    def add_image(self, image: Image) -> None:
        with writing(self._engine) as connection:
            row = {
                "name": image.name,
                "reference": image.reference,
                "digest": image.digest,
                "facts": asdict(image.facts),
                "files": asdict(image.files),
            }
            connection.execute(
                sqlite_insert(images)
                .values(row)
                .on_conflict_do_update(index_elements=["name"], set_=row)
            )

    # Nodes

    def record(self, events: Sequence[tuple[Event, str | None]]) -> list[Node]:
        """Append events, all or none; the nodes they changed, as they now stand."""
        with writing(self._engine) as connection:
            changed = {e.node for e, once in events if append(connection, e, once)}
            return [read_node(connection, node) for node in sorted(changed)]

    def begin_boot(self, node: Node, tokens: BootTokens, event: Event) -> Node | None:
        """Count one start of the installer and open its document. None where the node may not
        install any more, has used up its starts, or is not what `node` says since a moment."""
        with writing(self._engine) as connection:
            now = read_node(connection, node.id)
            same = now.spec is not None and (now.spec, now.macs) == (node.spec, node.macs)
            if not same or now.state not in MAY_INSTALL or now.boots >= MAX_BOOTS:
                return None
            append(connection, event)
            open_boot(connection, node.id, tokens)
            return read_node(connection, node.id)

    def rearm(self, name: str, at: datetime) -> Node:
        """Raises UnknownName for a node the site does not name."""
        with writing(self._engine) as connection:
            node = Fleet(read_nodes(connection)).named(name)
            if node.spec is None:
                raise UnknownName(f"nobody named {name}: give it a node in the site file first")
            sentence = "armed again by hand: installs when it next boots from the network"
            append(connection, Event(node=node.id, at=at, kind=Kind.REARMED, text=sentence))
            close_document(connection, node.id)
            close_reports(connection, node.id)
            return read_node(connection, node.id)

    def discover(self, seen: Mapping[Mac, Mapping[str, str]], at: datetime) -> list[Node]:
        """Record what machines that asked told of themselves; those that nobody named too, as
        long as there are not too many of them. The nodes as they now stand."""
        with writing(self._engine) as connection:
            found = [_discover(connection, mac, at) for mac in seen]
            for node, facts in zip(found, seen.values(), strict=True):
                if node is not None:
                    set_facts(connection, node, facts)
            return [read_node(connection, node) for node in found if node is not None]

    # Settings

    def set_server_url(self, url: str) -> None:
        with writing(self._engine) as connection:
            _set(connection, "server-url", url)

    def server_url(self) -> str:
        """Where `serve` was last reachable; empty before its first start."""
        with reading(self._engine) as connection:
            return str(_setting(connection, "server-url", ""))


def _discover(connection: Connection, mac: Mac, at: datetime) -> int | None:
    node = connection.execute(select(macs.c.node).where(macs.c.mac == mac)).scalar()
    if node is not None:
        return int(node)
    unnamed = select(func.count()).where(nodes.c.name.is_(None))
    if connection.execute(unnamed).scalar_one() >= MAX_DISCOVERED:
        return None
    node = add_node(connection, (mac,))
    sentence = "asked to boot from the network; nobody named it, so it got no answer"
    append(connection, Event(node=node, at=at, kind=Kind.DISCOVERED, text=sentence))
    return node


def _apply_nodes(connection: Connection, site: Site, at: datetime) -> list[str]:
    matching = match_nodes(read_nodes(connection), site.nodes)
    # Two nodes may have swapped names: all are taken off before any is put on.
    connection.execute(update(nodes).values(name=None, spec=None))
    lines = [line for match in matching.matches for line in _put(connection, match, at)]
    for node in matching.removed:
        sentence = f"taken out of the site: gets no answers; it was {node.state}"
        append(connection, Event(node=node.id, at=at, kind=Kind.SETTINGS, text=sentence))
        close_document(connection, node.id)
        lines.append(f"node {node.name}: {sentence}")
    return lines


def _put(connection: Connection, match: Match, at: datetime) -> list[str]:
    """Make one node so. A card that was an installed machine's brings no installer with it."""
    spec, known = match.spec, match.node
    node = known.id if known else add_node(connection, spec.macs)
    for other in match.absorbed:
        absorb(connection, node, other.id)
    set_macs(connection, node, spec.macs)
    row = {"name": spec.name, "spec": from_spec(spec)}
    connection.execute(update(nodes).where(nodes.c.id == node).values(row))
    lines = [f"node {o.name}: is part of {spec.name} now" for o in match.absorbed if o.spec]
    kind, sentence = _what_happens(connection, match)
    if sentence:
        append(connection, Event(node=node, at=at, kind=kind, text=sentence))
        lines.append(f"node {spec.name}: {sentence}")
    return lines


def _what_happens(connection: Connection, match: Match) -> tuple[Kind, str]:
    state = match.node.state if match.node else State.DISCOVERED
    fresh = state is State.DISCOVERED
    before = set(match.node.macs) if match.node and not fresh else set()
    if state not in SETTLED and any_settled(connection, set(match.spec.macs) - before):
        return Kind.KEPT, kept_sentence(match.spec)
    return Kind.NAMED if fresh else Kind.SETTINGS, node_change(match)


def _read_profiles(connection: Connection) -> dict[str, Profile]:
    rows = connection.execute(select(profiles).order_by(profiles.c.name))
    return {row.name: to_profile(row.name, row.spec) for row in rows}


def _read_images(connection: Connection) -> dict[str, Image]:
    rows = connection.execute(select(images).order_by(images.c.name))
    return {
        row.name: Image(
            name=row.name,
            reference=row.reference,
            digest=Digest(row.digest),
            facts=to_facts(row.facts),
            files=to_files(row.files),
        )
        for row in rows
    }


def _setting(connection: Connection, key: str, default: object) -> Any:
    row = connection.execute(select(settings.c.value).where(settings.c.key == key)).one_or_none()
    return default if row is None else row.value


def _set(connection: Connection, key: str, value: object) -> None:
    row = {"key": key, "value": value}
    connection.execute(
        sqlite_insert(settings).values(row).on_conflict_do_update(index_elements=["key"], set_=row)
    )
