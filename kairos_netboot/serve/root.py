"""Giving root away once everything that needs it is open."""

from __future__ import annotations

import contextlib
import encodings
import importlib
import os
import pkgutil
import pwd

from ..errors import CannotServe


def drop_root(user: str) -> None:
    """Become `user` for good; nothing where we are not root. Raises CannotServe."""
    if os.geteuid() != 0:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise CannotServe(f"there is no user '{user}' to work as: name one with --user") from None
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def load_codecs() -> None:
    """Import every codec now: Python loads them when first used, and the user we become may not be
    able to read an interpreter that lies in root's home (pyenv, pipx)."""
    for module in pkgutil.iter_modules(encodings.__path__, "encodings."):
        with contextlib.suppress(ImportError):  # two are Windows' own
            importlib.import_module(module.name)
