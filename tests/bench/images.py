"""Our way from an image to its boot files beside the ways of others: run it by hand, as root.

python tests/bench/images.py [--runs 5] [--compression zstd|gzip] [--entries] [--keep FOLDER]

The image, an OCI layout, has four gzip layers with about 1 GB in 40,000 files: 32,000 of this
machine's own /usr (what a list of its files, sorted by the digests of their names, begins with),
8,000 generated ones, and an initrd of 70 MB of noise. On one machine it is always the same.

ours    `images add` as a process of its own, from layout to store: copied, checked, squashed
layers  only its part from layers that are here to a squashfs
umoci   `skopeo copy`, `umoci unpack`, `mksquashfs` with the same compressor, level and blocks
floor   `tar2sqfs` with the merged tar, ready and in the page cache, on its standard input

Prints the median of the runs, which are taken in turn, and its ratio to ours; the same of the
processors' seconds, which other work on the machine disturbs less; the most memory that our own
process held, and the most disk that its store took. `--entries`: an image with as many
entries as are allowed instead.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from kairos_netboot.boot.site import Compression, ImageSource
from kairos_netboot.images import layers as bounds
from kairos_netboot.images.layout import open_layout
from kairos_netboot.images.manifest import LayerFormat, layers_of
from kairos_netboot.images.onepass import write_plain
from kairos_netboot.images.pull import add_image
from kairos_netboot.images.reference import LocalReference, Scheme
from kairos_netboot.images.source import read_whole, resolve
from kairos_netboot.images.squash import squash
from kairos_netboot.images.squashfs import Builder, command
from kairos_netboot.images.streams import StoredLayer
from kairos_netboot.images.tree import new_root
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch, Digest
from tests.images_factory import (
    Entry,
    descriptor,
    encoded,
    file,
    folder,
    kairos_entries,
    media_type,
    symlink,
    tar_of,
    whiteout,
)

MB = 1_000_000
REAL_BYTES, REAL_FILES, ALL_FILES = 900 * MB, 32_000, 40_000
TAG = "bench"


# The image


def real_files() -> Iterator[Entry]:
    """Files of this machine's /usr, under their own names."""
    paths = (Path(top, name) for top, _, names in os.walk("/usr") for name in names)
    left = REAL_BYTES
    for path in islice(sorted(paths, key=lambda path: Digest.of(os.fsencode(path))), 200_000):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > min(left, 16 * MB):
            continue
        data = path.read_bytes()
        left -= len(data)
        yield file(str(path).lstrip("/"), data, path.stat().st_mode & 0o7777)


