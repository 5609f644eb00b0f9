"""The state directory and whose it is. `serve` gives root away and works as its owner, so what a
command run by root adds to it must be the owner's too."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from ..errors import StoreProblem

# The first of these that the machine has; a package would make the first.
_SERVICE_USERS = ("kairos-netboot", "nobody")


def open_directory(path: Path, user: str = "") -> str:
    """Make or take over the state directory; the name of the user it belongs to.

    Only root can give it to anybody; for everyone else it is their own. Raises StoreProblem.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700)  # cloud-configs hold passwords
        if os.geteuid() == 0 and path.stat().st_uid == 0:
            _give_away(path, user or _service_user())
        owner = pwd.getpwuid(path.stat().st_uid).pw_name
    except OSError as error:
        raise StoreProblem(
            f"cannot make the state directory {path}: {error.strerror}; choose another with --state"
        ) from error
    except KeyError:
        raise StoreProblem(f"the owner of {path} is no user of this machine: chown it") from None
    if os.geteuid() == 0 and user and user != owner:
        raise StoreProblem(f"{path} belongs to {owner}, not to {user}: chown -R {user} {path}")
    return owner


def _give_away(path: Path, user: str) -> None:
    inside = list(path.iterdir())
    if inside and not (path / "state.db").exists():
        raise StoreProblem(
            f"{path} is not empty and no state directory: choose another with --state"
        )
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise StoreProblem(f"there is no user '{user}': name one with --user") from None
    path.chmod(0o700)  # as one that we make ourselves
    for each in (path, *path.rglob("*")):
        shutil.chown(each, entry.pw_uid, entry.pw_gid)


def _service_user() -> str:
    """Raises KeyError on a machine without even `nobody`."""
    for name in _SERVICE_USERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return "root"
