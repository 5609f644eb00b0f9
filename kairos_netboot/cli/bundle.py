"""`bundle …`: a site with all its images in one file, for places without a network."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from ..boot.site import Image, Site
from ..config.resources import load_recipes
from ..config.sitefile import load_site, load_with_files
from ..errors import ImageProblem, InvalidValue, StoreProblem, UnknownName
from ..images.bundle import Bundle, export_bundle, import_images, open_bundle
from ..images.signature import load_public_key
from ..store.store import Store
from .app import Common, opened, say
from .keys import read_public_key, signer
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
    site, texts = load_with_files(site_file, load_recipes().recipes)
    check_documents(site)
    sign = signer(sign_key, file.name) if sign_key else None
    with opened(common.state) as store:
        images = _images(site, store)
        with store.blobs.guard(), progress() as tell:
            digest = export_bundle(file, texts, site_file.name, images, store.blobs, sign, tell)
    say(f"bundle {file}: {len(images)} images, {file.stat().st_size / 1e6:.1f} MB, {digest}")


def _images(site: Site, store: Store) -> list[Image]:
    known = store.fleet().images
    missing = [name for name in site.images if name not in known]
    if missing:
        raise UnknownName(
            f"image '{missing[0]}' is not here yet: `kairos-netboot apply` the site file first"
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
    if to is not None and to.exists() and any(to.iterdir()):
        raise InvalidValue(f"{to} is not empty: name a new folder, or leave --to out")
    folder = (to or common.state / "site").absolute()
    with opened(common.state) as store:
        try:
            bundle = open_bundle(file, key)
            site = _take_over(bundle, folder, store)
        except ImageProblem as problem:
            raise ImageProblem(f"{file}: {problem}", details=problem.details) from None
        lines = store.apply(site, datetime.now(UTC))
    say(f"bundle {file}: {len(bundle.images)} images; the site is in {folder}")
    for line in lines or ["nothing to change"]:
        say(line)


def _take_over(bundle: Bundle, folder: Path, store: Store) -> Site:
    """The site's folder is replaced only when its site file and all images are good."""
    recipes = load_recipes().recipes
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
            fresh = Path(name) / "site"
            for path, data in bundle.site.items():
                (fresh / path).parent.mkdir(parents=True, exist_ok=True)
                (fresh / path).write_bytes(data)
            check_documents(load_site(fresh / bundle.first, recipes))
            with progress() as tell:
                import_images(bundle, store, tell)
            if folder.exists():
                folder.rename(Path(name) / "former")
            fresh.rename(folder)
    except OSError as error:
        raise StoreProblem(f"cannot write {folder}: {error.strerror or error}") from error
    site = load_site(folder / bundle.first, recipes)
    for image in bundle.images:
        # From where this site file says, so that `apply` finds them here.
        store.add_image(replace(image, source=site.images.get(image.name, image.source)))
    return site
