"""Which first files there are to hand out: found ones, those made here, and the medium."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..boot.chains import MEDIUM
from .grub import make_network_grub
from .loaders import Loaders, find_loaders

# What grub-mkimage calls each platform, and the Debian package with its modules.
_PLATFORMS = {
    "grub-x64.efi": ("x86_64-efi", "grub-efi-amd64-bin"),
    "grub-aa64.efi": ("arm64-efi", "grub-efi-arm64-bin"),
    "grub-riscv64.efi": ("riscv64-efi", "grub-efi-riscv64-bin"),
}
_SYSTEM = Path("/usr/lib/grub")
# Each pair makes a medium for machines with Secure Boot.
_SIGNED = (("shimx64.efi", "grubx64.efi"), ("shimaa64.efi", "grubaa64.efi"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """`names` are there, or can be made; `missing` says how to get the others."""

    loaders: Loaders
    modules: Mapping[str, Path]  # of the GRUBs that can be made here
    names: frozenset[str]
    missing: Mapping[str, str]

    def make(self) -> dict[str, bytes]:
        """All that can be handed out, by name; GRUBs are made now, a third of a second each."""
        files = {name: loader.data for name, loader in self.loaders.found.items()}
        for name, folder in self.modules.items():
            if name not in files and (made := make_network_grub(_PLATFORMS[name][0], folder)):
                files[name] = made
        return files


def look_on_shelf(folders: tuple[Path, ...], state: Path) -> Shelf:
    """`folders`: those given with --loaders."""
    loaders = find_loaders(folders, state)
    modules = _modules((*folders, state / "loaders", _SYSTEM))
    names = loaders.found.keys() | modules.keys()
    missing = {**loaders.missing, **_how_to_make()}
    if any(names >= set(pair) for pair in _SIGNED):
        names |= {MEDIUM}
    missing[MEDIUM] = "install the packages 'shim-signed' and 'grub-efi-amd64-signed'"
    return Shelf(
        loaders=loaders,
        modules=modules,
        names=frozenset(names),
        missing={name: how for name, how in missing.items() if name not in names},
    )


def _modules(places: tuple[Path, ...]) -> dict[str, Path]:
    """The folder of modules of each network GRUB that can be made."""
    if shutil.which("grub-mkimage") is None:
        return {}
    found = {}
    for name, (platform, _) in _PLATFORMS.items():
        there = (p / platform for p in places if (p / platform / "net.mod").is_file())
        if folder := next(there, None):
            found[name] = folder
    return found


def _how_to_make() -> dict[str, str]:
    return {
        name: f"install grub-common and the package '{package}', or put its folder {platform} of "
        "GRUB modules into one that is given with --loaders"
        for name, (platform, package) in _PLATFORMS.items()
    }
