"""What a site consists of: images, profiles, nodes. Values only, checked where they are parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address

from ..errors import InvalidValue
from ..values import Arch, Blob, Digest, Firmware, Mac
from .actions import Action, Menu, Ram
from .clusters import Cluster, Role
from .hooks import Webhook
from .network import DhcpOptions, DhcpSite, KernelNetwork
from .phone import PhoneHome
from .power import Power
from .unknown import Selector, Unknown


class ExitMethod(StrEnum):
    """How a machine that must not install gets from the network to its disk."""

    SILENCE = "silence"  # no DHCP answer: the firmware goes on by itself
    EXIT = "exit"  # iPXE's `exit 1`: back to the firmware, next boot entry
    SANBOOT = "sanboot"  # iPXE boots the first BIOS disk itself
    GRUB = "grub"  # iPXE starts a small GRUB, which starts the disk's own EFI loader


# SeaBIOS and most BIOS ROMs give up within seconds where nobody offers a file. UEFI goes on with
# all its other ways to boot from a network first: with OVMF, whose disk comes last, the disk is
# reached 281 s after silence, 212 s after iPXE's exit, and 11 s through GRUB.
DEFAULT_EXITS: Mapping[Firmware, ExitMethod] = {
    Firmware.BIOS: ExitMethod.SILENCE,
    Firmware.UEFI: ExitMethod.GRUB,
    # Both go on in their boot order where the network has nothing for them.
    Firmware.UBOOT: ExitMethod.SILENCE,
    Firmware.RASPBERRY: ExitMethod.SILENCE,
}

_EXITS: Mapping[Firmware, tuple[ExitMethod, ...]] = {
    Firmware.BIOS: (ExitMethod.SILENCE, ExitMethod.EXIT, ExitMethod.SANBOOT),
    Firmware.UEFI: (ExitMethod.SILENCE, ExitMethod.EXIT, ExitMethod.GRUB),
}


def exits_of(firmware: Firmware) -> tuple[ExitMethod, ...]:
    """Those that this firmware has a use for."""
    return _EXITS.get(firmware, (ExitMethod.SILENCE,))


class Compression(StrEnum):
    """What to compress with. AUTO: zstd where the image's kernel can read it, else gzip."""

    AUTO = "auto"
    ZSTD = "zstd"
    GZIP = "gzip"
    XZ = "xz"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What /etc/kairos-release and /boot say of an image. Empty text: not stated."""

    arch: Arch
    flavor: str = ""
    flavor_release: str = ""
    variant: str = ""
    model: str = ""
    version: str = ""
    kernel_version: str = ""
    efi_stub: bool | None = None  # whether UEFI firmware can start the kernel; None: not known
    made_of: str = ""  # the image's digest, where the boot files were made elsewhere
    rootfs_format: str = ""  # of a rootfs that is no squashfs: `cpio`, `iso`, …

    @property
    def kairos(self) -> tuple[int, int] | None:
        """The version's first two numbers; None where it has none to read, which counts as new."""
        match = re.match(r"v?(\d+)\.(\d+)", self.version)
        return (int(match[1]), int(match[2])) if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFiles:
    """What a boot loader loads: all of some systems, whose initrd is the whole system."""

    kernel: Blob
    initrd: Blob

    def __iter__(self) -> Iterator[Blob]:
        yield from (self.kernel, self.initrd)


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFiles(KernelFiles):
    """With the root filesystem that the initrd fetches."""

    rootfs: Blob

    def __iter__(self) -> Iterator[Blob]:
        yield from (self.kernel, self.initrd, self.rootfs)


