"""What a machine gets, and why: one function for DHCP, TFTP, HTTP, `explain` and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..values import Arch, Firmware, Mac
from .actions import Action
from .clusters import waits_for
from .fleet import Fleet, Node
from .lifecycle import MAX_BOOTS, MAY_INSTALL, MAY_WIPE, State
from .site import DEFAULT_EXITS, ExitMethod, Image, Medium, Profile
from .unknown import INVENTORY, word_for


class Outcome(StrEnum):
    NOTHING = "nothing"  # no answer at all
    INSTALL = "install"
    LIVE = "live"  # a system from memory: `action` says which
    DISK = "disk"  # out of the network, to its disk, by `exit`
    WAIT = "wait"  # asks again until another node is there
    INVENTORY = "inventory"  # tells what it is, then its disk
    MENU = "menu"  # a person at its console chooses


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`reason` is a sentence for people. `brake`: the node has used up its boots and has to be
    marked failed. `profile` is there with all but NOTHING and INVENTORY, `image` with INSTALL and
    LIVE, `exit` with DISK and INVENTORY. `action` is what is done, where something is."""

    outcome: Outcome
    reason: str
    node: Node | None = None
    profile: Profile | None = None
    image: Image | None = None
    exit: ExitMethod | None = None
    brake: bool = False
    action: Action | None = None

    @property
    def loads(self) -> bool:
        """Whether a kernel of ours is started, by a boot plan."""
        return self.outcome in (Outcome.INSTALL, Outcome.LIVE)


def decide(
    fleet: Fleet,
    mac: Mac,
    firmware: Firmware | None,
    arch: Arch | None,
    *,
    chosen: Action | None = None,
) -> Decision:
    """The decision for one machine as it stands now. `firmware` and `arch`: None when unknown.
    `chosen`: at its console, of its menu."""
    node = fleet.by_mac.get(mac)
    if node is None or node.spec is None or node.state is State.DISCOVERED:
        return _unnamed(fleet, mac, node, firmware)
    if node.denied:
        return _nothing(node, f"{node.name} was denied: `kairos-netboot nodes approve` undoes it")
    profile = fleet.profiles.get(node.spec.profile)
    if profile is None:
        return _nothing(node, f"its profile '{node.spec.profile}' is not in the site any more")
    action = _action(node, profile, chosen)
    if action is Action.MENU:
        reason = f"{node.name} chooses on its console"
        return Decision(outcome=Outcome.MENU, reason=reason, node=node, profile=profile)
    if action is Action.INSTALL:
        return _to_install(fleet, node, profile, firmware, arch)
    if action is Action.WIPE:
        return _to_wipe(fleet, node, profile, firmware, arch)
    if action is Action.LOCAL:
        return _disk(node, profile, firmware, f"{node.name} boots its disk")
    return _load(fleet, node, profile, firmware, arch, action)


def _action(node: Node, profile: Profile, chosen: Action | None) -> Action:
    """A person's order comes first, then what was chosen of a menu that offers it."""
    if node.order is not None:
        return node.order.action
    if node.state in MAY_WIPE:
        return Action.WIPE
    if profile.action is Action.MENU and chosen in profile.menu.items:
        return chosen or Action.MENU
    return profile.action


def _unnamed(fleet: Fleet, mac: Mac, node: Node | None, firmware: Firmware | None) -> Decision:
    """Machines without a name, or without a profile yet."""
    if node is not None and node.denied:
        return _nothing(node, f"{mac} was denied: `kairos-netboot nodes approve` undoes it")
    word = word_for(fleet.unknown, node)
    if word == INVENTORY:
        reason = f"nobody named {mac}: it is asked what it is, and boots its disk"
        own = DEFAULT_EXITS[firmware or Firmware.BIOS]
        return Decision(outcome=Outcome.INVENTORY, reason=reason, node=node, exit=own)
    return _nothing(node, f"nobody named {mac}: give it a node in the site file")


def _to_install(
    fleet: Fleet, node: Node, profile: Profile, firmware: Firmware | None, arch: Arch | None
) -> Decision:
    if node.state not in MAY_INSTALL:
        return _disk(node, profile, firmware, _WHY_DISK[node.state].format(name=node.name))
    if node.boots >= MAX_BOOTS:
        return _braked(node, profile, firmware, "installer", "nodes reinstall")
    if waits := waits_for(fleet, node):
        reason = f"{node.name} is {node.state} and {waits}"
        return Decision(outcome=Outcome.WAIT, reason=reason, node=node, profile=profile)
    return _load(fleet, node, profile, firmware, arch, Action.INSTALL)


