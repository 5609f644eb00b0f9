"""What a profile, or a person's order, does with a machine at its boot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ..errors import InvalidValue
from .lifecycle import Kind


class Action(StrEnum):
    INSTALL = "install"  # onto its disk, where it is armed for it, once
    RAM = "ram"  # Kairos from memory, at each boot
    RESCUE = "rescue"  # a live system with SSH keys; its disks stay as they are
    RECOVERY = "recovery"  # Kairos' remote recovery
    WIPE = "wipe"  # a live system that erases disks, where it was ordered, once
    LOCAL = "local"  # its disk
    SHELL = "shell"  # the loader's shell, or the initrd's where the loader has none
    MENU = "menu"  # choose on the console


# What starts a boot of each action that loads a kernel of ours.
STARTS = {
    Action.INSTALL: Kind.BOOT_STARTED,
    Action.RAM: Kind.RAM_STARTED,
    Action.RESCUE: Kind.LIVE_STARTED,
    Action.RECOVERY: Kind.LIVE_STARTED,
    Action.SHELL: Kind.LIVE_STARTED,
    Action.WIPE: Kind.WIPE_STARTED,
}

# A system that runs from memory: its document is open until its next boot begins.
LIVE = frozenset({Action.RAM, Action.RESCUE, Action.RECOVERY, Action.SHELL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ram:
    """`kairos.ram.*`. `partitions`: a disk, `auto`, or empty for none. Partitions are made, and
    `wipe` erases, only in the boot that the node was armed for. Sizes in MiB."""

    partitions: str = ""
    wipe: bool = False
    oem: int | None = None
    persistent: int | None = None

    @property
    def writes_disks(self) -> bool:
        return bool(self.partitions) or self.wipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """`items` in their order; `default` is taken after `timeout` seconds, 0: never."""

    items: tuple[Action, ...] = (Action.LOCAL, Action.RESCUE)
    default: Action = Action.LOCAL
    timeout: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person wants of one node at its next boot, over its profile. Taken back by the boot
    that follows it, but for a wipe, which stands until it is done or taken back. `disks`: of a
    wipe."""

    action: Action
    disks: tuple[str, ...] = ()


def disks_of(order: Order | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    """What a wipe erases: what was ordered, else what the profile says."""
    return (order.disks if order and order.action is Action.WIPE else ()) or usual


def action_named(word: str | None) -> Action | None:
    """None for what is no action: what a machine says is not trusted to be one."""
    return Action(word) if word in set(Action) else None


# No space and no quote: it stands on kernel command lines, and in the script that erases.
_DISK = re.compile(r"/dev/[A-Za-z0-9][A-Za-z0-9._:/@+=,#~-]*")
_KEY = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+ [A-Za-z0-9+/]{40,}={0,2}(?: [^{}\\]*)?")


def disk_path(text: str) -> str:
    """Raises InvalidValue for what cannot be a whole disk's path."""
    if not _DISK.fullmatch(text) or {"..", "."} & set(text.split("/")):
        raise InvalidValue(f"'{text}' is no disk: write it like /dev/disk/by-id/… or /dev/sda")
    if re.match(r"/dev/disk/by-(label|uuid|partlabel|partuuid)/", text):
        raise InvalidValue(f"{text} is a file system or a partition: name a whole disk")
    return text


def ssh_key(text: str) -> str:
    """A line of authorized_keys without options; raises InvalidValue."""
    if not text.isprintable() or not _KEY.fullmatch(text):
        raise InvalidValue("that is no public SSH key: write it like `ssh-ed25519 AAAA… comment`")
    return text
