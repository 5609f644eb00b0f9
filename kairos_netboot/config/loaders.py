"""Boot loaders: where each is found, and how to get one that is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    name: str
    path: Path
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaders:
    found: Mapping[str, Loader]
    missing: Mapping[str, str]


_CATALOGUE = {
    "undionly.kpxe": ("ipxe", ("/usr/lib/ipxe/undionly.kpxe",)),
    "snponly.efi": ("ipxe", ("/usr/lib/ipxe/snponly.efi",)),
    "ipxe.efi": ("ipxe", ("/usr/lib/ipxe/ipxe.efi",)),
    "shimx64.efi": ("shim-signed", ("/usr/lib/shim/shimx64.efi.signed",)),
    "grubx64.efi": (
        "grub-efi-amd64-signed",
        ("/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed",),
    ),
}


def find_loaders(folders: tuple[Path, ...], state: Path) -> Loaders:
    found, missing = {}, {}
    places = [*folders, state / "loaders"]
    names = set(_CATALOGUE) | {
        p.name for d in places if d.is_dir() for p in d.iterdir() if p.is_file()
    }
    for name in names:
        package, system = _CATALOGUE.get(name, ("", ()))
        paths = [*(place / name for place in places), *map(Path, system)]
        path = next((p for p in paths if p.is_file()), None)
        if path:
            found[name] = Loader(name=name, path=path, data=path.read_bytes())
        else:
            missing[name] = f"install the package '{package}'"
    return Loaders(found=found, missing=missing)
