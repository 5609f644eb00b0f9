"""What an Ignition config may hold, as tables written from its specifications.

`name!` has to be there, `name@3.1` is known from that version on. A list of one shape is a list of
such; a type is a plain value. An empty table stands for anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Shape: TypeAlias = type | list["Shape"] | Mapping[str, "Shape"]
Version: TypeAlias = tuple[int, int]

KNOWN: tuple[Version, ...] = ((2, 2), (2, 3), *((3, minor) for minor in range(6)))

_ID: Shape = {"id": int, "name": str}
_UNITS: Shape = [
    {
        "name!": str,
        "contents": str,
        "enabled": bool,
        "mask": bool,
        "dropins": [{"name!": str, "contents": str}],
    }
]
_USER: dict[str, Shape] = {
    "name!": str,
    "passwordHash": str,
    "sshAuthorizedKeys": [str],
    "uid": int,
    "gecos": str,
    "homeDir": str,
    "noCreateHome": bool,
    "primaryGroup": str,
    "groups": [str],
    "noUserGroup": bool,
    "noLogInit": bool,
    "shell": str,
    "system": bool,
}
_GROUP: dict[str, Shape] = {"name!": str, "gid": int, "passwordHash": str, "system": bool}
_TIMEOUTS: Shape = {"httpResponseHeaders": int, "httpTotal": int}
_RAID: Shape = {"name!": str, "level!": str, "devices!": [str], "spares": int, "options": [str]}
_PARTITION: dict[str, Shape] = {
    "label": str,
    "number": int,
    "typeGuid": str,
    "guid": str,
    "shouldExist": bool,
    "sizeMiB": int,
    "startMiB": int,
    "wipePartitionEntry": bool,
}


def _from(source: str, *, always: bool) -> Shape:
    """Something that is fetched. Before 3.1 only files could be compressed."""
    return {
        source: str,
        "compression" if always else "compression@3.1": str,
        "verification": {"hash": str},
        "httpHeaders@3.1": [{"name!": str, "value": str}],
    }


_CONFIG = _from("source!", always=False)
_CONTENTS = _from("source", always=True)
_NODE: dict[str, Shape] = {"path!": str, "overwrite": bool, "user": _ID, "group": _ID}
_LUKS: Shape = {
    "name!": str,
    "device!": str,
    "keyFile": _CONTENTS,
    "label": str,
    "uuid": str,
    "options": [str],
    "wipeVolume": bool,
    "discard@3.4": bool,
    "openOptions@3.4": [str],
    "clevis": {
        "tang": [{"url!": str, "thumbprint!": str, "advertisement@3.4": str}],
        "tpm2": bool,
        "threshold": int,
        "custom": {"pin": str, "config": str, "needsNetwork": bool},
    },
    "cex@3.5": {"enabled": bool},
}
V3: Mapping[str, Shape] = {
    "ignition!": {
        "version!": str,
        "config": {"merge": [_CONFIG], "replace": _CONFIG},
        "timeouts": _TIMEOUTS,
        "security": {"tls": {"certificateAuthorities": [_CONFIG]}},
        "proxy@3.1": {"httpProxy": str, "httpsProxy": str, "noProxy": [str]},
    },
    "storage": {
        "disks": [
            {
                "device!": str,
                "wipeTable": bool,
                "partitions": [{**_PARTITION, "resize@3.2": bool}],
            }
        ],
        "raid": [_RAID],
        "filesystems": [
            {
                "device!": str,
                "format": str,
                "path": str,
                "wipeFilesystem": bool,
                "label": str,
                "uuid": str,
                "options": [str],
                "mountOptions@3.1": [str],
            }
        ],
        "files": [{**_NODE, "mode": int, "contents": _CONTENTS, "append": [_CONTENTS]}],
        "directories": [{**_NODE, "mode": int}],
        "links": [{**_NODE, "target!": str, "hard": bool}],
        "luks@3.2": [_LUKS],
    },
    "systemd": {"units": _UNITS},
    "passwd": {
        "users": [{**_USER, "shouldExist@3.2": bool}],
        "groups": [{**_GROUP, "shouldExist@3.2": bool}],
    },
    "kernelArguments@3.3": {"shouldExist": [str], "shouldNotExist": [str]},
}

_FETCHED: Shape = {"source": str, "compression": str, "verification": {"hash": str}}
_OLD_NODE: dict[str, Shape] = {**_NODE, "filesystem!": str}
V2: Mapping[str, Shape] = {
    "ignition!": {
        "version!": str,
        "config": {"append": [_FETCHED], "replace": _FETCHED},
        "timeouts": _TIMEOUTS,
        "security": {"tls": {"certificateAuthorities": [_FETCHED]}},
    },
    "storage": {
        "disks": [
            {
                "device!": str,
                "wipeTable": bool,
                "partitions": [{**_PARTITION, "size": int, "start": int}],
            }
        ],
        "raid": [_RAID],
        "filesystems": [
            {
                "name": str,
                "path": str,
                "mount": {
                    "device!": str,
                    "format!": str,
                    "wipeFilesystem": bool,
                    "label": str,
                    "uuid": str,
                    "options": [str],
                    "create": {"force": bool, "options": [str]},
                },
            }
        ],
        "files": [{**_OLD_NODE, "mode": int, "append": bool, "contents": _FETCHED}],
        "directories": [{**_OLD_NODE, "mode": int}],
        "links": [{**_OLD_NODE, "target!": str, "hard": bool}],
    },
    "systemd": {
        "units": [
            {
                "name!": str,
                "enable": bool,
                "enabled": bool,
                "mask": bool,
                "contents": str,
                "dropins": [{"name!": str, "contents": str}],
            }
        ]
    },
    "networkd": {
        "units": [
            {"name!": str, "contents": str, "dropins": [{"name!": str, "contents": str}]},
        ]
    },
    "passwd": {"users": [{**_USER, "create": {}}], "groups": [_GROUP]},
}
