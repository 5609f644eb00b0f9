"""Boot files that are made but not yet in the store: completed, checked, adopted all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..boot.site import BootFiles, Content, Image, ImageFacts, ImageSource, KernelFiles
from ..store.blobs import BlobStore
from ..values import Arch, Blob, Digest
from .kernel import HEAD, KernelFacts, inspect
from .rootfs import facts_from, find_boot_files, find_kernel_version, find_release
from .squashfs_reader import copy_out, read_text, read_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Files in the scratch directory. Without a kernel or an initrd, they are in the rootfs;
    without a digest, the files have no name but their own. `format`: of a rootfs that is no
    squashfs, and tells no facts."""

    rootfs: Path | None
    kernel: Path | None = None
    initrd: Path | None = None
    digest: Digest | None = None
    facts: ImageFacts | None = None
    format: str = ""
    content: Content | None = None
    checked: Mapping[Path, Blob] = field(default_factory=dict)  # files whose digests are proven


def finish(made: Made, wanted: ImageSource, blobs: BlobStore, scratch: Path) -> Image:
    """The image, its files in the store; or ImageProblem, the store as it was."""
    if made.facts is None:
        made = _complete(made, wanted.arch, scratch)
    assert made.kernel is not None
    assert made.initrd is not None
    assert made.facts is not None
    paths = [made.kernel, made.initrd, *([made.rootfs] if made.rootfs else [])]
    kept = [path for path in made.checked if path not in paths]
    kernel, initrd, *others = blobs.adopt_all([*paths, *kept], made.checked)
    files = KernelFiles(kernel=kernel, initrd=initrd)
    if made.rootfs:
        files = BootFiles(kernel=kernel, initrd=initrd, rootfs=others[0])
    return Image(
        name=wanted.name,
        source=wanted,
        digest=made.digest or Digest.of("\n".join(blob.digest for blob in files).encode()),
        facts=made.facts,
        files=files,
        content=made.content,
    )


def _complete(made: Made, arch: Arch, scratch: Path) -> Made:
    """With facts from the rootfs, and kernel and initrd from there unless they were given."""
    if made.rootfs is None or made.format:
        return _without_tree(made, arch)
    root = read_tree(made.rootfs)
    if made.kernel and made.initrd:
        # Whoever gives all three files may keep the kernel out of the root file system.
        release, version = find_release(root), find_kernel_version(root)
        kernel, initrd = made.kernel, made.initrd
    else:
        boot = find_boot_files(root)
        release, version = boot.release, boot.kernel_version
        kernel = copy_out(made.rootfs, boot.kernel.path, scratch / "kernel")
        initrd = copy_out(made.rootfs, boot.initrd.path, scratch / "initrd")
    text = read_text(made.rootfs, release.path) if release else ""
    facts = facts_from(text, kernel_version=version, arch=arch, kernel=_about(kernel))
    return replace(made, kernel=kernel, initrd=initrd, facts=facts)


def _without_tree(made: Made, arch: Arch) -> Made:
    """Of another system: all that is known is what its kernel's first bytes tell."""
    assert made.kernel is not None
    facts = facts_from("", kernel_version="", arch=arch, kernel=_about(made.kernel))
    return replace(made, facts=replace(facts, rootfs_format=made.format))


def _about(kernel: Path) -> KernelFacts:
    with kernel.open("rb") as file:
        return inspect(file.read(HEAD))
