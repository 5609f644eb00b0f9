"""Boot loaders that `ipxe install` has brought into the state directory."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..boot.binaries import Binary, describe
from ..errors import InvalidValue
from ..store.ownership import give_to_owner
from ..values import Digest
from .loaders import catalogue

_MANIFEST = "manifest.json"


def name_in(path: str) -> str:
    """Under which name a file of a folder or an image is handed out; empty for what is no boot
    loader of the catalogue. iPXE's own build has a folder for each platform."""
    parts = path.strip("/").split("/")
    tail = "/".join(parts[-2:])
    for known in catalogue().values():
        if tail in known.paths:
            return known.name
    for known in catalogue().values():
        if parts[-1] in (known.name, known.file):
            return known.name
    return ""


def checked(name: str, data: bytes, where: str) -> Binary:
    """What the file is; raises InvalidValue where it is not what its name says."""
    try:
        binary = describe(data)
    except InvalidValue as error:
        raise InvalidValue(f"{where} is {error}: it cannot be {name}") from None
    known = catalogue().get(name)
    wanted = known.arch if known else ""
    if known is not None and (binary.arch or "") != wanted:
        is_what = f"for {binary.arch}" if binary.arch else "for BIOS"
        raise InvalidValue(f"{where} is {is_what}, and {name} is for {wanted or 'BIOS'}")
    return binary


def install(files: Mapping[str, bytes], state: Path, source: str) -> Path:
    """Put them into the state directory, each whole or not at all, with a list of their digests;
    the folder. Others that are there stay."""
    folder = state / "loaders"
    folder.mkdir(parents=True, exist_ok=True)
    give_to_owner(folder, state)
    listed = _listed(folder)
    for name, data in files.items():
        _write(folder / name, data, state)
        listed[name] = {"digest": Digest.of(data), "source": source}
    _write(folder / _MANIFEST, json.dumps(listed, indent=2).encode() + b"\n", state)
    return folder


def changed_since(state: Path) -> list[str]:
    """Files whose digest is not what was installed."""
    folder = state / "loaders"
    return [
        name
        for name, entry in _listed(folder).items()
        if not (folder / name).is_file()
        or Digest.of((folder / name).read_bytes()) != entry.get("digest")
    ]


def _listed(folder: Path) -> dict[str, dict[str, str]]:
    try:
        listed = json.loads((folder / _MANIFEST).read_text())
    except (OSError, ValueError):
        return {}
    return listed if isinstance(listed, dict) else {}


def _write(path: Path, data: bytes, state: Path) -> None:
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(made, 0o644)
        give_to_owner(Path(made), state)
        os.replace(made, path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise
