"""What a file's name asks for: every boot loader has its own way to spell it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ..errors import InvalidValue
from ..values import Digest, Mac


class Ask(StrEnum):
    LOADER = "loader"  # by the last part of its name, or nothing we know
    IPXE = "ipxe"  # a boot script
    GRUB = "grub"  # a machine's configuration
    GRUB_ANY = "grub-any"  # one that does not say whose
    EXTLINUX = "extlinux"
    BOOT_SCRIPT = "boot-script"  # U-Boot's
    DEVICE_TREE = "device-tree"
    BLOB = "blob"
    REPORT = "report"
    NOTHING = "nothing"  # known to be asked for, and not to be here


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """`rest` is what remains of the path: a loader's file, a report's reason, a device tree's name,
    what was chosen of a machine's menu.

    `folder`: the first part where it is neither a MAC nor a word of ours; a Raspberry Pi asks below
    its serial number.
    """

    ask: Ask
    mac: Mac | None = None
    rest: str = ""
    folder: str = ""
    digest: Digest | None = None
    token: str = ""


_NOTHING = Name(ask=Ask.NOTHING)
# GRUB asks for its list of commands, and a dozen shorter names of its own configuration.
_GRUB_OWN = re.compile(r"grub\.cfg-01-((?:[0-9a-f]{2}-){5}[0-9a-f]{2})", re.IGNORECASE)
_CHOSEN = re.compile(r"grub-([a-z]+)\.cfg")
_NODE = re.compile(r"node-([0-9a-f:-]*)\.cfg", re.IGNORECASE)
_PXELINUX = re.compile(r"01-((?:[0-9a-f]{2}-){5}[0-9a-f]{2})", re.IGNORECASE)
_SCRIPTS = {"autoexec.ipxe": Ask.IPXE, "script.ipxe": Ask.IPXE, "boot.scr": Ask.BOOT_SCRIPT}
_SCRIPTS["boot.scr.uimg"] = Ask.BOOT_SCRIPT


def read_name(name: str) -> Name:
    """Never raises; a path that would leave its folder asks for nothing."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or ".." in parts or len(name) > 400:
        return _NOTHING
    if parts[0] in ("report", "reports"):
        return _report(parts)
    if parts[0] == "boot" and len(parts) > 2 and (mac := _mac(parts[1])):
        return _of_boot(parts, mac)
    mac = _mac(parts[0])
    folder = parts[0] if len(parts) > 1 and mac is None else ""
    return _configuration(parts, mac) or Name(
        ask=Ask.LOADER,
        mac=mac,
        rest="/".join(parts[1:] if len(parts) > 1 else parts),
        folder=folder,
    )


def _of_boot(parts: list[str], mac: Mac) -> Name:
    """`boot/MAC/…`: the paths that HTTP has as well."""
    if parts[2] == "dtbs":
        return Name(ask=Ask.DEVICE_TREE, mac=mac, rest="/".join(parts[3:]))
    if len(parts) == 3:
        return _configuration(parts[1:], mac) or Name(ask=Ask.LOADER, mac=mac, rest=parts[2])
    try:
        digest = Digest(f"sha256:{parts[2]}")
    except InvalidValue:
        return _NOTHING
    return (
        Name(ask=Ask.BLOB, mac=mac, digest=digest, rest=parts[3]) if parts[4:] == [] else _NOTHING
    )


def _report(parts: list[str]) -> Name:
    if len(parts) != 3 or not parts[2].startswith("boot-failed"):
        return _NOTHING
    reason = parts[2].removeprefix("boot-failed").removeprefix("-")
    return Name(ask=Ask.REPORT, token=parts[1], rest=reason)


def _configuration(parts: list[str], mac: Mac | None) -> Name | None:
    """A script or a configuration; None for any other file."""
    last = parts[-1]
    if last in _SCRIPTS:
        return Name(ask=_SCRIPTS[last], mac=mac)
    if own := _NODE.fullmatch(last) or _GRUB_OWN.fullmatch(last):
        return _owned(Ask.GRUB, own[1])
    if mac and (chosen := _CHOSEN.fullmatch(last)):
        return Name(ask=Ask.GRUB, mac=mac, rest=chosen[1])
    if last == "grub.cfg":
        return Name(ask=Ask.GRUB if mac else Ask.GRUB_ANY, mac=mac)
    if "pxelinux.cfg" in parts[:-1]:
        found = _PXELINUX.fullmatch(last)
        return _owned(Ask.EXTLINUX, found[1]) if found else _NOTHING
    if last == "extlinux.conf":
        return Name(ask=Ask.EXTLINUX, mac=mac)
    return _NOTHING if last.endswith((".lst", ".mod")) or last.startswith("grub.cfg-") else None


def _owned(ask: Ask, text: str) -> Name:
    mac = _mac(text)
    return Name(ask=ask, mac=mac) if mac else _NOTHING


def _mac(text: str) -> Mac | None:
    try:
        return Mac(text)
    except InvalidValue:
        return None
