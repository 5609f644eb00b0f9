"""What the small image is made of, by architecture, and where that comes from."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kairos_netboot.values import Arch
from tests.lab.image.build import build as build_sample

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache" / "small-image"
# Where scripts/setup-lab unpacks arm64 packages.
ARM64_PACKAGES = ROOT / ".cache" / "arm64" / "root"

_SHIM = Path("/usr/lib/shim/shimx64.efi.signed")
_SIGNED_GRUB = Path("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")

START = "linux /cOS/vmlinuz COS_ACTIVE net.ifnames=1 panic=5 console={console}\ninitrd /cOS/initrd"
# Both are read by GRUBs that know no `if`: the first in rescue mode.
_OWN_GRUB = "search.fs_label COS_STATE root\n{start}\nboot\n"
_DEBIAN_GRUB = "search --no-floppy --label COS_STATE --set root\n{start}\nboot\n"
_OWN_GRUB_MODULES = ("search_label", "part_msdos", "ext2", "linux", "boot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """`version` is the kernel's; `esp` is what the EFI system partition will hold, by name."""

    arch: Arch
    version: str
    kernel: Path
    config: Path
    modules: Path
    busybox: Path
    esp: dict[str, bytes]


def why_not(arch: Arch) -> str:
    """Why there are no parts for it here; empty if there are."""
    needed = [_SHIM, _SIGNED_GRUB, _own_busybox()] if arch is Arch.AMD64 else _arm64_needs()
    missing = [str(path) for path in needed if not path.exists()]
    return f"{', '.join(missing)} missing (scripts/setup-lab)" if missing else ""


def parts_for(arch: Arch) -> Parts:
    return _arm64() if arch is Arch.ARM64 else _amd64()


def _arm64_needs() -> list[Path]:
    names = ("bin/busybox", "boot", "lib/modules", "usr/lib/grub/arm64-efi/linux.mod")
    return [ARM64_PACKAGES / name for name in names]


def _arm64() -> Parts:
    kernel = max((ARM64_PACKAGES / "boot").glob("vmlinuz-*"))
    version = kernel.name.removeprefix("vmlinuz-")
    start = START.format(console="ttyAMA0")
    loader = _make_grub(ARM64_PACKAGES / "usr/lib/grub/arm64-efi", _OWN_GRUB.format(start=start))
    return Parts(
        arch=Arch.ARM64,
        version=version,
        kernel=kernel,
        config=kernel.with_name(f"config-{version}"),
        modules=ARM64_PACKAGES / "lib/modules" / version,
        busybox=ARM64_PACKAGES / "bin/busybox",
        esp={"EFI/BOOT/BOOTAA64.EFI": loader},
    )


def _amd64() -> Parts:
    """The sample image's kernel, which Debian signed, and its modules; the disk is started by
    Debian's signed shim and GRUB, so that it starts with Secure Boot, too."""
    folder = _sample_kernel()
    kernel = max((folder / "boot").glob("vmlinuz-*"))
    version = kernel.name.removeprefix("vmlinuz-")
    config = _DEBIAN_GRUB.format(start=START.format(console="ttyS0"))
    return Parts(
        arch=Arch.AMD64,
        version=version,
        kernel=kernel,
        config=kernel.with_name(f"config-{version}"),
        modules=folder / "usr/lib/modules" / version,
        busybox=_own_busybox(),
        esp={
            "EFI/BOOT/BOOTX64.EFI": _SHIM.read_bytes(),
            "EFI/BOOT/grubx64.efi": _SIGNED_GRUB.read_bytes(),
            "EFI/debian/grub.cfg": config.encode(),
        },
    )


def _own_busybox() -> Path:
    return Path(shutil.which("busybox") or "/bin/busybox")


def _sample_kernel() -> Path:
    """/boot and the modules of the sample image, unpacked once for each version of it."""
    archive = build_sample(ROOT / ".cache" / "sample.oci.tar", say=lambda _: None)
    with tarfile.open(archive) as outer:
        manifest = _blob(outer, json.load(_member(outer, "index.json"))["manifests"][0])
        digest = manifest["layers"][0]["digest"].removeprefix("sha256:")
        folder = CACHE / f"kernel-{digest[:16]}"
        if not folder.is_dir():
            with tarfile.open(
                fileobj=_member(outer, f"blobs/sha256/{digest}"), mode="r:gz"
            ) as layer:
                _unpack(layer, folder)
    return folder


def _unpack(layer: tarfile.TarFile, folder: Path) -> None:
    wanted = ("boot/vmlinuz-", "boot/config-", "usr/lib/modules/")
    partial = folder.with_suffix(".part")
    for member in layer:
        member.name = member.name.removeprefix("./")
        if member.isfile() and member.name.startswith(wanted):
            layer.extract(member, partial, filter="data")
    partial.rename(folder)


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    member = archive.extractfile(name)
    assert member is not None
    return member


def _blob(archive: tarfile.TarFile, descriptor: dict[str, str]) -> dict[str, list[dict[str, str]]]:
    name = descriptor["digest"].replace(":", "/")
    value: dict[str, list[dict[str, str]]] = json.load(_member(archive, f"blobs/{name}"))
    return value


def _make_grub(modules: Path, config: str) -> bytes:
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "disk.cfg").write_text(config)
    out = CACHE / "disk.efi"
    argv = ["grub-mkimage", "-d", str(modules), "-O", "arm64-efi", "-p", "/none"]
    argv += ["-c", str(CACHE / "disk.cfg"), "-o", str(out), *_OWN_GRUB_MODULES]
    subprocess.run(argv, check=True)
    return out.read_bytes()
