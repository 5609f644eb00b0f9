"""Bundles, as skopeo reads them, and on a box that has no network."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.site import BootFiles, Image, ImageSource
from kairos_netboot.config.resources import load_recipes, load_scripts
from kairos_netboot.config.sitefile import load_site, load_with_files
from kairos_netboot.errors import StoreProblem
from kairos_netboot.images.bundle import export_bundle
from kairos_netboot.images.progress import Progress
from kairos_netboot.images.unbundle import open_bundle, take_blobs
from kairos_netboot.store.boots import Boots
from kairos_netboot.store.index import Index
from kairos_netboot.store.store import Store
from kairos_netboot.values import Digest
from kairos_netboot.web.app import make_app
from tests.bundles import keep, made_image
from tests.registries import needs
from tests.small_disk import filled_up, small_disk
from tests.unit.boot.sample import DOCUMENT

pytestmark = pytest.mark.wire

KEY = ec.derive_private_key(7, ec.SECP256R1())
SITE = """\
images:
  debian: quay.io/kairos/debian:v4
  local: oci-archive:images/local.tar:v1
profiles:
  server: {image: debian, cloud-config: base.yaml}
nodes:
  alpha: {macs: 52:54:00:00:00:01, profile: server}
"""


@pytest.fixture
def central(tmp_path: Path) -> Iterator[Store]:
    """With the images of the site beside it."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "site.yaml").write_text(SITE)
    (folder / "base.yaml").write_text(DOCUMENT)
    with closing(Store(tmp_path / "central")) as store:
        sources = load_site(folder / "site.yaml", load_recipes().recipes).images
        for number, source in enumerate(sources.values()):
            keep(store, source, made_image(number), source.name.encode())
        yield store


@pytest.fixture
def bundle(central: Store, tmp_path: Path) -> Path:
    return export(central, tmp_path, tmp_path / "b.tar")


def export(store: Store, tmp_path: Path, target: Path) -> Path:
    site_file = tmp_path / "site" / "site.yaml"
    _, texts = load_with_files(site_file, load_recipes().recipes)
    images = list(store.fleet().images.values())

    export_bundle(
        target,
        texts,
        "site.yaml",
        images,
        store.blobs,
        KEY,
        lambda told: None,
    )
    return target