def generated_files(count: int) -> Iterator[Entry]:
    """Small texts, and one in ten that is compressed already, as kernel modules are."""
    chance = random.Random(1)
    words = [f"option_{n} = value {n * n}\n" for n in range(4096)]
    for number in range(count):
        size = int(chance.lognormvariate(7.5, 1.2))
        text = "".join(chance.choices(words, k=size // 20 + 1)).encode()
        data = chance.randbytes(size * 8) if number % 10 == 0 else text
        yield file(f"usr/share/generated/{number % 97}/{number}", data)


def with_folders(entries: Iterable[Entry]) -> list[Entry]:
    """As Docker writes a layer: sorted, each directory before what is in it."""
    found: dict[str, Entry] = {}
    for entry in entries:
        parts = entry.name.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            found.setdefault("/".join(parts[:count]), folder("/".join(parts[:count])))
        found[entry.name] = entry
    return [found[name] for name in sorted(found)]


def layers_of_bench() -> Iterator[list[Entry]]:
    """A system, packages on top of it, changes and deletions, then kernel and initrd."""
    files = list(islice(real_files(), REAL_FILES))
    files += generated_files(ALL_FILES - len(files))
    random.Random(2).shuffle(files)
    system, packages = files[: len(files) * 6 // 10], files[len(files) * 6 // 10 :]
    yield with_folders([*system, *(symlink(f"etc/alternatives/{n}", "x") for n in range(500))])
    yield with_folders(packages)
    changed = [file(entry.name, entry.data + b"#", entry.mode) for entry in system[:400]]
    yield with_folders([*changed, *(whiteout(entry.name) for entry in system[400:800])])
    kairos = {entry.name.removeprefix("./"): entry for entry in kairos_entries() if entry.name[2:]}
    kairos |= {name: file(name, random.Random(3).randbytes(70 * MB)) for name in ["boot/initrd"]}
    yield with_folders([_renamed(name, entry) for name, entry in kairos.items()])


def _renamed(name: str, entry: Entry) -> Entry:
    return Entry(**{**vars(entry), "name": name})


def layers_at_the_bound() -> Iterator[list[Entry]]:
    """As many entries as an image may have, their names as long as those of a real one."""
    kairos = kairos_entries()
    count = bounds.MAX_ENTRIES - len(kairos) - 1002
    yield kairos
    tops = [folder("d"), folder("d/e"), *(folder(f"d/e/{n}") for n in range(1000))]
    some = (file(f"d/e/{n % 1000}/a-file-of-an-ordinary-name-{n}.txt") for n in range(count))
    yield [*tops, *some]


def write_layout(directory: Path, layers: Iterable[list[Entry]]) -> None:
    """Layers as `docker push` makes them, with gzip's usual level."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def keep(data: bytes, kind: str) -> dict[str, object]:
        (blobs / Digest.of(data).hex).write_bytes(data)
        return descriptor(data, kind)

    diffs, listed = [], []
    for entries in layers:
        tar = tar_of(entries, tarfile.USTAR_FORMAT)
        diffs.append(Digest.of(tar))
        packed = subprocess.run(["gzip", "-n"], input=tar, capture_output=True, check=True).stdout
        listed.append(keep(packed, media_type(LayerFormat.GZIP)))
    system = {"architecture": "amd64", "os": "linux", "config": {}}
    config = encoded(system | {"rootfs": {"type": "layers", "diff_ids": diffs}})
    oci = "application/vnd.oci.image"
    manifest = {"schemaVersion": 2, "mediaType": f"{oci}.manifest.v1+json", "layers": listed}
    manifest |= {"config": keep(config, f"{oci}.config.v1+json")}
    top = keep(encoded(manifest), f"{oci}.manifest.v1+json")
    top |= {"annotations": {"org.opencontainers.image.ref.name": TAG}}
    (directory / "index.json").write_bytes(encoded({"schemaVersion": 2, "manifests": [top]}))
    (directory / "oci-layout").write_bytes(encoded({"imageLayoutVersion": "1.0.0"}))


# The ways


def stored_layers(layout: Path) -> list[StoredLayer]:
    source = open_layout(LocalReference(scheme=Scheme.LAYOUT, path=layout, tag=TAG))
    manifest = resolve(source, Arch.AMD64).manifest
    config = read_whole(source.blob(manifest.config), manifest.config)

    def opener(digest: Digest) -> Callable[[], BinaryIO]:
        return lambda: (layout / "blobs" / "sha256" / digest.hex).open("rb")

    return [
        StoredLayer(layer=layer, open=opener(layer.descriptor.digest))
        for layer in layers_of(manifest, config, Arch.AMD64)
    ]


def run_ours(layout: Path, work: Path, compression: Compression) -> None:
    store = Store(work / "state")
    wanted = ImageSource(name=TAG, reference=f"oci:{layout}:{TAG}", compression=compression)
    add_image(wanted, store, {}, lambda news: None)
    store.close()


def run_layers(layout: Path, work: Path, compression: Compression) -> None:
    squash(stored_layers(layout), work, compression, Builder.TAR2SQFS, lambda news: None)


OURS = {"ours": run_ours, "layers": run_layers}


def commands(way: str, layout: Path, work: Path, compression: Compression) -> list[list[str]]:
    level = command(Builder.MKSQUASHFS, compression, work / "out", new_root(), os.cpu_count() or 1)
    match way:
        case "umoci":
            bundle, copy = str(work / "bundle"), f"oci:{work}/copy:{TAG}"
            options = level[level.index("-b") :]
            return [
                ["skopeo", "copy", "--quiet", f"oci:{layout}:{TAG}", copy],
                ["umoci", "unpack", "--image", copy.removeprefix("oci:"), bundle],
                ["mksquashfs", f"{bundle}/rootfs", level[2], "-no-progress", "-quiet", *options],
            ]
        case "floor":
            jobs = os.cpu_count() or 1
            return [command(Builder.TAR2SQFS, compression, work / "out", new_root(), jobs)]
        case _:
            return [[sys.executable, __file__, "--way", way, str(layout), str(work), compression]]


def be_a_way(way: str, layout: str, work: str, compression: str) -> None:
    """As a process of its own, so that its memory is told apart; the kernel keeps the most."""
    OURS[way](Path(layout), Path(work), Compression(compression))
    status = Path("/proc/self/status").read_text().splitlines()
    most = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
    sys.stdout.write(most)


# The measurement


@contextmanager
def watched(directory: Path) -> Iterator[list[int]]:
    """The most bytes that the directory's files took, looked at twenty times a second."""
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            found = (Path(top, name) for top, _, names in os.walk(directory) for name in names)
            most[0] = max(most[0], sum(_blocks(path) for path in found))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def _blocks(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def measure(way: str, folder: Path, compression: Compression) -> dict[str, float]:
    work = folder / "work"
    work.mkdir()
    os.sync()
    said = ""
    began, spent = time.perf_counter(), processor_seconds()
    with watched(work) if way in OURS else nullcontext([0]) as disk:
        for argv in commands(way, folder / "layout", work, compression):
            with (folder / "ready.tar").open("rb") as tar:
                done = subprocess.run(argv, stdin=tar, capture_output=True, check=True)
            said = done.stdout.decode()
    seconds, processor = time.perf_counter() - began, processor_seconds() - spent
    shutil.rmtree(work)
    memory = float(said) * 1024 if way in OURS else 0.0
    found = {"seconds": seconds, "processor": processor}
    return found | {"memory": memory, "disk": float(disk[0])}


def processor_seconds() -> float:
    """Of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(folder: Path, ways: list[str], runs: int, compression: Compression) -> None:
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(runs):
        for way in ways:
            found[way].append(measure(way, folder, compression))

    def median(way: str, key: str) -> float:
        return statistics.median(run[key] for run in found[way])

    sys.stdout.write(f"{compression}, median of {runs}\n")
    for way in ways:
        memory, disk = (max(run[key] for run in found[way]) / MB for key in ("memory", "disk"))
        more = f"  memory {memory:.0f} MB, disk {disk:.0f} MB" if way in OURS else ""
        each = " ".join(f"{run['seconds']:.2f}" for run in found[way])
        times = (
            f"{median(way, key):8.2f} x{median(way, key) / median(ways[0], key):.2f}"
            for key in ("seconds", "processor")
        )
        sys.stdout.write(f"{way:8}{' '.join(times)}{more}  ({each})\n")


def prepare(folder: Path, layers: Iterable[list[Entry]]) -> None:
    layout, ready = folder / "layout", folder / "ready.tar"
    if not layout.exists():
        write_layout(layout, layers)
        with ready.open("wb") as out:
            write_plain(stored_layers(layout), out)
    blobs = sum(path.stat().st_size for path in (layout / "blobs/sha256").iterdir())
    digest = hashlib.file_digest(ready.open("rb"), "sha256").hexdigest()
    sizes = f"blobs {blobs / MB:.0f} MB, merged tar {ready.stat().st_size / MB:.0f} MB"
    sys.stdout.write(f"{sizes}, sha256:{digest[:12]}…\n")


def main() -> None:
    if sys.argv[1:2] == ["--way"]:
        be_a_way(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--compression", type=Compression, default=Compression.ZSTD)
    parser.add_argument("--entries", action="store_true")
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = chosen.keep or Path(name)
        folder.mkdir(exist_ok=True)
        prepare(folder, layers_at_the_bound() if chosen.entries else layers_of_bench())
        ways = (
            ["ours", "layers", "floor"] if chosen.entries else ["ours", "layers", "umoci", "floor"]
        )
        compare(folder, ways, chosen.runs, chosen.compression)


if __name__ == "__main__":
    main()
