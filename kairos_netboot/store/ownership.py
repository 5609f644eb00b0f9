"""Files that root makes must stay usable for the server, which gives root up."""

from __future__ import annotations

import os
from pathlib import Path


def give_to_owner(path: Path, like: Path) -> None:
    """Chown `path` to the owner of `like`; does nothing unless this process is root."""
    if os.geteuid() != 0:
        return
    model = like.stat()
    if (model.st_uid, model.st_gid) != (0, 0):
        os.chown(path, model.st_uid, model.st_gid, follow_symlinks=False)


def make_directory(path: Path) -> None:
    """Create `path` and its missing parents, each with the owner of the one above."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o755, exist_ok=True)
    give_to_owner(path, like=path.parent)
