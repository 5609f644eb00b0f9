"""`bundle …`: a site with all its images in one file, for places without a network."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ..boot.site import Image, Site
from ..config.resources import load_recipes
from ..config.sitefile import load_site, load_with_files
from ..errors import ImageProblem, InvalidValue, SiteMistake, UnknownName
from ..images.bundle import export_bundle, site_path
from ..images.keys import load_public_key
from ..images.progress import count_of
from ..images.source import naming
from ..images.unbundle import Bundle, open_bundle, take_blobs
from ..store.store import Store
from .app import Common, opened, say
from .folder import in_place, refuse_other_file, refuse_others, unpacked
from .keys import read_private_key, read_public_key
from .progress import progress
from .site import check_documents

app = typer.Typer(help="A site with all its images in one file.", no_args_is_help=True)


@app.command()
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write.")],
    site_file: Annotated[Path, typer.Option("--site", metavar="SITE", help="The site file.")],
    sign_key: Annotated[
        Path | None, typer.Option(metavar="KEY", help="Sign it with this private key.")
    ] = None,
) -> None:
    """Put a site, its templates and its images into one OCI archive."""
    common: Common = context.obj
    refuse_other_file(file)
    site, texts = load_with_files(site_file, load_recipes().recipes)
    check_documents(site)
    key = read_private_key(sign_key) if sign_key else None
    with opened(common.state) as store:
        images = _images(site, store)
        with store.blobs.guard(), progress() as tell:
            digest = export_bundle(file, texts, site_file.name, images, store.blobs, key, tell)
    size, count = file.stat().st_size / 1e6, count_of(len(images), "image")
    say(f"bundle {file}: {count}, {size:.1f} MB, {digest}")


def _images(site: Site, store: Store) -> list[Image]:
    """Those of the site, from where it says, with all their files."""
    known = store.fleet().images
    for name, source in site.images.items():
        image = known.get(name)
        if image is None or image.source != source or not store.is_whole(image):
            raise UnknownName(
                f"image '{name}' is not here as the site file has it: "
                "`kairos-netboot apply` the site file first"
            )
    return [known[name] for name in site.images]


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle.")],
    verify_key: Annotated[
        Path | None,
        typer.Option(metavar="KEY.pub", help="The key that must have signed it."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The site's folder.", show_default="STATE/site"),
    ] = None,
) -> None:
    """Take over a bundle's images and its site, as `apply` does."""
    common: Common = context.obj
    key = None
    if verify_key is not None:
        key = load_public_key(read_public_key(verify_key), str(verify_key))
    folder = (to or common.state / "site").absolute()
    with naming(str(file)):
        bundle = open_bundle(file, key)
        if to is not None:
            refuse_others(folder, bundle.site)
        with opened(common.state) as store, store.blobs.guard():
            lines = _take_over(bundle, folder, store, signed=key is not None)
    say(f"bundle {file}: {count_of(len(bundle.images), 'image')}; the site is in {folder}")
    for line in lines or ["nothing to change"]:
        say(line)


def _take_over(bundle: Bundle, folder: Path, store: Store, *, signed: bool) -> list[str]:
    """What changed. The site's folder is replaced only when all that can fail is done."""
    recipes = load_recipes().recipes
    with unpacked(bundle.site, folder) as fresh:
        wanted = _check_site(bundle, fresh)
        if not signed:
            _refuse_unsigned(wanted, store)
        with progress() as tell:
            take_blobs(bundle, store.blobs, tell)
        with in_place(fresh, folder):
            site = load_site(folder / bundle.first, recipes)
            for image in bundle.images:
                source = site.images[image.name]
                store.add_image(replace(image, source=source, imported=True))
            return store.apply(site, datetime.now(UTC))


def _refuse_unsigned(site: Site, store: Store) -> None:
    """What a key is asked for, in the bundle or here, comes in by a signature only."""
    known = store.fleet().images
    asked = [name for name, source in site.images.items() if source.verify_key]
    asked += [name for name in site.images if name in known and known[name].source.verify_key]
    if asked:
        raise InvalidValue(
            f"image '{asked[0]}' must be signed (verify:): say with --verify-key whose bundle"
            " this is"
        )


def _check_site(bundle: Bundle, folder: Path) -> Site:
    """It must be whole: good documents, all its images, and no files but its own."""
    try:
        site, texts = load_with_files(folder / bundle.first, load_recipes().recipes)
        foreign = [name for name in texts if site_path(name) not in bundle.site]
        if foreign:
            raise ImageProblem(f"its site names {foreign[0]}, which is not in it: do not use it")
        check_documents(site)
    except SiteMistake as mistake:
        lines = str(mistake).replace(f"{folder}/", "").splitlines()
        raise ImageProblem(f"its site is not good: {lines[0]}", details="\n".join(lines)) from None
    images = {image.name: image.facts.arch for image in bundle.images}
    named = {name: source.arch for name, source in site.images.items()}
    if images != named:
        odd = min(name for name, _ in images.items() ^ named.items())
        raise ImageProblem(f"its images and its site file differ in '{odd}': export it again")
    return site
