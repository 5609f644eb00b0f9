"""What the site file says besides images, profiles, nodes and clusters.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from ..boot.changes import setting_changes
from ..boot.site import Site
from .network_rows import from_dhcp, to_dhcp
from .rows import from_registry, from_unknown
from .settings import put_setting, setting


def put_site_settings(connection: Connection, site: Site) -> list[str]:
    """What changed, a sentence each."""
    lines = setting_changes(
        (setting(connection, "boot", {}), to_dhcp(setting(connection, "dhcp", {}))),
        (site.boot, site.dhcp),
    )
    put_setting(connection, "boot", dict(site.boot))
    put_setting(connection, "dhcp", from_dhcp(site.dhcp))
    for key, value in _plain(site).items():
        before, after = setting(connection, key, None), json.loads(json.dumps(value))
        put_setting(connection, key, after)
        if before != after and (before is not None or _says_something(key, after)):
            lines.append(f"{key}: changed")
    return lines


def _plain(site: Site) -> dict[str, Any]:
    return {
        "vendor-recipes": dict(site.vendor_recipes),
        "registries": {name: from_registry(host) for name, host in site.registries.items()},
        "unknown": from_unknown(site.unknown),
        "phone-home": asdict(site.phone_home),
        "webhooks": [asdict(hook) for hook in site.webhooks],
    }


_SILENT = _plain(Site(images={}, profiles={}, nodes={}))


def _says_something(key: str, value: object) -> bool:
    """Whether it differs from a site file without a word on it."""
    return bool(value != json.loads(json.dumps(_SILENT[key])))
