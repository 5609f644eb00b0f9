"""What the shapes of an Ignition config do not say: paths, doubles, modes, units, addresses."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from .ignition_spec import Version

Path: TypeAlias = tuple[str | int, ...]
Found: TypeAlias = tuple[Path, str, bool]  # where, what, whether it is an error
Object: TypeAlias = Mapping[str, Any]

_UNIT = re.compile(
    r"[A-Za-z0-9:_.\\@-]+\."
    r"(service|socket|device|mount|automount|swap|target|path|timer|snapshot|slice|scope)"
)
_DROPIN = re.compile(r"[^/]+\.conf")
_NETWORKD = re.compile(r"[^/]+\.(network|netdev|link)")
_SCHEMES = ("http", "https", "tftp", "s3", "arn", "gs", "data")
_FORMATS = ("ext4", "btrfs", "xfs", "vfat", "swap")
# Modes as people write them in octal; none of these numbers is a usual mode in decimal.
_AS_OCTAL = frozenset(
    (400, 440, 444, 500, 550, 555, 600, 640, 644, 660, 664, 666, 700, 711, 750, 755, 770, 775, 777)
)
_HASH = re.compile(r"sha512-[0-9a-f]{128}|sha256-[0-9a-f]{64}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?")


def deep_rules(config: Object, version: Version) -> Iterator[Found]:
    """Of a config whose shape is right."""
    storage = _at(config, "storage")
    yield from _devices(storage)
    yield from _nodes(storage, version)
    yield from _filesystems(storage, version)
    yield from _units(config, "systemd", _UNIT, "ends like app.service")
    yield from _units(config, "networkd", _NETWORKD, "ends like 00-eth0.network")
    yield from _passwd(config)
    yield from _fetched(config, (), version)


def _at(config: Object, *keys: str) -> Object:
    found: Any = config
    for key in keys:
        found = found.get(key) or {}
    return dict(found)


def _entries(of: Object, name: str) -> list[Object]:
    return list(of.get(name) or ())


def _devices(storage: Object) -> Iterator[Found]:
    for section, key in (("disks", "device"), ("filesystems", "device"), ("luks", "device")):
        for number, entry in enumerate(_entries(storage, section)):
            if entry.get(key):
                yield from _absolute(("storage", section, number, key), entry[key])
    for number, entry in enumerate(_entries(storage, "raid")):
        for place, device in enumerate(entry["devices"]):
            yield from _absolute(("storage", "raid", number, "devices", place), device)
    for section, key in (("disks", "device"), ("raid", "name"), ("luks", "name")):
        yield from _doubles(("storage", section), key, _entries(storage, section))
    for number, disk in enumerate(_entries(storage, "disks")):
        yield from _partitions(("storage", "disks", number, "partitions"), disk)


def _partitions(path: Path, disk: Object) -> Iterator[Found]:
    entries = _entries(disk, "partitions")
    numbered = [entry if entry.get("number") else {} for entry in entries]
    yield from _doubles(path, "number", numbered)
    yield from _doubles(path, "label", entries)
    for place, entry in enumerate(entries):
        if not entry.get("number") and not entry.get("label"):
            yield (*path, place), "has neither a number nor a label: give it one", True


def _nodes(storage: Object, version: Version) -> Iterator[Found]:
    """Files, directories and links are one name space; before 3.0, each entry stands alone."""
    seen: dict[tuple[str, str], str] = {}
    for section in ("files", "directories", "links"):
        for number, entry in enumerate(_entries(storage, section)):
            path: Path = ("storage", section, number)
            yield from _absolute((*path, "path"), entry["path"])
            yield from _mode((*path, "mode"), entry.get("mode"))
            key = (str(entry.get("filesystem", "")), entry["path"])
            if key in seen and not entry.get("append"):
                yield (*path, "path"), f"'{key[1]}' is there already, in {seen[key]}", True
            seen.setdefault(key, f"storage.{section}[{number}]")
            is_file = section == "files" and version >= (3, 0)
            if is_file and entry.get("overwrite") and not _at(entry, "contents").get("source"):
                yield (*path, "overwrite"), "needs `contents` with a source", True


def _absolute(path: Path, text: str) -> Iterator[Found]:
    if not text.startswith("/") or "\0" in text:
        yield path, f"'{text[:60]}' is no absolute path: begin it with /", True


def _mode(path: Path, mode: int | None) -> Iterator[Found]:
    if mode is None:
        return
    if not 0 <= mode <= 0o7777:
        yield path, f"{mode} is no mode: it is a decimal number up to 4095", True
    elif mode in _AS_OCTAL:
        meant = int(str(mode), 8)
        said = f"{mode} stands for {mode:o}: JSON has no octal numbers, and {mode} there is {meant}"
        yield path, said, False


def _filesystems(storage: Object, version: Version) -> Iterator[Found]:
    formats = (*_FORMATS, *(("none",) if version >= (3, 3) else ()))
    entries = _entries(storage, "filesystems")
    yield from _doubles(("storage", "filesystems"), "device", entries)
    for number, entry in enumerate(entries):
        mount = _at(entry, "mount") if version < (3, 0) else entry
        path: Path = ("storage", "filesystems", number)
        if version < (3, 0) and bool(entry.get("mount")) is bool(entry.get("path")):
            yield path, "wants either `mount` or `path`", True
        if (kind := mount.get("format")) and kind not in formats:
            yield (*path, "format"), f"'{kind}' is none of {', '.join(formats)}", True


def _doubles(path: Path, key: str, entries: Iterable[Object]) -> Iterator[Found]:
    seen: dict[object, int] = {}
    for number, entry in enumerate(entries):
        value = entry.get(key)
        if value in (None, ""):
            continue
        if value in seen:
            yield (*path, number, key), f"'{value}' is there already, at [{seen[value]}]", True
        seen.setdefault(value, number)


def _units(config: Object, section: str, pattern: re.Pattern[str], ends: str) -> Iterator[Found]:
    units = _entries(_at(config, section), "units")
    yield from _doubles((section, "units"), "name", units)
    for number, unit in enumerate(units):
        path: Path = (section, "units", number)
        if not pattern.fullmatch(unit["name"]):
            yield (*path, "name"), f"'{unit['name'][:60]}' is no unit's name: it {ends}", True
        yield from _contents((*path, "contents"), unit.get("contents"))
        if unit.get("enabled") and unit.get("contents") and "[Install]" not in unit["contents"]:
            yield (*path, "enabled"), "does nothing for a unit without [Install]", False
        dropins = _entries(unit, "dropins")
        yield from _doubles((*path, "dropins"), "name", dropins)
        for place, dropin in enumerate(dropins):
            inner: Path = (*path, "dropins", place)
            if not _DROPIN.fullmatch(dropin["name"]):
                yield (*inner, "name"), f"'{dropin['name'][:60]}' does not end in .conf", True
            yield from _contents((*inner, "contents"), dropin.get("contents"))


def _contents(path: Path, text: str | None) -> Iterator[Found]:
    """Sections, settings and comments: systemd's syntax(7), as far as it can be wrong."""
    section = goes_on = False
    for number, line in enumerate((text or "").splitlines(), start=1):
        said = line.strip()
        if said.startswith(("#", ";")) or (not said and not goes_on):
            continue
        if not goes_on:
            if re.fullmatch(r"\[[^\[\]]+\]", said):
                section = True
            elif not section:
                yield path, f"line {number} stands before any [Section]", True
                return
            elif not re.match(r"[^=\s][^=]*=", said):
                yield path, f"line {number} is no KEY=VALUE: '{said[:40]}'", True
                return
        goes_on = said.endswith("\\")


