"""The install block: what an unattended install needs, and what would send it astray."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from .findings import Finding, error, warning
from .spelling import hint_or_known, nearest
from .vocabulary import GRUB_OPTIONS, INSTALL_FLAGS, INSTALL_KEYS
from .yamlnodes import find, is_null, is_other, items, kind, to_value, triples

_RENAMED = {
    "image": "Kairos ignores it, whatever its schema says: write 'source'",
    "no_format": "Kairos ignores it, whatever its schema says: write 'no-format'",
}


def check_install(root: yaml.Node) -> Iterator[Finding]:
    install = find(root, "install")
    if install is None or is_null(install):
        yield error(root, "install", "it is missing: add 'install: {auto: true, reboot: true}'")
        return
    if is_other(install, yaml.MappingNode):
        yield error(install, "install", f"{kind(install)} is here: write a mapping")
        return
    yield from _flags(install)
    yield from _auto(install)
    yield from _end(install)
    yield from _device(install)
    yield from _partitions(install)
    yield from _names(install)


def _flags(install: yaml.Node) -> Iterator[Finding]:
    for name in INSTALL_FLAGS:
        node = find(install, name)
        if node is not None and not isinstance(to_value(node), bool | None):
            yield error(
                node,
                f"install.{name}",
                f"{kind(node)} is here: write true or false, or Kairos drops the whole document",
            )


def _auto(install: yaml.Node) -> Iterator[Finding]:
    node = find(install, "auto")
    if to_value(node) is not True:
        yield error(
            node or install,
            "install.auto",
            "it must be true: the installer would wait for someone at the console",
        )


def _end(install: yaml.Node) -> Iterator[Finding]:
    """Neither: the installer ends at 'press enter'. Both: Kairos' schema excludes it."""
    reboot, poweroff = find(install, "reboot"), find(install, "poweroff")
    both = (to_value(reboot) is True, to_value(poweroff) is True)
    if both == (True, True):
        yield error(poweroff or install, "install.poweroff", "reboot is true too: keep one of them")
    if both == (False, False):
        yield error(
            reboot or install,
            "install.reboot",
            "set reboot or poweroff to true: the installer would stop at 'press enter'",
        )


def _device(install: yaml.Node) -> Iterator[Finding]:
    node = find(install, "device")
    device = to_value(node)
    key = "install.device"
    if device in (None, "", "auto"):
        yield warning(
            node or install,
            key,
            "the largest disk wins, which may be a USB stick: name one, like /dev/disk/by-id/…",
        )
        return
    assert node is not None
    if not isinstance(device, str) or not re.match(r"/dev/.|script://.", device):
        yield error(node, key, f"{kind(node)} is here: write auto, /dev/… or script:///…")
    elif re.match(r"/dev/disk/by-part(label|uuid)/", device):
        yield error(node, key, f"{device} is a partition, which Kairos refuses: name a disk")
    elif re.match(r"/dev/disk/by-(label|uuid)/", device):
        yield warning(
            node, key, f"{device} is a file system, which a blank disk has not: name a disk"
        )


def _partitions(install: yaml.Node) -> Iterator[Finding]:
    """At most one partition takes the rest of the disk; COS_PERSISTENT does unless it is sized."""
    extras = find(install, "extra-partitions")
    if is_other(extras, yaml.SequenceNode):
        yield error(extras, "install.extra-partitions", f"{kind(extras)} is here: write a list")
    greedy = not to_value(find(install, "partitions", "persistent", "size"))
    for position, extra in enumerate(items(extras)):
        key = f"install.extra-partitions[{position}]"
        if not to_value(find(extra, "name")):
            yield error(extra, key, "this partition has no name: add 'name: data'")
        if to_value(find(extra, "size")):
            continue
        if greedy:
            yield error(
                extra,
                key,
                "two partitions would take the rest of the disk: give this one a size, "
                "or install.partitions.persistent",
            )
        greedy = True


def _names(install: yaml.Node) -> Iterator[Finding]:
    for name, _, node in triples(install):
        if name in _RENAMED:
            yield warning(node, f"install.{name}", _RENAMED[name])
        elif name not in INSTALL_KEYS and (near := nearest(name, INSTALL_KEYS)):
            yield warning(node, f"install.{name}", f"Kairos knows no such key; nearest: '{near}'")
    if uri := find(install, "system", "uri"):
        yield warning(uri, "install.system.uri", "it is deprecated: write 'source'")
    for name, _, node in triples(find(install, "grub_options")):
        if name not in GRUB_OPTIONS:
            known = hint_or_known(name, GRUB_OPTIONS)
            yield warning(node, f"install.grub_options.{name}", f"no such option{known}")
