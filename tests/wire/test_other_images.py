"""Images of other systems than Kairos: shown, published, taken by another box, freed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kairos_netboot.boot.site import BootFiles, Image, KernelFiles
from kairos_netboot.cli.main import app
from kairos_netboot.errors import NetbootError
from kairos_netboot.store.store import Store
from tests.registries import docker_registry

pytestmark = pytest.mark.wire

KERNEL = bytes(0x202) + b"HdrS" + bytes(5000)
INITRD = b"070701" + bytes(5000)
ROOTFS = b"070701" + b"rootfs" * 1000


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry") / "registry") as host:
        yield host


def command(state: Path, *arguments: str | Path) -> str:
    result = CliRunner().invoke(app, list(map(str, ["--state", state, *arguments])))
    if isinstance(result.exception, NetbootError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def image_in(state: Path, name: str) -> Image:
    with closing(Store(state)) as store:
        found = store.fleet().images[name]
        assert store.is_whole(found)
        return found


def add(folder: Path, *, rootfs: bool) -> Image:
    parts = {"kernel": KERNEL, "initrd": INITRD, **({"rootfs": ROOTFS} if rootfs else {})}
    for name, data in parts.items():
        (folder / name).write_bytes(data)
    reference = "files:" + ",".join(f"{name}={folder / name}" for name in parts)
    command(folder / "central", "images", "add", reference, "--name", "other")
    return image_in(folder / "central", "other")


@pytest.mark.parametrize("rootfs", [True, False])
def test_it_is_listed_shown_and_updated(rootfs: bool, tmp_path: Path) -> None:
    image = add(tmp_path, rootfs=rootfs)
    assert type(image.files) is (BootFiles if rootfs else KernelFiles)
    state = tmp_path / "central"
    assert "other" in command(state, "images", "list")
    shown = command(state, "images", "show", "other")
    assert [word in shown for word in ("kernel", "initrd", "\nrootfs  ")] == [True, True, rootfs]
    assert ("cpio" in shown) is rootfs
    assert "is up to date" in command(state, "images", "update")
    (tmp_path / "initrd").write_bytes(INITRD + b"newer")
    assert "is now" in command(state, "images", "update")
    assert image_in(state, "other").files != image.files


@pytest.mark.parametrize("rootfs", [True, False])
def test_another_box_takes_what_was_published(rootfs: bool, registry: str, tmp_path: Path) -> None:
    image = add(tmp_path, rootfs=rootfs)
    reference = f"{registry}/boot/other:{'with' if rootfs else 'without'}"
    command(tmp_path / "central", "images", "publish", "other", reference, "--insecure")
    command(tmp_path / "edge", "images", "add", reference, "--insecure", "--name", "other")
    taken = image_in(tmp_path / "edge", "other")
    assert taken.files == image.files
    assert taken.facts.rootfs_format == image.facts.rootfs_format


@pytest.mark.parametrize("rootfs", [True, False])
def test_a_bundle_carries_it_and_gc_frees_it(rootfs: bool, tmp_path: Path) -> None:
    image = add(tmp_path, rootfs=rootfs)
    more = ",rootfs=rootfs" if rootfs else ""
    (tmp_path / "site.yaml").write_text(
        f"images: {{other: 'files:kernel=kernel,initrd=initrd{more}'}}\n"
        "profiles: {it: {family: generic, image: other}}\n"
        "nodes: {alpha: {macs: ['52:54:00:00:00:01'], profile: it}}\n"
    )
    central, edge, bundle = tmp_path / "central", tmp_path / "edge", tmp_path / "b.tar"
    command(central, "apply", tmp_path / "site.yaml")
    command(central, "bundle", "export", bundle, "--site", tmp_path / "site.yaml")
    command(edge, "bundle", "import", bundle, "--to", tmp_path / "there")
    assert image_in(edge, "other").files == image.files
    alone = tmp_path / "alone"
    command(alone, "images", "add", f"files:kernel={tmp_path}/kernel,initrd={tmp_path}/initrd")
    command(alone, "images", "rm", "kernel")
    command(alone, "images", "gc", "--yes")
    assert list((alone / "blobs" / "sha256").iterdir()) == []