def _to_wipe(
    fleet: Fleet, node: Node, profile: Profile, firmware: Firmware | None, arch: Arch | None
) -> Decision:
    if node.state not in MAY_WIPE:
        reason = f"{node.name} is not to be wiped before `kairos-netboot nodes wipe {node.name}`"
        if node.state is State.WIPED:
            reason = f"{node.name} is wiped: it gets no more until somebody arms it"
        return _disk(node, profile, firmware, reason)
    if node.boots >= MAX_BOOTS:
        return _braked(node, profile, firmware, "eraser", "nodes wipe")
    return _load(fleet, node, profile, firmware, arch, Action.WIPE)


def _braked(
    node: Node, profile: Profile, firmware: Firmware | None, what: str, command: str
) -> Decision:
    reason = (
        f"{node.name} started the {what} {node.boots} times and never finished: "
        f"stopped until `kairos-netboot {command} {node.name}`"
    )
    return _disk(node, profile, firmware, reason, brake=True)


_WHY_DISK = {
    State.IDLE: "{name} is not armed: `kairos-netboot nodes reinstall {name}` arms it",
    State.INSTALLED: "{name} is installed: it boots its disk",
    State.READY: "{name} is installed and ready: it boots its disk",
    State.FAILED: "{name} has failed: it gets no installer until `kairos-netboot nodes "
    "reinstall {name}`",
    State.LIVE: "{name} ran from memory and is not armed: `kairos-netboot nodes reinstall {name}` "
    "arms it",
    State.CONDEMNED: "{name} is to be wiped, not installed",
    State.WIPING: "{name} is being wiped, not installed",
    State.WIPED: "{name} is wiped: `kairos-netboot nodes reinstall {name}` arms it",
}


def _nothing(node: Node | None, reason: str) -> Decision:
    return Decision(outcome=Outcome.NOTHING, reason=reason, node=node)


def _disk(
    node: Node, profile: Profile, firmware: Firmware | None, reason: str, *, brake: bool = False
) -> Decision:
    return Decision(
        outcome=Outcome.DISK,
        reason=reason,
        node=node,
        profile=profile,
        exit=exit_method(node, profile, firmware),
        brake=brake,
    )


def exit_method(node: Node, profile: Profile, firmware: Firmware | None) -> ExitMethod:
    """The node's own setting, then its profile's, then what suits the firmware."""
    firmware = firmware or Firmware.BIOS
    own = node.spec.exits if node.spec else {}
    return own.get(firmware) or profile.exits.get(firmware) or DEFAULT_EXITS[firmware]


def _load(
    fleet: Fleet,
    node: Node,
    profile: Profile,
    firmware: Firmware | None,
    arch: Arch | None,
    action: Action,
) -> Decision:
    image = fleet.images.get(profile.image)
    if image is None:
        return _nothing(
            node,
            f"image '{profile.image}' of profile '{profile.name}' is not here: "
            "`kairos-netboot apply` the site file again",
        )
    if misfit := _misfit(node, image, firmware, arch):
        return _nothing(node, misfit)
    does = "installs" if action is Action.INSTALL else f"does '{action}' with"
    reason = f"{node.name} is {node.state}: profile '{profile.name}' {does} '{image.name}'"
    return Decision(
        outcome=Outcome.INSTALL if action is Action.INSTALL else Outcome.LIVE,
        reason=reason,
        node=node,
        profile=profile,
        image=image,
        action=action,
    )


def _misfit(node: Node, image: Image, firmware: Firmware | None, arch: Arch | None) -> str:
    """Why this machine cannot start this image; empty: nothing is known against it."""
    if arch is not None and arch is not image.facts.arch:
        return f"{node.name} is {arch}, its image '{image.name}' is {image.facts.arch}"
    if isinstance(image.files, Medium):
        if firmware in (None, Firmware.UEFI):
            return ""
        return (
            f"{node.name} has no UEFI firmware, and '{image.name}' is one {image.files.kind} file, "
            "which only UEFI HTTP Boot starts"
        )
    if firmware is Firmware.UEFI and image.facts.efi_stub is False:
        # On UEFI, iPXE and GRUB hand the kernel to the firmware as a program.
        return (
            f"{node.name} has UEFI firmware, which cannot start the kernel of '{image.name}': "
            "it has no EFI stub (CONFIG_EFI_STUB)"
        )
    return ""