def _passwd(config: Object) -> Iterator[Found]:
    passwd = _at(config, "passwd")
    for section in ("users", "groups"):
        entries = _entries(passwd, section)
        yield from _doubles(("passwd", section), "name", entries)
        for number, entry in enumerate(entries):
            path: Path = ("passwd", section, number)
            if not _USER.fullmatch(entry["name"]):
                yield (*path, "name"), f"'{entry['name'][:40]}' is no name of an account", True
            for key in ("uid", "gid"):
                if not 0 <= (entry.get(key) or 0) < 1 << 32:
                    yield (*path, key), f"{entry[key]} is no ID", True
            password = entry.get("passwordHash")
            if password and not password.startswith(("$", "!", "*", "x", "_")):
                yield (*path, "passwordHash"), "is no hash of a password, as mkpasswd makes", True


def _fetched(value: object, path: Path, version: Version) -> Iterator[Found]:
    """Whatever has a `source`."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _fetched(item, (*path, number), version)
    elif isinstance(value, dict):
        if isinstance(source := value.get("source"), str) and source:
            yield from _source((*path, "source"), source)
        if isinstance(kind := value.get("compression"), str) and kind not in ("", "gzip"):
            yield (*path, "compression"), f"'{kind}' is none that Ignition unpacks: gzip", True
        verification = value.get("verification")
        digest = verification.get("hash") if isinstance(verification, dict) else None
        if digest and (not _HASH.fullmatch(digest) or (version < (3, 1) and digest[3] == "2")):
            yield (*path, "verification", "hash"), "is no sha512-… (from 3.1.0: sha256-…)", True
        for key, item in value.items():
            yield from _fetched(item, (*path, key), version)


def _source(path: Path, source: str) -> Iterator[Found]:
    scheme, colon, rest = source.partition(":")
    if not colon or scheme.lower() not in _SCHEMES:
        yield path, f"'{source[:40]}' is no address: {', '.join(_SCHEMES)}", True
    elif scheme.lower() == "data" and (why := _bad_data(rest)):
        yield path, why, True
    elif scheme.lower() in ("http", "https") and not re.match(r"//[^/\s]", rest):
        yield path, f"'{source[:40]}' names no server", True


def _bad_data(rest: str) -> str:
    """RFC 2397: `data:[TYPE][;base64],DATA`"""
    head, comma, data = rest.partition(",")
    if not comma:
        return "a data: address has a comma before its data: data:,text"
    if re.search(r"[\s\"<>]", data):
        return "a data: address has no spaces or quotes: write them as %20, or in base64"
    if head.endswith(";base64"):
        try:
            base64.b64decode(unquote_to_bytes(data), validate=True)
        except (binascii.Error, ValueError):
            return "what follows ;base64, is no base64"
    return ""
