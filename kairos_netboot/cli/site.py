"""`apply`: make the site file so. `schema`: what editors know of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ..boot.site import Image, ImageSource, Site
from ..boot.tokens import BootTokens
from ..boot.urls import Urls
from ..cloudconfig.for_node import checked_document
from ..config.resources import load_recipes
from ..config.schema import json_schema
from ..config.sitefile import load_site
from ..errors import DocumentProblem, SiteMistake
from ..images.progress import Tell
from ..images.pull import add_image
from ..store.store import Store
from .app import Common, opened, say
from .progress import progress


def apply(
    context: typer.Context,
    site_file: Annotated[Path, typer.Argument(metavar="SITE", help="The site file.")],
) -> None:
    """Make the site file so: fetch its images, name its nodes, arm the new ones."""
    common: Common = context.obj
    site = load_site(site_file, load_recipes().recipes)
    warnings = check_documents(site)
    with opened(common.state) as store:
        with progress() as tell:
            images = fetch_missing(site, store, tell)
        lines = [f"image {image.name}: added, {image.digest}" for image in images]
        lines += store.apply(site, datetime.now(UTC))
    for line in lines or ["nothing to change"]:
        say(line)
    for warning in warnings:
        typer.echo(f"note: {warning}", err=True)


def schema() -> None:
    """Print the JSON schema of site files, for editors."""
    say(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def check_documents(site: Site) -> list[str]:
    """Build every node's document; raises SiteMistake with a line for each error in any of them.

    Returns what is doubtful but works.
    """
    problems: dict[str, None] = {}
    doubts: dict[str, None] = {}
    for spec in site.nodes.values():
        profile = site.profiles[spec.profile]
        try:
            built = checked_document(profile, spec, Urls("http://SERVER:8080"), _ANY_TOKEN)
            doubts |= dict.fromkeys(str(finding) for finding in built.findings)
        except DocumentProblem as error:
            lines = str(error).splitlines()
            problems |= {f"node {spec.name}: {line}": None for line in lines}
    if problems:
        raise SiteMistake("\n".join(problems))
    return list(doubts)


_ANY_TOKEN = BootTokens("0" * 32).report


def fetch_missing(site: Site, store: Store, tell: Tell) -> list[Image]:
    """Add the images that the site names and the store lacks, or has from another source."""
    known = store.fleet().images

    def is_here(source: ImageSource) -> bool:
        image = known.get(source.name)
        return image is not None and image.source == source and store.is_whole(image)

    missing = [source for source in site.images.values() if not is_here(source)]
    return [add_image(source, store, site.registries, tell) for source in missing]
