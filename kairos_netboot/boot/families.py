"""Families of systems beside Kairos: what each is started with, and how its install is known to
have ended. The facts, with their sources, are in docs/systems.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ..errors import InvalidValue
from ..values import Arch, Mac, Stage
from .actions import Action
from .cmdline import fitting
from .fleet import Fleet, Node
from .lifecycle import State
from .site import BootFiles, Image, KernelFiles, Medium, Profile
from .urls import Urls

KAIROS = "kairos"


class Form(StrEnum):
    """What its document is."""

    TALOS = "machine config"
    IGNITION = "Ignition config"
    K3OS = "k3OS config"
    TEXT = "document"  # whatever the system reads; nothing of it is checked


class End(StrEnum):
    """What tells that an install has ended."""

    REPORT = "report"
    DOCUMENT = "document"  # nothing does: it has fetched its document, and that is all we see


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemBoot:
    """What the command line of one boot is made of. `document_url` is empty without a document,
    `rootfs_url` without a rootfs, `disk` where nobody named one."""

    action: Action
    document_url: str
    installer_url: str
    rootfs_url: str
    server_url: str
    report_url: str
    mac: Mac
    disk: str = ""
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """`file` names the document in addresses. `takes_disk`: the install goes to a disk that we
    have to name. `installer`: its install runs in a live system that has a config of its own."""

    name: str
    form: Form
    file: str
    content_type: str
    words: Callable[[SystemBoot], Iterator[str]]
    actions: tuple[Action, ...] = (Action.INSTALL, Action.RAM)
    end: End = End.REPORT
    takes_disk: bool = False
    installer: bool = False


def _talos(boot: SystemBoot) -> Iterator[str]:
    """Without `talos.config` it waits in its maintenance mode; with one, it installs."""
    yield from ("talos.platform=metal", "slab_nomerge", "pti=on")
    if boot.document_url and boot.action is Action.INSTALL:
        yield f"talos.config={boot.document_url}"


def _flatcar(boot: SystemBoot) -> Iterator[str]:
    yield "flatcar.first_boot=1"
    if url := _live_config(boot):
        yield f"ignition.config.url={url}"


def _fedora_coreos(boot: SystemBoot) -> Iterator[str]:
    yield from ("ignition.firstboot", "ignition.platform.id=metal")
    if boot.rootfs_url:
        yield f"coreos.live.rootfs_url={boot.rootfs_url}"
    if url := _live_config(boot):
        yield f"ignition.config.url={url}"
    if boot.action is Action.INSTALL:
        yield f"coreos.inst.install_dev={boot.disk}"
        yield f"coreos.inst.ignition_url={boot.document_url}"


def _live_config(boot: SystemBoot) -> str:
    """What the system that is started now reads: the installer's own, or the node's."""
    return boot.installer_url if boot.action is Action.INSTALL else boot.document_url


def _k3os(boot: SystemBoot) -> Iterator[str]:
    yield from ("k3os.mode=install", "k3os.install.silent=true")
    yield f"k3os.install.device={boot.disk}"
    yield f"k3os.install.config_url={boot.document_url}"
    if boot.rootfs_url:
        yield f"k3os.install.iso_url={boot.rootfs_url}"


def _generic(boot: SystemBoot) -> Iterator[str]:
    return iter(())


_IGNITION = "application/vnd.coreos.ignition+json"
FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="talos",
            form=Form.TALOS,
            file="machine-config.yaml",
            content_type="application/yaml",
            words=_talos,
            end=End.DOCUMENT,
        ),
        Family(
            name="flatcar",
            form=Form.IGNITION,
            file="config.ign",
            content_type=_IGNITION,
            words=_flatcar,
            takes_disk=True,
            installer=True,
        ),
        Family(
            name="fedora-coreos",
            form=Form.IGNITION,
            file="config.ign",
            content_type=_IGNITION,
            words=_fedora_coreos,
            takes_disk=True,
            installer=True,
        ),
        Family(
            name="k3os",
            form=Form.K3OS,
            file="config.yaml",
            content_type="application/yaml",
            words=_k3os,
            actions=(Action.INSTALL,),
            end=End.DOCUMENT,
            takes_disk=True,
        ),
        Family(
            name="generic",
            form=Form.TEXT,
            file="document",
            content_type="text/plain",
            words=_generic,
        ),
    )
}
# The config of the live system that an install runs in.
INSTALLER_FILE = "installer.ign"
# What a family's nodes may do by themselves, whatever system they have.
_OWN_ACTIONS = (Action.LOCAL, Action.MENU)


def system_line(
    profile: Profile,
    action: Action,
    *,
    urls: Urls,
    mac: Mac,
    files: KernelFiles,
    document_token: str,
    report_url: str,
    loader: Stage,
    arch: Arch,
) -> str:
    """The kernel's command line; raises InvalidValue where it cannot be made."""
    family = FAMILIES[profile.family]
    rootfs = files.rootfs if isinstance(files, BootFiles) else None
    boot = SystemBoot(
        action=action,
        document_url=urls.document(document_token, family.file) if profile.templates else "",
        installer_url=urls.document(document_token, INSTALLER_FILE),
        rootfs_url=urls.blob(mac, rootfs, ROOTFS_FILE) if rootfs else "",
        server_url=urls.base,
        report_url=report_url,
        mac=mac,
        disk=profile.disks[0] if profile.disks else "",
        extra=profile.kernel_args,
    )
    # iPXE on UEFI hands over an initrd only by its name; other loaders would look for it.
    first = ["initrd=initrd"] if loader is Stage.IPXE else []
    extra = rendered_args(boot.extra, places_of(boot))
    return fitting(" ".join([*first, *family.words(boot), *extra]), arch)


