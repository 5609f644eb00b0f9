"""`images add | list | show`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..boot.site import Image
from ..errors import UnknownName
from ..images.pull import add_image
from ..values import Arch
from .app import Common, columns, opened, say
from .progress import progress

app = typer.Typer(help="The images, taken apart into boot files.", no_args_is_help=True)


@app.command()
def add(
    context: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REF",
            help="registry/name:tag, oci-archive:FILE or oci:DIR.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str, typer.Option(help="What to call it here.", show_default="from the reference")
    ] = "",
    insecure: Annotated[bool, typer.Option(help="Speak plain HTTP to the registry.")] = False,
    arch: Annotated[Arch, typer.Option(help="Which platform of a multi-platform image.")] = (
        Arch.AMD64
    ),
    compression: Annotated[
        str, typer.Option(help="Of the squashfs: auto, zstd, gzip or xz.")
    ] = "auto",
) -> None:
    """Take kernel, initrd and root filesystem out of an image."""
    common: Common = context.obj
    with opened(common.state) as store, progress() as told:
        image = add_image(
            reference,
            name=name or None,
            store=store.blobs,
            insecure=insecure,
            arch=arch,
            compression=compression,
            progress=told,
        )
        store.add_image(image)
    say(f"image {image.name}: {_summary(image)}")


def _summary(image: Image) -> str:
    facts, files = image.facts, image.files
    size = sum(blob.size for blob in (files.kernel, files.initrd, files.rootfs)) / 1e6
    what = " ".join(x for x in (facts.flavor, facts.flavor_release, facts.version) if x)
    return f"{what or 'no release facts'}, kernel {facts.kernel_version or '?'}, {size:.1f} MB"


@app.command("list")
def list_images(context: typer.Context) -> None:
    """Every image known here."""
    common: Common = context.obj
    with opened(common.state) as store:
        images = store.fleet().images
    if not images:
        say("no images yet: `kairos-netboot images add REF`")
        return
    rows = [
        (name, image.facts.arch, _summary(image), image.digest[:19], image.reference)
        for name, image in images.items()
    ]
    for line in columns([("NAME", "ARCH", "WHAT", "DIGEST", "SOURCE"), *rows]):
        say(line)


@app.command()
def show(context: typer.Context, name: Annotated[str, typer.Argument()]) -> None:
    """All that is known of one image."""
    common: Common = context.obj
    with opened(common.state) as store:
        image = store.fleet().images.get(name)
        if image is None:
            raise UnknownName(f"no image '{name}' here: see `kairos-netboot images list`")
        rows = [("name", name), ("source", image.reference), ("digest", image.digest)]
        for fact in ("arch", "flavor", "flavor_release", "variant", "model", "version"):
            rows.append((fact.replace("_", " "), getattr(image.facts, fact) or "-"))
        rows.append(("kernel version", image.facts.kernel_version or "-"))
        for part in ("kernel", "initrd", "rootfs"):
            blob = getattr(image.files, part)
            rows.append((part, f"{blob.digest} ({blob.size / 1e6:.1f} MB)"))
    for line in columns(rows):
        say(line)
