"""Profiles of systems other than Kairos: which keys go with which family."""

from __future__ import annotations

from collections.abc import Mapping

from ..boot.actions import Action
from ..boot.families import FAMILIES, KAIROS, Family, Form, check_args
from ..boot.site import ImageSource, Profile
from ..images.reference import FileReference, FilesReference, Scheme, parse
from .fields import checked, texts
from .located import Located

_OF_KAIROS = ("cloud-config", "network", "ram", "ssh-keys", "document-key", "phone-home")


def family(fields: Mapping[str, Located]) -> str:
    return fields["family"].choice(KAIROS, *FAMILIES) if "family" in fields else KAIROS


def check_family(
    at: Located, fields: Mapping[str, Located], profile: Profile, images: Mapping[str, object]
) -> None:
    """Raises SiteMistake for what its family cannot have, and for what it has to have."""
    found = images.get(profile.image)
    source = found if isinstance(found, ImageSource) else None
    if profile.family == KAIROS:
        _check_kairos(fields, source)
        return
    system = FAMILIES[profile.family]
    for key in _OF_KAIROS:
        if key in fields:
            raise fields[key].mistake(f"is for family kairos alone, and this is {system.name}")
    _check_image(fields, system, source)
    _check_actions(fields, profile, system)
    _check_document(at, fields, profile, system)
    _check_disks(at, fields, profile, system)
    for arg in texts(fields.get("kernel-args")):
        checked(arg, check_args, arg.text())


def _check_kairos(fields: Mapping[str, Located], source: ImageSource | None) -> None:
    if "document" in fields:
        raise fields["document"].mistake(
            "is for other families: Kairos' documents are named by `cloud-config`"
        )
    reference = parse(source.reference) if source else None
    if isinstance(reference, FilesReference) and not reference.rootfs:
        raise fields["image"].mistake(
            "has no rootfs, which Kairos boots from: add rootfs= to its files:, or give the"
            " profile another `family`"
        )


def _check_image(fields: Mapping[str, Located], system: Family, source: ImageSource | None) -> None:
    reference = parse(source.reference) if source else None
    if isinstance(reference, FileReference) and reference.scheme is Scheme.UKI:
        raise fields["image"].mistake(
            f"is one file that firmware starts, and {system.name} needs a kernel and an initrd:"
            " write files:kernel=X,initrd=X"
        )


def _check_actions(fields: Mapping[str, Located], profile: Profile, system: Family) -> None:
    known = (*system.actions, Action.LOCAL)
    if profile.action not in (*known, Action.MENU):
        words = ", ".join((*known, Action.MENU))
        raise fields["action"].mistake(f"{system.name} has no '{profile.action}' here: {words}")
    for item in profile.menu.items if profile.action is Action.MENU else ():
        if item not in known:
            place = fields.get("menu", fields["action"])
            raise place.mistake(f"{system.name} has no '{item}' here: {', '.join(known)}")


def installs(profile: Profile) -> bool:
    offered = profile.menu.items if profile.action is Action.MENU else (profile.action,)
    return Action.INSTALL in offered


def _check_document(
    at: Located, fields: Mapping[str, Located], profile: Profile, system: Family
) -> None:
    if len(profile.templates) > 1:
        raise fields["document"].mistake(
            f"{system.name} takes one {system.form}, and nothing here merges several"
        )
    if not profile.templates and installs(profile) and system.form is not Form.TEXT:
        raise at.mistake(f"'document' is missing: {system.name} is installed by its {system.form}")
    if profile.templates and system.form is Form.TALOS and not installs(profile):
        raise fields["document"].mistake(
            "Talos would install by it: in memory it waits in its maintenance mode, without one"
        )


def _check_disks(
    at: Located, fields: Mapping[str, Located], profile: Profile, system: Family
) -> None:
    if not system.takes_disk and profile.disks:
        raise fields["disks"].mistake(f"is nothing that {system.name} is told here")
    if system.takes_disk and installs(profile) and len(profile.disks) != 1:
        place = fields.get("disks", at)
        raise place.mistake(f"`disks` names the one disk that {system.name} is installed on")
