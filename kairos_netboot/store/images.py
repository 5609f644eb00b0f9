"""Images, and which blobs they and the nodes need. Each works inside its caller's transaction."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..boot.lifecycle import State
from ..boot.site import Image
from ..errors import StoreProblem, UnknownName
from ..values import Digest
from .nodes import read_node
from .rows import from_image, to_image
from .schema import images, nodes
from .site import read_profiles

# A node in one of these may fetch its boot files at any moment, again and again.
_FETCHING = (State.BOOTING, State.INSTALLING, State.LIVE, State.WIPING)


def read_images(connection: Connection) -> dict[str, Image]:
    rows = connection.execute(select(images).order_by(images.c.name)).mappings()
    return {row["name"]: to_image(row["name"], dict(row)) for row in rows}


def read_former(connection: Connection) -> dict[str, Image]:
    """By name, what had the name before."""
    wanted = select(images.c.name, images.c.former).where(images.c.former.is_not(None))
    rows = connection.execute(wanted.order_by(images.c.name))
    return {row.name: to_image(row.name, row.former) for row in rows}


def put_image(connection: Connection, image: Image) -> None:
    """Under its name; one with other files becomes its former."""
    present = read_images(connection).get(image.name)
    row = {"name": image.name, **from_image(image)}
    if present is not None and (present.digest, present.files) != (image.digest, image.files):
        row["former"] = from_image(present)
    connection.execute(
        sqlite_insert(images).values(row).on_conflict_do_update(index_elements=["name"], set_=row)
    )


def drop_image(connection: Connection, name: str) -> None:
    """With its former. Raises UnknownName, and StoreProblem while somebody needs it."""
    known = [i[name] for i in (read_images(connection), read_former(connection)) if name in i]
    if not known:
        raise UnknownName(f"no image '{name}' here: see `kairos-netboot images list`")
    for profile in read_profiles(connection).values():
        if profile.image == name:
            raise StoreProblem(
                f"profile '{profile.name}' installs image '{name}': "
                "take it out of the site file and `kairos-netboot apply` that first"
            )
    for node, digests in _fetching(connection).items():
        if any(digests.issuperset(blob.digest for blob in image.files) for image in known):
            raise StoreProblem(
                f"{read_node(connection, node).name} is being installed with image '{name}': "
                "wait until it is done"
            )
    connection.execute(delete(images).where(images.c.name == name))


def is_kept(connection: Connection, image: Image) -> bool:
    """Whether it is in service under its name, or was until the last update."""
    former = read_former(connection).get(image.name)
    return image in (read_images(connection).get(image.name), former)


def needed_blobs(connection: Connection) -> frozenset[Digest]:
    """Of the images, of what they were before, and of what nodes are booting."""
    known = [*read_images(connection).values(), *read_former(connection).values()]
    images_need = {blob.digest for image in known for blob in image.blobs()}
    return frozenset(images_need.union(*_fetching(connection).values()))


def _fetching(connection: Connection) -> dict[int, frozenset[Digest]]:
    """By node, what it may still fetch: all parts of the images that it has been started with."""
    wanted = select(nodes.c.id, nodes.c.boot_files).where(nodes.c.state.in_(_FETCHING))
    rows = connection.execute(wanted.order_by(nodes.c.id))
    return {row.id: frozenset(map(Digest, row.boot_files)) for row in rows}
