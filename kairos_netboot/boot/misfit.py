"""What is known against a machine starting an image, or an image doing what is asked of it."""

from __future__ import annotations

from ..values import Arch, Firmware
from .actions import Action
from .families import KAIROS, why_unable
from .fleet import Fleet, Node
from .site import Image, Medium, Profile

# The first Kairos (immucore 0.20) that runs from memory as an installed system does.
_FIRST_IN_RAM = (4, 2)


def misfit(node: Node, image: Image, firmware: Firmware | None, arch: Arch | None) -> str:
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


def too_much(node: Node, profile: Profile, image: Image, action: Action) -> str:
    """Why this image cannot do this; empty: it can."""
    if why := why_unable(profile, image, action):
        return f"{node.name} does nothing: {why}"
    if action is Action.INSTALL or profile.family != KAIROS:
        return ""
    if isinstance(image.files, Medium):
        return (
            f"{node.name} cannot do '{action}' with '{image.name}': it is one {image.files.kind} "
            "file, whose command line is part of it"
        )
    version = image.facts.kairos
    if action is Action.RAM and version is not None and version < _FIRST_IN_RAM:
        return (
            f"{node.name} cannot run '{image.name}' from memory: that is Kairos "
            f"{image.facts.version}, and the first that does is v4.2"
        )
    return ""


def why_no_order(fleet: Fleet, node: Node, action: Action) -> str:
    """Why a person's order could not be carried out; empty: nothing is known against it."""
    if action in (Action.LOCAL, Action.MENU):
        return ""
    profile = fleet.profile_of(node)
    if profile is None:
        return f"{node.name} has no profile: give it one in the site file"
    image = fleet.images.get(profile.image)
    if image is None:
        return (
            f"'{action}' needs an image, and profile '{profile.name}' of {node.name} has none: "
            "give it one with `image:` in the site file"
        )
    return misfit(node, image, node.firmware, node.arch) or too_much(node, profile, image, action)
