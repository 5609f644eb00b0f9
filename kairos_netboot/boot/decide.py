"""What a machine gets, and why: one function for DHCP, TFTP, HTTP, `explain` and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..values import Arch, Firmware, Mac
from .fleet import Fleet, Node
from .lifecycle import MAX_BOOTS, MAY_INSTALL, State
from .site import DEFAULT_EXITS, ExitMethod, Image, Medium, Profile


class Outcome(StrEnum):
    NOTHING = "nothing"  # no answer at all
    INSTALL = "install"
    DISK = "disk"  # out of the network, to its disk, by `exit`


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`reason` is a sentence for people. `brake`: the node has used up its boots and has to be
    marked failed. `profile` is there with INSTALL and DISK, `image` with INSTALL, `exit` with
    DISK."""

    outcome: Outcome
    reason: str
    node: Node | None = None
    profile: Profile | None = None
    image: Image | None = None
    exit: ExitMethod | None = None
    brake: bool = False


def decide(fleet: Fleet, mac: Mac, firmware: Firmware | None, arch: Arch | None) -> Decision:
    """The decision for one machine as it stands now. `firmware` and `arch`: None when unknown."""
    node = fleet.by_mac.get(mac)
    if node is None or node.spec is None or node.state is State.DISCOVERED:
        return _nothing(node, f"nobody named {mac}: give it a node in the site file")
    profile = fleet.profiles.get(node.spec.profile)
    if profile is None:
        return _nothing(node, f"its profile '{node.spec.profile}' is not in the site any more")
    if node.state not in MAY_INSTALL:
        return _disk(node, profile, firmware, _WHY_DISK[node.state].format(name=node.name))
    if node.boots >= MAX_BOOTS:
        reason = (
            f"{node.name} started the installer {node.boots} times and never finished: "
            f"stopped until `kairos-netboot nodes reinstall {node.name}`"
        )
        return _disk(node, profile, firmware, reason, brake=True)
    return _install(fleet, node, profile, firmware, arch)


_WHY_DISK = {
    State.INSTALLED: "{name} is installed: it boots its disk",
    State.READY: "{name} is installed and ready: it boots its disk",
    State.FAILED: "{name} has failed: it gets no installer until `kairos-netboot nodes "
    "reinstall {name}`",
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


def _install(
    fleet: Fleet, node: Node, profile: Profile, firmware: Firmware | None, arch: Arch | None
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
    reason = f"{node.name} is {node.state}: profile '{profile.name}' installs '{image.name}'"
    return Decision(outcome=Outcome.INSTALL, reason=reason, node=node, profile=profile, image=image)


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