def run(*argv: str | Path) -> bytes:
    done = subprocess.run(list(map(str, argv)), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_reads_the_bundle_and_its_images(
    central: Store, bundle: Path, tmp_path: Path
) -> None:
    needs("skopeo")
    listed = run("skopeo", "inspect", "--raw", f"oci-archive:{bundle}:kairos-netboot.bundle")
    assert json.loads(listed)["artifactType"] == "application/vnd.kairos-netboot.bundle.v1"
    for name, image in central.fleet().images.items():
        told = json.loads(run("skopeo", "inspect", f"oci-archive:{bundle}:{name}"))
        assert (told["Digest"], told["Architecture"]) == (image.digest, "amd64")
        copied = tmp_path / name
        source = f"oci-archive:{bundle}:{name}"
        run("skopeo", "--insecure-policy", "copy", source, f"dir:{copied}")
        assert image.content is not None
        for blob in image.content.blobs:
            assert Digest.of((copied / blob.digest.hex).read_bytes()) == blob.digest


@contextmanager
def serving(store: Store) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    ports: list[int] = []
    ready = threading.Event()

    async def serve() -> web.AppRunner:
        index = Index(store)
        await index.load()
        runner = web.AppRunner(
            make_app(index, store.blobs, load_scripts(), {}, Boots(index)), access_log=None
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(runner.addresses[0][1])
        ready.set()
        return runner

    def work() -> None:
        runner = loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"127.0.0.1:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@pytest.mark.timeout(60)
def test_a_box_without_a_network_serves_what_it_imports(
    central: Store, bundle: Path, tmp_path: Path
) -> None:
    needs("unshare", "skopeo")
    images = central.fleet().images
    shutil.rmtree(tmp_path / "site")
    edge = tmp_path / "edge"
    alone = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-current-user"])]
    made = subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0
    if not made and os.environ.get("CI") != "true":
        pytest.skip("cannot make a network namespace")
    program = [*alone, sys.executable, "-c", "from kairos_netboot.cli.main import main; main()"]
    program += ["--state", str(edge)]
    run(*program, "bundle", "import", bundle)
    assert run(*program, "apply", edge / "site" / "site.yaml") == b"nothing to change\n"
    with closing(Store(edge)) as store, serving(store) as host:
        assert store.fleet().named("alpha").state is State.ARMED
        for name, image in images.items():
            found = f"docker://{host}/{name}:latest"
            told = json.loads(run("skopeo", "inspect", "--tls-verify=false", found))
            assert told["Digest"] == image.digest
            target = tmp_path / f"pulled-{name}"
            copy = ("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false")
            run(*copy, found, f"dir:{target}")
            assert image.content is not None
            assert (target / "manifest.json").stat().st_size == image.content.manifest.size


# --- large ones ---

LARGE = 48_000_000


def keep_large(store: Store, source: ImageSource) -> Image:
    """One with a squashfs of many megabytes."""
    kept = keep(store, source, None)
    with store.blobs.scratch() as scratch:
        (scratch / "rootfs").write_bytes(random.Random(1).randbytes(LARGE))
        (rootfs,) = store.blobs.adopt_all([scratch / "rootfs"])
    files = BootFiles(kernel=kept.boot_files.kernel, initrd=kept.boot_files.initrd, rootfs=rootfs)
    large = replace(kept, files=files)
    store.add_image(large)
    return large


@pytest.fixture
def large(central: Store, tmp_path: Path) -> Path:
    keep_large(central, central.fleet().images["local"].source)
    return export(central, tmp_path, tmp_path / "large.tar")


@pytest.mark.timeout(60)
def test_memory_does_not_grow_with_the_images(central: Store, large: Path, tmp_path: Path) -> None:
    with closing(Store(tmp_path / "edge")) as edge:
        tracemalloc.start()
        try:
            export(central, tmp_path, tmp_path / "again.tar")
            take_blobs(open_bundle(large, None), edge.blobs, lambda told: None)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 16_000_000


def test_a_full_disk_leaves_no_half_of_a_bundle(
    central: Store, large: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 20) as disk:
        (disk / "b.tar").write_bytes(b"older")
        with pytest.raises(StoreProblem, match=r"cannot write .*/b\.tar: No space left"):
            export(central, tmp_path, disk / "b.tar")
        assert os.listdir(disk) == ["b.tar"]
        assert (disk / "b.tar").read_bytes() == b"older"


def test_a_disk_that_fills_up_under_an_import_leaves_the_store_as_it_was(
    large: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 128) as disk, closing(Store(disk / "state")) as edge:
        full: list[object] = []

        def tell(news: Progress | str) -> None:
            if not full and isinstance(news, Progress) and news.done > 8_000_000:
                filler = filled_up(disk)
                full.append(filler)
                filler.__enter__()

        with pytest.raises(StoreProblem, match="No space left on device"):
            take_blobs(open_bundle(large, None), edge.blobs, tell)
        assert full
        assert edge.blobs.all() == ()
        assert list((edge.blobs.root / "work").iterdir()) == []
        (disk / "somebody-elses").unlink()
        take_blobs(open_bundle(large, None), edge.blobs, lambda told: None)


def test_what_will_not_fit_is_not_begun(large: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 60) as disk, closing(Store(disk / "state")) as edge:
        with pytest.raises(StoreProblem, match=r"needs about .* make room"):
            take_blobs(open_bundle(large, None), edge.blobs, lambda told: None)
        assert edge.blobs.all() == ()
