"""The store: what the program keeps, as whole operations. Blocking; the server calls it in a
thread, the commands directly. Each operation is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from ..boot.actions import Action, Order
from ..boot.fleet import Event, Fleet, Node
from ..boot.lifecycle import Kind, may_start
from ..boot.site import Image, ImageSource, RegistryHost, Site
from ..boot.tokens import BootTokens
from ..dhcp.leasebook import Lease
from ..errors import StoreProblem, UnknownName
from ..values import Blob, Digest, Mac
from .adoption import adopt_all
from .blobs import BlobStore
from .clusters import (
    mark_ready,
    names_of,
    put_clusters,
    read_clusters,
    read_standings,
    rename_members,
)
from .database import change_count, open_database, reading, writing
from .directory import open_directory
from .discovery import discover
from .images import (
    drop_image,
    is_kept,
    needed_blobs,
    put_image,
    read_former,
    read_images,
)
from .leases import put_leases, read_leases
from .network_rows import to_dhcp
from .nodes import (
    append,
    last_events,
    open_boot,
    read_node,
    read_nodes,
    read_timeline,
)
from .orders import give_order, rearm
from .ownership import give_to_owner
from .replacement import with_replacements
from .rows import to_phone_home, to_registry, to_unknown
from .settings import put_setting, setting
from .site import Profiles, put_nodes, put_profiles, read_profiles
from .site_settings import put_site_settings


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
                read_profiles(connection),
                read_images(connection),
                setting(connection, "vendor-recipes", {}),
                read_former(connection),
                setting(connection, "boot", {}),
                to_dhcp(setting(connection, "dhcp", {})),
                unknown=to_unknown(setting(connection, "unknown", {})),
                clusters=read_clusters(connection),
                standings=read_standings(connection),
                phone_home=to_phone_home(setting(connection, "phone-home", {})),
            )

    def change_count(self) -> int:
        """Grows whenever another process writes (SQLite's data_version)."""
        return change_count(self._engine)

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
            lines = put_site_settings(connection, site)
            before = read_profiles(connection)
            lines += put_profiles(connection, site.profiles)
            names = names_of(connection)
            wanted, told = with_replacements(connection, site.nodes)
            lines += put_nodes(connection, wanted, Profiles(before, site.profiles), at)
            rename_members(connection, names)
            lines += told + adopt_all(connection, at)
            return lines + put_clusters(connection, site.clusters, at)

    # Leases

    def leases(self) -> tuple[Lease, ...]:
        with reading(self._engine) as connection:
            return read_leases(connection)

    def put_leases(self, leases: Sequence[Lease], now: int) -> None:
        """On the disk when it returns."""
        with writing(self._engine) as connection:
            put_leases(connection, leases, now)

    # Images

    def add_image(self, image: Image) -> None:
        """Put it in service under its name; another that had the name is kept as its former.

        Raises StoreProblem unless its blobs are here: whoever places them holds `blobs.guard()`
        until this is done.
        """
        with writing(self._engine) as connection:
            self._put_image(connection, image)

    def _put_image(self, connection: Connection, image: Image) -> None:
        # Within the transaction: `collect` deletes within one too.
        if not self.is_whole(image):
            raise StoreProblem(f"files of image '{image.name}' are not here any more: add it again")
        put_image(connection, image)

    def is_whole(self, image: Image) -> bool:
        return all(self.blobs.has(blob.digest) for blob in image.blobs())

    def image_of(self, source: ImageSource, digest: Digest) -> Image | None:
        """An image made of that manifest the same way, as if made from `source`; all its files
        are here. None: it has to be made."""
        with reading(self._engine) as connection:
            known = [*read_images(connection).values(), *read_former(connection).values()]
        for image in known:
            if image.imported:  # a bundle may say any digest of any files
                continue
            same = (image.digest, image.source.compression) == (digest, source.compression)
            if same and image.facts.arch is source.arch and self.is_whole(image):
                return replace(image, name=source.name, source=source)
        return None

    def former_images(self) -> dict[str, Image]:
        """By name, what each image was before its last update."""
        with reading(self._engine) as connection:
            return read_former(connection)

    def rollback_image(self, name: str) -> Image:
        """Swap an image and its former; the one now in service. UnknownName without a former."""
        with writing(self._engine) as connection:
            former = read_former(connection).get(name)
            if former is None:
                raise UnknownName(
                    f"image '{name}' has no former version here: "
                    "`kairos-netboot images add` brings any version, named by its digest"
                )
            present = read_images(connection)[name]
            key = present.source.verify_key
            if key and former.source.verify_key != key:
                raise StoreProblem(
                    f"the former version of image '{name}' was not checked with the key that it"
                    " must be signed with now: add it by its digest instead"
                )
            self._put_image(connection, former)
            return former

    def remove_image(self, name: str) -> None:
        """Forget it; raises StoreProblem while a profile names it or a node installs it."""
        with writing(self._engine) as connection:
            drop_image(connection, name)

    def garbage(self) -> tuple[Blob, ...]:
        """The blobs that no image, no former image and no booting node needs."""
        with reading(self._engine) as connection:
            return self._garbage(connection)

    def _garbage(self, connection: Connection) -> tuple[Blob, ...]:
        here, needed = self.blobs.all(), needed_blobs(connection)
        return tuple(blob for blob in here if blob.digest not in needed)

    def collect(self) -> tuple[Blob, ...]:
        """Delete the garbage; what was deleted. StoreProblem while an image is being added."""
        with self.blobs.alone():
            # Between the look and the deletion no boot may begin, and no image be put back.
            with writing(self._engine) as connection:
                garbage = self._garbage(connection)
                self.blobs.set_aside(garbage)
            self.blobs.sweep()
        return garbage

    # Nodes

    def record(self, events: Sequence[tuple[Event, str | None]]) -> list[Node]:
        """Append events, all or none; the nodes they changed, as they now stand."""
        with writing(self._engine) as connection:
            changed = {e.node for e, once in events if append(connection, e, once)}
            nodes = [read_node(connection, node) for node in sorted(changed)]
            ready = {event.node for event, _ in events if event.kind is Kind.READY}
            mark_ready(connection, [node for node in nodes if node.id in ready])
            return nodes

    def begin_boot(
        self,
        node: Node,
        tokens: BootTokens,
        event: Event,
        image: Image,
        action: Action = Action.INSTALL,
    ) -> Node | None:
        """Count one start of what the event says and open its document. None where the node may
        not start that any more, or it, its order or `image` is another since a moment.

        The image's blobs are kept as long as the node may fetch them."""
        with writing(self._engine) as connection:
            now = read_node(connection, node.id)
            same = now.spec is not None and _asked_of(now, action) == _asked_of(node, action)
            if not same or not may_start(now.state, now.boots, event.kind):
                return None
            if not is_kept(connection, image):
                return None
            append(connection, event)
            open_boot(connection, node.id, tokens, image, action)
            return read_node(connection, node.id)

    def rearm(self, name: str, at: datetime) -> Node:
        """Raises UnknownName for a node the site does not name."""
        with writing(self._engine) as connection:
            return rearm(connection, name, at)

    def reading(self) -> AbstractContextManager[Connection]:
        """For whole operations that live in other modules: a transaction that sees one moment."""
        return reading(self._engine)

    def writing(self) -> AbstractContextManager[Connection]:
        """The same, with the write lock from its start."""
        return writing(self._engine)

    def set_order(self, name: str, order: Order | None, at: datetime) -> Node:
        """What a named node does at its next boot; None takes it back. Raises UnknownName."""
        with writing(self._engine) as connection:
            return give_order(connection, name, order, at)

    def discover(self, seen: Mapping[Mac, Mapping[str, str]], at: datetime) -> list[Node]:
        """Record what machines that asked told of themselves; those that nobody named too, as
        long as there are not too many of them. The nodes as they now stand."""
        with writing(self._engine) as connection:
            return discover(connection, seen, at)

    # Settings

    def registries(self) -> dict[str, RegistryHost]:
        """How the site file says that registries are reached, by host."""
        with reading(self._engine) as connection:
            rows = setting(connection, "registries", {})
        return {host: to_registry(host, row) for host, row in rows.items()}

    def set_server_url(self, url: str) -> None:
        with writing(self._engine) as connection:
            put_setting(connection, "server-url", url)

    def server_url(self) -> str:
        """Where `serve` was last reachable; empty before its first start."""
        with reading(self._engine) as connection:
            return str(setting(connection, "server-url", ""))


def _asked_of(node: Node, action: Action) -> tuple[object, ...]:
    """What a boot goes by, besides the state: as it was when it was decided on. A boot from memory
    writes disks where the node was armed, and so goes by its state, too."""
    state = node.state if action is Action.RAM else None
    return node.spec, node.macs, node.order, node.denied, state
