"""Boot loaders: where each is found, and how to get one that is missing."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .resources import shipped

# Boot loaders have a few megabytes; a folder may hold an ISO as well.
_LARGEST = 32 << 20
_ENDINGS = (".efi", ".kpxe", ".kkpxe", ".pxe", ".lkrn", ".0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    name: str
    path: Path
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaders:
    """`missing`: a name → how to get it, in a sentence's words."""

    found: Mapping[str, Loader]
    missing: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A boot loader of the catalogue. `arch` is empty for BIOS, `package` where no package of the
    system has it; `file` is what it is called there."""

    name: str
    package: str
    arch: str
    file: str
    paths: tuple[str, ...]
    system: tuple[Path, ...]


def catalogue() -> dict[str, Known]:
    data = tomllib.loads((shipped("ipxe") / "loaders.toml").read_text())
    return {
        name: Known(
            name=name,
            package=entry.get("package", ""),
            arch=entry.get("arch", ""),
            file=entry.get("file", name),
            paths=tuple(entry.get("paths", ())),
            system=tuple(map(Path, data["system"].get(entry.get("package", ""), ()))),
        )
        for name, entry in data["loaders"].items()
    }


def find_loaders(folders: tuple[Path, ...], state: Path) -> Loaders:
    """In the operator's folders, in the state, where packages put them; the first place wins."""
    own = (*folders, state / "loaders")
    found: dict[str, Loader] = {}
    for name, path in _candidates(own):
        if name not in found and _is_fit(path):
            found[name] = Loader(name=name, path=path, data=path.read_bytes())
    missing = {name: _how(known) for name, known in catalogue().items() if name not in found}
    return Loaders(found=found, missing=missing)


def _candidates(own: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    """Every name with every place it may be in, the best place first."""
    known = catalogue()
    for folder in own:
        for name, entry in known.items():
            yield from ((name, folder / path) for path in (name, entry.file, *entry.paths))
        yield from ((p.name, p) for p in _files(folder) if p.name not in known)
    for name, entry in known.items():
        yield from ((name, place / entry.file) for place in entry.system)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS)


def _is_fit(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= _LARGEST


def _how(known: Known) -> str:
    if known.package:
        return f"install the package '{known.package}', or put {known.name} into a folder of yours"
    return f"put an iPXE for {known.arch} called {known.name} into a folder of yours (--loaders)"
