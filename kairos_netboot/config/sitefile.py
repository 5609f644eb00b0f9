"""The site file: images, profiles, nodes, clusters. Each mistake with its file, line, key and way
out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..boot.clusters import Cluster
from ..boot.site import NodeSpec, Profile, Site
from ..cloudconfig.spelling import hint_or_known
from ..cloudconfig.yamlnodes import parse
from ..errors import SiteMistake
from .clusters import cluster
from .fields import named
from .files import Files, read_site_text
from .keys import names
from .located import Located
from .networks import boot_table, dhcp_site
from .nodes import Nodes
from .phone import phone_home, webhooks
from .profiles import profile
from .selectors import unknown
from .sources import image, registry


def load_site(path: Path, recipes: Iterable[str]) -> Site:
    """Read the site file and the templates it names, or raise SiteMistake.

    `recipes`: the names that a node's `recipe` may have.
    """
    return load_with_files(path, recipes)[0]


def load_with_files(path: Path, recipes: Iterable[str]) -> tuple[Site, dict[str, str]]:
    """As load_site; and every file that was read, by the path the site file gives it."""
    text = read_site_text(path)
    files = Files(path.parent)
    root = Located(node=parse(text, str(path), SiteMistake))
    site = _site(root, files, tuple(sorted(recipes)))
    return site, {path.name: text, **files.found}


def _site(root: Located, files: Files, recipes: tuple[str, ...]) -> Site:
    fields = root.fields(*names("site"))
    dhcp = dhcp_site(fields.get("dhcp"))
    images = {name: image(name, at, files) for name, at in named(fields, "images")}
    profiles = {name: profile(name, at, files, images) for name, at in named(fields, "profiles")}
    reader = Nodes(files=files, recipes=recipes)
    nodes = {name: reader.node(name, at, profiles) for name, at in named(fields, "nodes")}
    reader.check_addresses(dhcp)
    clusters = {name: cluster(name, at) for name, at in named(fields, "clusters")}
    _check_clusters(fields, profiles, nodes, clusters)
    hosts = [registry(host, at, files) for host, at in named(fields, "registries")]
    return Site(
        images=images,
        profiles=profiles,
        nodes=nodes,
        vendor_recipes=_vendors(fields.get("vendor-recipes"), recipes),
        boot=boot_table(fields.get("boot")),
        dhcp=dhcp,
        registries={host.host: host for host in hosts},
        unknown=unknown(fields.get("unknown"), profiles),
        clusters=clusters,
        phone_home=phone_home(fields.get("phone-home")),
        webhooks=webhooks(fields.get("webhooks")),
    )


def _check_clusters(
    fields: Mapping[str, Located],
    profiles: Mapping[str, Profile],
    nodes: Mapping[str, NodeSpec],
    clusters: Mapping[str, Cluster],
) -> None:
    """Whatever names a cluster names one that is there."""
    for key, owners in (("profiles", profiles), ("nodes", nodes)):
        for name, at in named(fields, key):
            wanted = owners[name].cluster
            if wanted and wanted not in clusters:
                raise at.mistake(f"no cluster '{wanted}'{hint_or_known(wanted, clusters)}")


def _vendors(at: Located | None, recipes: tuple[str, ...]) -> dict[str, str]:
    """MAC prefixes of whole bytes, in any spelling, to recipes."""
    found = {}
    for prefix, recipe in at.entries() if at else ():
        digits = re.sub(r"[.:-]", "", prefix.lower())
        if not re.fullmatch(r"([0-9a-f]{2}){1,6}", digits):
            raise recipe.mistake("no MAC prefix: write it like 52:54:00")
        spelt = ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
        found[spelt] = recipe.choice(*recipes)
    return found
