"""`apply`: make the site file so. `schema`: what editors know of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ..boot.actions import Action
from ..boot.rehearsal import cluster_doubts, expected_seats
from ..boot.site import Image, ImageSource, NodeSpec, Profile, Site
from ..boot.tokens import BootTokens
from ..boot.urls import Urls
from ..cloudconfig.for_node import WITH_TEMPLATES, checked_document
from ..config.resources import load_recipes
from ..config.schema import json_schema
from ..config.sitefile import load_site
from ..errors import DocumentProblem, SiteMistake
from ..images.progress import Tell
from ..images.pull import add_image
from ..store.store import Store
from ..values import Mac
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
    specs = (*site.nodes.values(), *_stand_ins(site))
    seats = expected_seats(specs, site)
    for spec in specs:
        if not spec.profile:
            continue  # one of those that stand in for its machine is its own
        profile = site.profiles[spec.profile]
        seat = seats.get(spec.name)
        for action in _with_document(profile):
            try:
                phone = profile.phone_home or site.phone_home
                built = checked_document(profile, spec, _ANY_URLS, _ANY_TOKEN, action, seat, phone)
                doubts |= dict.fromkeys(str(finding) for finding in built.findings)
            except DocumentProblem as error:
                lines = str(error).splitlines()
                who = f"node {spec.name}" if spec.name in site.nodes else f"profile {profile.name}"
                problems |= {f"{who}: {line}": None for line in lines}
    if problems:
        raise SiteMistake("\n".join(problems))
    return [*doubts, *cluster_doubts(site)]


_ANY_URLS = Urls("http://SERVER:8080")
_ANY_TOKEN = BootTokens("0" * 32).report


def _stand_ins(site: Site) -> list[NodeSpec]:
    """A machine of each profile that machines nobody named may get. Not where its document goes
    by labels: nobody knows them yet."""
    words = {site.unknown.others, *site.unknown.networks.values()}
    return [
        NodeSpec(name=f"of-{profile.name}", macs=(Mac("02:00:00:00:00:01"),), profile=profile.name)
        for profile in site.profiles.values()
        if profile.match or profile.name in words
        if not any("labels" in template.text for template in profile.templates)
    ]


def _with_document(profile: Profile) -> list[Action]:
    """What its nodes may do by a document of the site's templates."""
    offered = profile.menu.items if profile.action is Action.MENU else (profile.action,)
    return [action for action in offered if action in WITH_TEMPLATES]


def fetch_missing(site: Site, store: Store, tell: Tell) -> list[Image]:
    """Add the images that the site names and the store lacks, or has from another source."""
    known = store.fleet().images

    def is_here(source: ImageSource) -> bool:
        image = known.get(source.name)
        return image is not None and image.source == source and store.is_whole(image)

    missing = [source for source in site.images.values() if not is_here(source)]
    return [add_image(source, store, site.registries, tell) for source in missing]
