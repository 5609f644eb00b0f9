"""Boot files from squashfs files that others made."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kairos_netboot.boot.site import ImageFacts, ImageSource
from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.made import Made, finish
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch, Blob, Digest

CAPTURES = Path(__file__).parent / "captures"
WANTED = ImageSource(name="x", reference="files:…")
KERNEL = bytes(range(256)) * 40


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "state")) as opened:
        yield opened


def copied(scratch: Path, packing: str = "zstd") -> Path:
    target = scratch / "rootfs"
    target.write_bytes((CAPTURES / f"{packing}.squashfs").read_bytes())
    return target


def arm_kernel() -> bytes:
    """An arm64 kernel that is an EFI program too."""
    head = b"MZ".ljust(0x38, b"\0") + b"ARM\x64" + struct.pack("<I4sH", 0x40, b"PE\0\0", 0xAA64)
    return head.ljust(4096, b"\0")


@pytest.mark.parametrize("packing", ["gzip", "zstd", "xz"])
def test_kernel_initrd_and_facts_come_out_of_a_squashfs(store: Store, packing: str) -> None:
    with store.blobs.scratch() as scratch:
        found = finish(Made(rootfs=copied(scratch, packing)), WANTED, store.blobs, scratch)
    rootfs = (CAPTURES / f"{packing}.squashfs").read_bytes()
    contents = [store.blobs.path(blob.digest).read_bytes() for blob in found.files]
    assert contents == [KERNEL, b"initrd " * 1000, rootfs]
    assert found.facts == ImageFacts(arch=Arch.AMD64, version="v4.2.0", kernel_version="6.1.0")
    assert (found.name, found.source, found.content) == ("x", WANTED, None)


def given_files(scratch: Path, kernel: bytes) -> Made:
    (scratch / "k").write_bytes(kernel)
    (scratch / "i").write_bytes(b"my own initrd")
    return Made(rootfs=copied(scratch), kernel=scratch / "k", initrd=scratch / "i")


def test_given_kernel_and_initrd_win_over_those_in_the_squashfs(store: Store) -> None:
    wanted = ImageSource(name="x", reference="files:…", arch=Arch.ARM64)
    with store.blobs.scratch() as scratch:
        found = finish(given_files(scratch, arm_kernel()), wanted, store.blobs, scratch)
    assert store.blobs.path(found.boot_files.kernel.digest).read_bytes() == arm_kernel()
    assert store.blobs.path(found.boot_files.initrd.digest).read_bytes() == b"my own initrd"
    assert found.facts == ImageFacts(
        arch=Arch.ARM64, version="v4.2.0", kernel_version="6.1.0", efi_stub=True
    )


def test_a_kernel_for_another_architecture_leaves_nothing(store: Store) -> None:
    with store.blobs.scratch() as scratch:
        made = given_files(scratch, arm_kernel())
        with pytest.raises(ImageProblem, match=r"made for amd64, its kernel for arm64"):
            finish(made, WANTED, store.blobs, scratch)
    assert store.blobs.all() == ()


def test_what_is_no_squashfs_leaves_nothing(store: Store) -> None:
    with store.blobs.scratch() as scratch:
        (scratch / "rootfs").write_bytes(b"no squashfs" * 100)
        with pytest.raises(ImageProblem, match="squashfs"):
            finish(Made(rootfs=scratch / "rootfs"), WANTED, store.blobs, scratch)
    assert store.blobs.all() == ()


def test_files_without_a_manifest_are_named_by_all_their_bytes(store: Store) -> None:
    digests = []
    for kernel in (b"one", b"two", b"one"):
        with store.blobs.scratch() as scratch:
            made = given_files(scratch, kernel)
            digests.append(finish(made, WANTED, store.blobs, scratch).digest)
    assert digests[0] == digests[2] != digests[1]


def test_the_manifests_digest_names_what_has_one_and_known_digests_are_believed(
    store: Store,
) -> None:
    digest = Digest.of(b"a manifest")
    with store.blobs.scratch() as scratch:
        layer = scratch / "layer"
        layer.write_bytes(b"layer")
        known = {layer: Blob(digest=Digest.of(b"layer"), size=5)}
        made = Made(rootfs=copied(scratch), digest=digest, checked=known)
        found = finish(made, WANTED, store.blobs, scratch)
    assert found.digest == digest
    assert store.blobs.path(Digest.of(b"layer")).read_bytes() == b"layer"
    assert len(store.blobs.all()) == 4