# Not `.squashfs`: it seldom is one.
ROOTFS_FILE = "rootfs.img"

# `{{ document_url }}` in kernel-args.
_PLACE = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")
PLACES = ("document_url", "rootfs_url", "server_url", "report_url", "mac")


def places_of(boot: SystemBoot) -> dict[str, str]:
    return {name: str(getattr(boot, name)) for name in PLACES}


def rendered_args(args: Iterable[str], places: Mapping[str, str]) -> list[str]:
    """With the places filled in; raises InvalidValue for one that is none, or has nothing."""
    return [_PLACE.sub(lambda match: _place(match[1], places), arg) for arg in args]


def _place(name: str, places: Mapping[str, str]) -> str:
    if name not in places:
        known = ", ".join(PLACES)
        raise InvalidValue(f"kernel-args have '{{{{ {name} }}}}', known are {known}")
    if not places[name]:
        what = "document" if name == "document_url" else "rootfs"
        raise InvalidValue(f"kernel-args have '{{{{ {name} }}}}', but there is no {what}")
    return places[name]


def check_args(arg: str) -> None:
    """Raises InvalidValue for a kernel argument with a place that nobody knows."""
    rendered_args([arg], dict.fromkeys(PLACES, "x"))
    if "{{" in _PLACE.sub("", arg):
        raise InvalidValue("a place in a kernel argument is written like {{ document_url }}")


def why_unable(profile: Profile, image: Image, action: Action) -> str:
    """Why a profile's machines cannot do this with this image; empty: nothing is known against
    it."""
    if profile.family == KAIROS:
        return _why_no_kairos(image)
    family = FAMILIES.get(profile.family)
    if family is None:
        return f"no family '{profile.family}' is known here"
    if action not in (*family.actions, *_OWN_ACTIONS):
        return f"'{action}' is nothing that {family.name} does here: it has {_list(family.actions)}"
    if isinstance(image.files, Medium):
        return f"image '{image.name}' is one {image.files.kind} file, which is for kairos alone"
    return ""


def _why_no_kairos(image: Image) -> str:
    if isinstance(image.files, Medium):
        return ""
    if not isinstance(image.files, BootFiles) or image.facts.rootfs_format:
        return (
            f"image '{image.name}' has no squashfs as its rootfs, which Kairos boots from: give its"
            " profile another `family:`"
        )
    return ""


def _list(actions: Iterable[Action]) -> str:
    return " and ".join(f"'{action}'" for action in actions)


def family_of(fleet: Fleet, node: Node) -> Family | None:
    """None for Kairos, and for a node without a profile."""
    profile = fleet.profile_of(node)
    return FAMILIES.get(profile.family) if profile else None


def is_silent(profile: Profile) -> bool:
    """Whether a system of it that runs from memory never tells that it does."""
    family = FAMILIES.get(profile.family)
    return family is not None and family.end is End.DOCUMENT


def ends_with_document(fleet: Fleet, node: Node) -> bool:
    """Whether its install counts as done when its document is fetched."""
    family = family_of(fleet, node)
    return family is not None and family.end is End.DOCUMENT and node.running is Action.INSTALL


def opens_document(fleet: Fleet, node: Node) -> bool:
    """As Node.opens_document; and where that is the end, once more after it: a system may fetch
    its document again. By the present boot's token alone, as ever."""
    if node.opens_document:
        return True
    return node.state is State.INSTALLED and ends_with_document(fleet, node)
