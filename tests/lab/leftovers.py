"""Names that tell whose a namespace or folder is, and the removal of what dead runs left."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

NAME_PREFIX = "knb-lab-"
_OWNER = re.compile(rf"{NAME_PREFIX}(\d+)\.(\d+)-")
_SCRATCH = Path("/var/tmp")


def own_mark() -> str:
    """`<pid>.<start time>` of this process: a pid alone is used again."""
    return f"{os.getpid()}.{_start_time(os.getpid())}"


def namespaces(prefix: str = NAME_PREFIX) -> list[str]:
    folder = Path("/run/netns")
    return sorted(p.name for p in folder.glob(f"{prefix}*")) if folder.exists() else []


def sweep() -> None:
    """Remove the namespaces, processes and folders of runs whose process is gone."""
    for namespace in namespaces():
        if _is_orphan(namespace):
            remove_namespace(namespace)
    for folder in _SCRATCH.glob(f"{NAME_PREFIX}*"):
        if _is_orphan(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def remove_namespace(namespace: str) -> None:
    """End what still runs in a namespace of ours, by pid, and delete it."""
    listed = subprocess.run(
        ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False
    )
    for pid in listed.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


def _is_orphan(name: str) -> bool:
    owner = _OWNER.match(name)
    return owner is not None and _start_time(int(owner[1])) != owner[2]


def _start_time(pid: int) -> str | None:
    """Field 22 of /proc/<pid>/stat, counted behind the name, which may hold spaces."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]
