"""Build the small image: a root file system in a directory, for a `dir:` reference.

Made from unpacked packages, so that nothing of another architecture has to run here.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import shutil
import struct
from pathlib import Path

from kairos_netboot.values import Arch

from .cpio import Archive
from .modules import in_order
from .parts import CACHE, Parts, parts_for

HERE = Path(__file__).parent
SCRIPTS = ("init", "bin/curl", "lib/lease")
PROGRAMS = ("lib/setting.awk", "lib/stage.awk")
WANTED_MODULES = (
    *("virtio_pci", "virtio_net", "virtio_blk", "virtio-rng"),
    *("loop", "squashfs", "vfat", "nls_cp437", "nls_ascii"),
)

RELEASE = """\
KAIROS_NAME="kairos-standin"
KAIROS_PRETTY_NAME="Stand-in for a Kairos image (NOT Kairos; made from Debian packages for tests)"
KAIROS_ID="kairos-standin"
KAIROS_FAMILY="debian"
KAIROS_FLAVOR="debian-standin"
KAIROS_FLAVOR_RELEASE="12"
KAIROS_VARIANT="core"
KAIROS_MODEL="generic"
KAIROS_ARCH="{arch}"
KAIROS_TARGETARCH="{arch}"
KAIROS_VERSION="{version}"
KAIROS_STANDIN="true"
"""

_MIB = 2048  # in sectors
# Kairos makes a GPT; busybox has no tool for one, and UEFI takes the older table, too.
PARTITIONS = ((0xEF, 64), (0x83, 16), (0x83, 256), (0x83, 256))


def build(arch: Arch, *, signed: bool = True, version: str = "v4.2.0") -> Path:
    """The image's directory; without `signed` its kernel has lost its signature. `version` is what
    it says of itself."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE.parent / "small-image.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        parts = parts_for(arch)
        kind = f"{arch}-{version}-{'signed' if signed else 'unsigned'}"
        out = CACHE / f"{kind}-{_key(parts)}"
        if not out.is_dir():
            for old in CACHE.glob(f"{kind}-*"):
                shutil.rmtree(old)
            partial = CACHE / f"{kind}-part"
            shutil.rmtree(partial, ignore_errors=True)
            write_image(partial, parts, version)
            if not signed:
                _spoil(partial / "boot" / parts.kernel.name)
            partial.rename(out)
    return out


def _key(parts: Parts) -> str:
    """A hash of all that decides what is in the image, its packages by the kernel's version."""
    digest = hashlib.sha256(parts.version.encode())
    for path in sorted([*HERE.glob("*.py"), *(HERE / "initrd").iterdir()]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def write_image(out: Path, parts: Parts, version: str) -> None:
    standin = out / "usr/lib/kairos-standin"
    for folder in (out / "boot", out / "etc", out / "usr/lib/modules" / parts.version, standin):
        folder.mkdir(parents=True)
    shutil.copyfile(parts.kernel, out / "boot" / parts.kernel.name)
    shutil.copyfile(parts.config, out / "boot" / parts.config.name)
    (out / "boot/vmlinuz").symlink_to(parts.kernel.name)
    (out / "boot/initrd").write_bytes(make_initrd(parts))
    (out / "etc/kairos-release").write_text(RELEASE.format(arch=parts.arch, version=version))
    (standin / "mbr.img").write_bytes(partition_table())
    for name, data in parts.esp.items():
        path = standin / "esp" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def make_initrd(parts: Parts) -> bytes:
    """busybox, the modules for virtio and the image, and the stand-in's scripts."""
    archive = Archive()
    for folder in ("bin", "dev", "etc", "lib", "modules", "oem", "proc", "run", "sys", "usr/local"):
        archive.directory(folder)
    archive.device("dev/console", 5, 1)  # what the kernel opens before devtmpfs is there
    archive.file("bin/busybox", parts.busybox.read_bytes(), 0o755)
    for name in (*SCRIPTS, *PROGRAMS):
        data = (HERE / "initrd" / Path(name).name).read_bytes()
        archive.file(name, data, 0o755 if name in SCRIPTS else 0o644)
    modules = in_order(parts.modules, WANTED_MODULES)
    for path in modules:
        archive.file(f"modules/{path.name}", path.read_bytes())
    archive.file("modules/order", "".join(f"{path.name}\n" for path in modules).encode())
    return gzip.compress(archive.data(), 6, mtime=0)


def partition_table() -> bytes:
    """A master boot record: an EFI system partition, then COS_OEM, COS_STATE, COS_PERSISTENT."""
    table, start = b"", _MIB
    far = b"\xfe\xff\xff"  # cylinders and heads that say "see the sectors"
    for kind, mib in PARTITIONS:
        table += struct.pack("<B3sB3sII", 0, far, kind, far, start, mib * _MIB)
        start += mib * _MIB
    return bytes(446) + table + b"\x55\xaa"


def _spoil(kernel: Path) -> None:
    """Take the signature's entry out of the PE header: the kernel of somebody who signs nothing."""
    data = bytearray(kernel.read_bytes())
    header = struct.unpack_from("<I", data, 0x3C)[0]
    # The optional header of PE32+ starts 24 bytes in; its directory 4 is the certificate table.
    struct.pack_into("<II", data, header + 24 + 112 + 4 * 8, 0, 0)
    kernel.write_bytes(data)
