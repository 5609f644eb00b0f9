"""Build the sample image: `python3 -m tests.lab.image.build OUT.oci.tar`."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.lab.image import base, layers, oci

VERSION = "1"
EPOCH = 1767225600  # 2026-01-01: the time of every file that the build makes
REF = "kairos-standin:v4.2.0"
HERE = Path(__file__).parent
CACHE = HERE.parents[2] / ".cache/sample-image"
# Two is half as small as nine, and takes a tenth of its time.
LEVEL = 2

Say = Callable[[str], None]


def build(out: Path, *, cache: Path = CACHE, say: Say = print) -> Path:
    """Put the image at out: from the cache if its inputs are those of last time."""
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        stored = cache / f"{cache_key()}.oci.tar"
        if stored.exists():
            say(f"sample image: taken from {stored}")
        else:
            say("sample image: building it from Debian packages (two minutes)")
            _build_into(stored, say)
            _forget_others(cache, stored)
        _copy(stored, out)
    say(f"sample image: {out} ({out.stat().st_size >> 20} MiB)")
    return out


def cache_key() -> str:
    """A hash of all that decides what is in the image, the packages' versions apart."""
    code = [HERE / name for name in ("customize.sh", "base.py", "layers.py", "oci.py")]
    digest = hashlib.sha256(f"{VERSION} {EPOCH} {LEVEL} {base.PACKAGES}".encode())
    for path in [*code, *layers.inputs()]:
        digest.update(f"\0{path.relative_to(HERE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:24]


def _build_into(stored: Path, say: Say) -> None:
    with tempfile.TemporaryDirectory(prefix="building-", dir=stored.parent) as folder:
        work = Path(folder)
        work.chmod(0o755)  # mmdebstrap's unshared root must be able to reach it
        tars = _layer_tars(work, say)
        say("sample image: compressing three layers")
        packed = [
            oci.compress_layer(tar, work / f"{tar.stem}.gz", comment=comment, level=LEVEL)
            for tar, comment in tars
        ]
        created = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        whole = work / "image.oci.tar"
        oci.write_archive(whole, packed, created=created, ref=REF, epoch=EPOCH)
        whole.rename(stored)


def _layer_tars(work: Path, say: Say) -> list[tuple[Path, str]]:
    identity, standin = work / "identity.tar", work / "standin.tar"
    layers.write_identity(identity, EPOCH)
    layers.write_standin(standin, EPOCH)
    started = time.monotonic()
    say("sample image: mmdebstrap installs packages, dracut makes the initrd")
    bottom = work / "base.tar"
    base.build_base(bottom, work, epoch=EPOCH)
    say(f"sample image: base layer done in {time.monotonic() - started:.0f} s")
    return [
        (bottom, "mmdebstrap: Debian, kernel, dracut initrd"),
        (identity, "Kairos' directories and /etc/kairos-release, for a stand-in"),
        (standin, "kairos-standin-agent, which is not Kairos"),
    ]


def _copy(stored: Path, out: Path) -> None:
    """A hard link where that is possible; never a half-written file."""
    if out.exists() and out.samefile(stored):
        return  # and renaming one name of a file to another of its names does nothing
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        temporary.hardlink_to(stored)
    except OSError:
        shutil.copyfile(stored, temporary)
    temporary.replace(out)


def _forget_others(cache: Path, stored: Path) -> None:
    for path in cache.glob("*.oci.tar"):
        if path != stored:
            path.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One build at a time: two test runs on one checkout share the cache."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Build, or say in one line why not."""
    parser = argparse.ArgumentParser(description="Build the Kairos-shaped sample OCI image.")
    parser.add_argument("out", type=Path, help="where the OCI archive goes")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the build cache")
    arguments = parser.parse_args()
    try:
        build(arguments.out, cache=arguments.cache)
    except base.BuildError as error:
        print(f"sample image: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