class MediumKind(StrEnum):
    EFI = "efi"  # a unified kernel image, or any other EFI program
    ISO = "iso"


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """Boot files that are one file: what UEFI HTTP Boot starts by itself (Kairos' trusted boot)."""

    blob: Blob
    kind: MediumKind

    def __iter__(self) -> Iterator[Blob]:
        yield self.blob

    @property
    def name(self) -> str:
        """What it is called in addresses: firmware goes by the ending, too."""
        return f"kairos.{self.kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """Where an image is taken from, and how."""

    name: str
    reference: str
    arch: Arch = Arch.AMD64
    insecure: bool = False  # plain HTTP to its registry
    compression: Compression = Compression.AUTO
    verify_key: str = ""  # the public key, as PEM, that must have signed it; empty: not asked
    ca: str = ""  # the authority of its host's certificate, a PEM file; empty: as the site says


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The container image itself, as kept to be a registry for the nodes. `blobs`: its config
    and its layers."""

    media_type: str
    manifest: Blob
    blobs: tuple[Blob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An operating-system image known here. `digest` is its manifest's; `content` None where it
    came as boot files and not as a container image."""

    name: str
    source: ImageSource
    digest: Digest
    facts: ImageFacts
    files: KernelFiles | Medium
    content: Content | None = None
    imported: bool = False  # out of a bundle: nothing here proves that its files are its image's

    @property
    def boot_files(self) -> BootFiles:
        """Raises InvalidValue for an image that is one file, or has no rootfs."""
        if isinstance(self.files, Medium):
            raise InvalidValue(
                f"image '{self.name}' is one {self.files.kind} file, which UEFI HTTP Boot starts"
                " as it is: it has no kernel, initrd and rootfs of its own"
            )
        if not isinstance(self.files, BootFiles):
            raise InvalidValue(f"image '{self.name}' has no rootfs: it was made of `files:`")
        return self.files

    def blobs(self) -> Iterator[Blob]:
        """All that has to be kept for it."""
        yield from self.files
        if self.content is not None:
            yield self.content.manifest
            yield from self.content.blobs


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryHost:
    """How a registry is reached. `mirrors` are asked first, in this order."""

    host: str
    mirrors: tuple[str, ...] = ()
    ca: str = ""  # the PEM file of the authority that signed its certificate; empty: the system's
    insecure: bool = False  # plain HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A cloud-config template as the site's folder held it. `name` is its path there."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How a kind of machine is provisioned. `image` is empty where its action needs none."""

    name: str
    image: str
    family: str = "kairos"  # the folder of boot-templates/
    action: Action = Action.INSTALL
    templates: tuple[Template, ...] = ()
    kernel_args: tuple[str, ...] = ()
    variables: Mapping[str, object] = field(default_factory=dict)
    exits: Mapping[Firmware, ExitMethod] = field(default_factory=dict)
    boot: Mapping[str, str] = field(default_factory=dict)  # over the site's, see boot/chains.py
    network: KernelNetwork = field(default_factory=KernelNetwork)
    documents_opened_by: str = ""  # the key in trusted boot's `config_url`; empty: none does
    match: tuple[Selector, ...] = ()  # machines that get it though nobody named them
    hostname: str = ""  # the pattern of their names
    ram: Ram = field(default_factory=Ram)
    menu: Menu = field(default_factory=Menu)
    disks: tuple[str, ...] = ()  # what a wipe erases; empty: it has to be said with the order
    ssh_keys: tuple[str, ...] = ()  # who may log in to a rescue
    timeout: int = 3600  # seconds without a sign of an install, after which it has failed; 0: never
    cluster: str = ""
    role: Role | None = None
    phone_home: PhoneHome | None = None  # over the site's

    @property
    def arms(self) -> bool:
        """Whether a machine that is named with it is armed. A wipe is only ever ordered."""
        if self.action is Action.RAM:
            return self.ram.writes_disks
        return self.action is Action.INSTALL


class Origin(StrEnum):
    """Who named a machine."""

    SITE = "site"  # the site file
    SELECTED = "selected"  # a profile's selector
    APPROVED = "approved"  # a person, by `nodes approve` or from a table


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """What is said of one machine. It is known by its cards, or by what its firmware says of it;
    `profile` is empty where selectors choose it."""

    name: str
    macs: tuple[Mac, ...] = ()
    profile: str = ""
    uuid: str = ""  # small letters, as the firmware's own byte order has it
    serial: str = ""
    asset: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""  # over its profile's
    role: Role | None = None
    power: Power | None = None
    origin: Origin = Origin.SITE
    variables: Mapping[str, object] = field(default_factory=dict)
    exits: Mapping[Firmware, ExitMethod] = field(default_factory=dict)
    recipe: str = ""  # overrides what its firmware would be answered with; empty: chosen
    boot: Mapping[str, str] = field(default_factory=dict)  # over its profile's
    address: IPv4Address | None = None  # reserved for it, where we are its DHCP server
    dhcp: DhcpOptions = field(default_factory=DhcpOptions)  # over its subnet's


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The whole site file."""

    images: Mapping[str, ImageSource]
    profiles: Mapping[str, Profile]
    nodes: Mapping[str, NodeSpec]
    vendor_recipes: Mapping[str, str] = field(default_factory=dict)  # MAC prefix → recipe
    registries: Mapping[str, RegistryHost] = field(default_factory=dict)
    boot: Mapping[str, str] = field(default_factory=dict)  # row → word, see boot/chains.py
    dhcp: DhcpSite = field(default_factory=DhcpSite)
    unknown: Unknown = field(default_factory=Unknown)
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    phone_home: PhoneHome = field(default_factory=PhoneHome)
    webhooks: tuple[Webhook, ...] = ()
