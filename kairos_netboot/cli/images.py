"""`images …`: what can be booted, and the room it takes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from ..boot.site import Compression, Image, ImageSource, Medium
from ..errors import ImageProblem, InvalidValue, NetbootError, UnknownName
from ..images.pull import add_image, with_authority
from ..images.reference import (
    RegistryReference,
    anchored,
    check_name,
    default_name,
    parse,
    shown,
)
from ..store.store import Store
from ..values import IMAGE_ARCHES, Arch, Blob
from .app import Common, columns, opened, say
from .keys import read_private_key, read_public_key
from .progress import progress

app = typer.Typer(help="Images: container images made into boot files.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The image's name here.")]
Insecure = Annotated[bool, typer.Option("--insecure", help="Speak plain HTTP to the registry.")]
Authority = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", help="The authority of the registry's certificate."),
]


def _platform(text: str) -> Arch:
    name = text.removeprefix("linux/")
    if name not in IMAGE_ARCHES:
        raise typer.BadParameter(f"'{text}' is none of {', '.join(IMAGE_ARCHES)}")
    return Arch(name)


@app.command()
def add(
    context: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            help="registry/name:tag, oci:DIR, oci-archive:FILE, docker-archive:FILE, dir:ROOTFS,"
            " iso:FILE, uki:FILE or files:kernel=…,initrd=…,rootfs=…",
        ),
    ],
    name: Annotated[
        str, typer.Option(help="What to call it.", show_default="the last word of the reference")
    ] = "",
    insecure: Insecure = False,
    ca: Authority = None,
    platform: Annotated[
        Arch,
        typer.Option(
            parser=_platform, metavar="ARCH", help="Which platform: amd64, arm64 or riscv64."
        ),
    ] = Arch.AMD64,
    compression: Annotated[Compression, typer.Option(help="Of the squashfs.")] = Compression.AUTO,
    verify_key: Annotated[
        Path | None,
        typer.Option(metavar="KEY.pub", help="The key that must have signed it, as cosign does."),
    ] = None,
) -> None:
    """Take kernel, initrd and root filesystem out of an image."""
    common: Common = context.obj
    parsed = anchored(parse(reference), Path.cwd())
    is_registry = isinstance(parsed, RegistryReference)
    if ca is not None and not is_registry and "https://" not in reference:
        raise InvalidValue("--ca is for registries and https:// addresses: leave it out")
    source = ImageSource(
        name=check_name(name or default_name(parsed)),
        reference=reference if is_registry else str(parsed),
        arch=platform,
        insecure=insecure,
        compression=compression,
        verify_key=read_public_key(verify_key) if verify_key else "",
        ca=str(ca.absolute()) if ca else "",
    )
    with opened(common.state) as store, progress() as tell:
        image = add_image(source, store, store.registries(), tell)
    say(f"image {image.name}: {_summary(image)}")


def _summary(image: Image) -> str:
    facts, size = image.facts, _size(image.files)
    what = " ".join(x for x in (facts.flavor, facts.flavor_release, facts.version) if x)
    if isinstance(image.files, Medium):
        size = f"{image.files.kind} for UEFI HTTP Boot ({facts.arch}), {size}"
    return f"{what or 'no release facts'}, kernel {facts.kernel_version or '?'}, {size}"


def _size(blobs: Iterable[Blob]) -> str:
    return f"{sum(blob.size for blob in blobs) / 1e6:.1f} MB"


@app.command("list")
def list_(context: typer.Context) -> None:
    """The images that are here."""
    common: Common = context.obj
    with opened(common.state) as store:
        images = store.fleet().images
    if not images:
        say("no images yet: kairos-netboot images add REFERENCE")
        return
    rows = [("NAME", "VERSION", "ARCH", "KERNEL", "SOURCE")]
    for image in images.values():
        version, kernel = image.facts.version or "-", image.facts.kernel_version or "-"
        rows.append((image.name, version, image.facts.arch, kernel, shown(image.source.reference)))
    for line in columns(rows):
        say(line)


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Where an image came from and what was read from it."""
    common: Common = context.obj
    with opened(common.state) as store:
        image = _image(store, name)
        former = store.former_images().get(name)
    source = image.source
    rows = [("name", name), ("source", shown(source.reference)), ("digest", image.digest)]
    rows.append(("signature", _signature(image)))
    for fact in fields(image.facts):
        value = getattr(image.facts, fact.name)
        rows.append((fact.name.replace("_", " "), "-" if value in ("", None) else str(value)))
    names = [part.name for part in fields(image.files)]
    names = [image.files.kind] if isinstance(image.files, Medium) else names
    for part, blob in zip(names, image.files, strict=True):
        rows.append((part, f"{blob.digest} ({_size([blob])})"))
    layers = _size(image.content.blobs) if image.content else "none: nodes cannot upgrade from here"
    rows += [("layers", layers), ("former", former.digest if former else "-")]
    for line in columns(rows):
        say(line)


