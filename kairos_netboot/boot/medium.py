"""The disk of one boot for UEFI HTTP Boot under Secure Boot: shim, GRUB, and what GRUB needs.

Firmware takes the image for a RAM disk and starts its \\EFI\\BOOT. Everything is on it: Debian's
signed GRUB knows no HTTP, and beside another DHCP server it would ask that one for its files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InvalidValue
from ..values import Arch, Blob
from .fat import Volume, layout
from .site import KernelFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """`contents`: each file of the volume, in memory or in the store."""

    volume: Volume
    contents: Mapping[str, bytes | Blob]


# On the disk, and among our boot loaders: shim under the name that firmware starts, then what
# shim starts, and what shim starts to have a key enrolled.
_PROGRAMS = {
    Arch.AMD64: {
        "EFI/BOOT/BOOTX64.EFI": "shimx64.efi",
        "EFI/BOOT/grubx64.efi": "grubx64.efi",
        "EFI/BOOT/mmx64.efi": "mmx64.efi",
    },
    Arch.ARM64: {
        "EFI/BOOT/BOOTAA64.EFI": "shimaa64.efi",
        "EFI/BOOT/grubaa64.efi": "grubaa64.efi",
        "EFI/BOOT/mmaa64.efi": "mmaa64.efi",
    },
}
_OPTIONAL = ("mmx64.efi", "mmaa64.efi")

# A signed GRUB has its prefix built in: Debian's grubnet looks in the first (boot it from a RAM
# disk and it says prefix=(hd0)/grub), its gcd in the second, its plain one and Ubuntu's, Fedora's
# and SUSE's in the rest.
_CONFIGS = (
    "grub/grub.cfg",
    "boot/grub/grub.cfg",
    "EFI/debian/grub.cfg",
    "EFI/ubuntu/grub.cfg",
    "EFI/BOOT/grub.cfg",
)
# The configuration holds this boot's secrets, which firmware that asks for the size alone has not
# got yet: the size of the disk must not depend on them.
_ROOM = 8192


def boot_disk(
    arch: Arch, loaders: Mapping[str, bytes], config: str = "", files: KernelFiles | None = None
) -> Disk:
    """The disk with the configuration, and kernel and initrd at its root if there are `files`.

    Its size is the same for every `config`. Raises InvalidValue for a boot loader that is not
    here.
    """
    contents: dict[str, bytes | Blob] = dict(_programs(arch, loaders))
    text = config.encode()
    if len(text) > _ROOM:
        raise InvalidValue(f"GRUB's configuration takes {len(text)} bytes: shorten kernel-args")
    contents |= dict.fromkeys(_CONFIGS, text.ljust(_ROOM, b"\n"))
    if files is not None:
        contents |= {"kernel": files.kernel, "initrd": files.initrd}
    sizes = [(path, _size(content)) for path, content in contents.items()]
    return Disk(volume=layout(sizes), contents=contents)


def _programs(arch: Arch, loaders: Mapping[str, bytes]) -> Mapping[str, bytes]:
    if arch not in _PROGRAMS:
        raise InvalidValue(
            f"there is no signed boot loader for {arch}: boot it without Secure Boot"
        )
    wanted = _PROGRAMS[arch]
    missing = [n for n in wanted.values() if n not in loaders and n not in _OPTIONAL]
    if missing:
        raise InvalidValue(
            f"boot loader {' and '.join(missing)} for Secure Boot not here: see"
            " `kairos-netboot ipxe status`"
        )
    return {path: loaders[name] for path, name in wanted.items() if name in loaders}


def _size(content: bytes | Blob) -> int:
    return content.size if isinstance(content, Blob) else len(content)
