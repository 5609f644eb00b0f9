"""What a profile, or a person's order, does with a machine at its boot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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
    that follows it. `disks`: of a wipe; empty: its profile's."""

    action: Action
    disks: tuple[str, ...] = ()
