"""A site's folder as a bundle holds it: replaced whole, or left as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import InvalidValue, StoreProblem
from ..store.ownership import give_to_owner, make_directory

_FIRST = b"oci-layout\0"  # the first name in a bundle's tar


def refuse_other_file(target: Path) -> None:
    """Raise InvalidValue where something else than a bundle would be overwritten."""
    with _told(target):
        if target.exists() and target.stat().st_size and not target.is_dir():
            with target.open("rb") as file:
                if file.read(len(_FIRST)) != _FIRST:
                    raise InvalidValue(f"{target} is there and is no bundle: name another file")


def refuse_others(folder: Path, site: Mapping[str, bytes]) -> None:
    """Raise InvalidValue where the folder holds anything but files of the site as they are."""
    with _told(folder):
        if folder.exists() and not folder.is_dir():
            raise InvalidValue(f"{folder} is no folder: name a new one, or leave --to out")
        for path in folder.rglob("*"):
            known = site.get(str(path.relative_to(folder)))
            same = known is not None and path.is_file() and path.read_bytes() == known
            if not same and not path.is_dir():
                raise InvalidValue(
                    f"{path} is not as in the bundle: name a new folder, or leave --to out"
                )


@contextmanager
def unpacked(site: Mapping[str, bytes], folder: Path) -> Iterator[Path]:
    """A folder of these files beside `folder`, for `in_place`; removed if it is still there."""
    with _told(folder):
        make_directory(folder.parent)
        work = TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent)
    with work as name:
        fresh = Path(name) / "site"
        with _told(folder):
            fresh.mkdir(mode=0o700)  # cloud-configs hold passwords
            for path, data in site.items():
                (fresh / path).parent.mkdir(parents=True, exist_ok=True)
                with (fresh / path).open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            for each in (fresh, *fresh.rglob("*")):
                give_to_owner(each, like=folder.parent)
        yield fresh


@contextmanager
def in_place(fresh: Path, folder: Path) -> Iterator[None]:
    """`fresh` is `folder`; all is as it was if this is left by an exception.

    Somebody may have edited what was there: it is kept, one former version as of images.
    """
    kept, aside = folder.with_name(f"{folder.name}.former"), fresh.parent / "former"
    moves = [(fresh, folder)]
    with _told(folder):
        if folder.exists():
            same = _texts(folder) == _texts(fresh)
            moves.insert(0, (folder, aside if same else kept))
            if kept.exists() and not same:
                moves.insert(0, (kept, aside))
    moved: list[tuple[Path, Path]] = []
    try:
        with _told(folder):
            for source, target in moves:
                source.rename(target)
                moved.append((source, target))
        yield
    except BaseException:
        with _told(folder):
            for source, target in reversed(moved):
                target.rename(source)
        raise


def _texts(folder: Path) -> dict[str, bytes | None]:
    """Every file by its path, and every other entry as None."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreProblem(f"cannot write {folder}: {error.strerror or error}") from error
