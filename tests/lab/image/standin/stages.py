"""Stages of a cloud-config: which entries a stage has, and running them."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .console import say
from .documents import Document

KNOWN = frozenset({"name", "if", "commands", "files", "hostname"})


class StageError(Exception):
    """A command failed, and the configuration says `strict`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that an entry writes."""

    path: str
    content: str
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a stage, in the order of its work: guard, files, commands, host name."""

    name: str
    guard: str
    files: tuple[File, ...]
    commands: tuple[str, ...]
    hostname: str
    ignored: tuple[str, ...]


def entries(document: Document, stage: str) -> list[Entry]:
    """The entries of a stage with its `.before` and `.after`."""
    stages = document.get("stages") or {}
    names = (f"{stage}.before", stage, f"{stage}.after")
    found = [item for name in names for item in stages.get(name) or []]
    return [_entry(item) for item in found if isinstance(item, dict)]


def run_stage(document: Document, stage: str, *, root: str = "/") -> None:
    """Run a stage; failing commands are only shown, unless the document says `strict: true`."""
    for entry in entries(document, stage):
        if entry.guard and _shell(entry.guard, root)[0] != 0:
            continue
        say(f"stage {stage}: {entry.name}")
        if entry.ignored:
            say(f"stage {stage}: the stand-in ignores {', '.join(entry.ignored)}")
        failed = run_entry(entry, root)
        for message in failed:
            say(f"stage {stage}: {message}")
        if failed and document.get("strict") is True:
            raise StageError(f"stage {stage}: {failed[0]}")


def run_entry(entry: Entry, root: str = "/") -> list[str]:
    """Do what one entry says, its guard apart; returns what failed."""
    for file in entry.files:
        write_file(file, Path(root))
    results = [(command, *_shell(command, root)) for command in entry.commands]
    if entry.hostname:
        set_hostname(entry.hostname, Path(root))
    return [
        f"command failed with {code}: {command.splitlines()[0]}: {output}"
        for command, code, output in results
        if code != 0
    ]


def write_file(file: File, root: Path) -> None:
    """Write a file with its mode, making the directories above it."""
    path = root / file.path.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file.content)
    path.chmod(file.mode)


def set_hostname(name: str, root: Path = Path("/")) -> None:
    """Name the running system, and the one in root."""
    (root / "etc/hostname").write_text(f"{name}\n")
    if root == Path("/"):
        socket.sethostname(name)


def _entry(item: dict[str, Any]) -> Entry:
    return Entry(
        name=str(item.get("name") or "(no name)"),
        guard=str(item.get("if") or ""),
        files=tuple(_file(file) for file in item.get("files") or []),
        commands=tuple(str(command) for command in item.get("commands") or []),
        hostname=str(item.get("hostname") or ""),
        ignored=tuple(sorted(item.keys() - KNOWN)),
    )


def _file(item: dict[str, Any]) -> File:
    mode = item.get("permissions", 0o644)
    return File(
        path=str(item["path"]),
        content=str(item.get("content") or ""),
        mode=int(mode, 8) if isinstance(mode, str) else int(mode),
    )


def _shell(command: str, root: str) -> tuple[int, str]:
    """Run a command in root; its exit code and the last line that it wrote."""
    enter: Callable[[], None] | None = None if root == "/" else lambda: _enter(root)
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        preexec_fn=enter,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    print(f"+ {command}\n{done.stdout}", flush=True)
    lines = done.stdout.strip().splitlines()
    return done.returncode, lines[-1] if lines else ""


def _enter(root: str) -> None:
    os.chroot(root)
    os.chdir("/")