def _signature(image: Image) -> str:
    if image.imported:
        return "its bundle's"
    return "checked with a key" if image.source.verify_key else "not asked for"


def _image(store: Store, name: str) -> Image:
    image = store.fleet().images.get(name)
    if image is None:
        raise UnknownName(f"no image '{name}' here: see `kairos-netboot images list`")
    return image


@app.command()
def update(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Which; all if none is named.")
    ] = None,
) -> None:
    """Look again where images came from, and take what is new. The former ones are kept."""
    common: Common = context.obj
    with opened(common.state) as store:
        wanted = [_image(store, name) for name in names or store.fleet().images]
        failed = [before.name for before in wanted if not _update(store, before)]
    if failed:
        raise ImageProblem(f"not updated, and still in service: {', '.join(failed)}")


def _update(store: Store, before: Image) -> bool:
    """False where it could not be looked at again; why is told."""
    try:
        with progress() as tell:
            image = add_image(before.source, store, store.registries(), tell)
    except NetbootError as error:
        typer.echo(f"image {before.name}: {error}", err=True)
        return False
    if image.digest == before.digest:
        say(f"image {image.name}: is up to date, {image.digest}")
    else:
        say(f"image {image.name}: {before.digest} is now {image.digest}")
    return True


@app.command()
def rollback(context: typer.Context, name: Name) -> None:
    """Put an image's former version back in service; again, and the newer one is."""
    common: Common = context.obj
    with opened(common.state) as store:
        _image(store, name)
        image = store.rollback_image(name)
    say(f"image {name}: {image.digest} again, {_summary(image)}")


@app.command()
def rm(context: typer.Context, name: Name) -> None:
    """Forget an image. Its files go with the next `images gc`."""
    common: Common = context.obj
    with opened(common.state) as store:
        store.remove_image(name)
        freed = store.garbage()
    say(f"image {name}: gone; `kairos-netboot images gc` frees {_size(freed)}")


@app.command()
def gc(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """Delete files that no image, no former image and no booting node needs."""
    common: Common = context.obj
    with opened(common.state) as store:
        garbage = store.garbage()
        if not garbage:
            say("nothing to delete")
            return
        for blob in garbage:
            say(f"{blob.digest}  {_size([blob])}")
        say(f"{len(garbage)} files that nothing needs, {_size(garbage)}")
        if not yes and not sys.stdin.isatty():
            raise InvalidValue("nobody to ask whether to delete them: say --yes")
        if yes or typer.confirm("delete them?"):
            freed = store.collect()
            say(f"freed {_size(freed)}")


@app.command()
def publish(
    context: typer.Context,
    name: Name,
    reference: Annotated[str, typer.Argument(metavar="REF", help="registry/name:tag.")],
    insecure: Insecure = False,
    ca: Authority = None,
    sign_key: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Sign it with this private key, as cosign does."),
    ] = None,
) -> None:
    """Push an image's boot files to a registry, for other kairos-netboots to take as they are."""
    common: Common = context.obj
    # The registry's library takes 0.2 s to import, which every other command would pay for.
    from ..images.publish import publish_image, registry_reference

    target = registry_reference(reference)
    key = read_private_key(sign_key) if sign_key else None
    with opened(common.state) as store, store.blobs.guard(), progress() as tell:
        image = _image(store, name)
        hosts = with_authority(store.registries(), target, str(ca.absolute()) if ca else "")
        digest = publish_image(
            image, target, store.blobs, hosts=hosts, insecure=insecure, key=key, tell=tell
        )
    say(f"image {name}: published as {target}, {digest}")
