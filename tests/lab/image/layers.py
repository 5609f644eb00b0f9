"""The upper layers, written as tars by Python: identity and odd cases, then the stand-in."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
OVERLAY = HERE / "overlay"
STANDIN = HERE / "standin"
LIB = "usr/lib/kairos-standin"
CHECKS = f"{LIB}/checks"
UNITS = "etc/systemd/system"

# Mount points and places that Kairos' installer and immucore expect in the image.
DIRECTORIES = (
    *("dev", "proc", "sys", "run", "tmp", "mnt", "oem", "system", "system/oem"),
    *("usr/local", "etc/kairos", "usr/local/cloud-config", LIB, CHECKS),
)

# Seconds under emulation for nothing: caches that the build has made or nobody needs, timers.
MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"),
    *("fstrim.timer", "systemd-tmpfiles-clean.timer", "e2scrub_reap.service"),
    *("systemd-hwdb-update.service", "systemd-journal-catalog-update.service"),
    *("systemd-update-done.service", "ldconfig.service", "systemd-sysusers.service"),
    *("systemd-pstore.service", "systemd-binfmt.service", "systemd-firstboot.service"),
    *("systemd-machine-id-commit.service", "systemd-network-generator.service"),
    *("systemd-journal-flush.service", "systemd-random-seed.service", "systemd-pcrphase.service"),
    *("systemd-pcrphase-sysinit.service", "systemd-boot-system-token.service"),
    *("systemd-update-utmp.service", "systemd-update-utmp-runlevel.service"),
    *("systemd-networkd-wait-online.service", "systemd-logind.service", "getty@tty1.service"),
    "dracut-shutdown.service",
    *("dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount"),
    *("sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount", "modprobe@fuse.service"),
)
ENABLED = ("kairos-standin-installer.service", "kairos-standin-boot.service")

# A version 2 capability set (linux/capability.h): revision 2 with the effective bit, then
# permitted and inheritable, low words and high. Bit 13 is CAP_NET_RAW, what `ping` carries.
CAPABILITY = bytes.fromhex("01000002 00200000 00000000 00000000 00000000")


class LayerWriter:
    """A tar with every owner root and every time the same, in the order of its calls; each
    directory comes before what is in it, as Docker writes layers."""

    def __init__(self, tar: tarfile.TarFile, epoch: int) -> None:
        self._tar = tar
        self._epoch = epoch
        self._declared = {""}

    def directory(self, name: str, mode: int = 0o755) -> None:
        self._declare(name.rpartition("/")[0])
        self._declared.add(name)
        self._tar.addfile(self._info(name, tarfile.DIRTYPE, mode))

    def _declare(self, name: str) -> None:
        if name not in self._declared:
            self.directory(name)

    def file(self, name: str, data: bytes, mode: int = 0o644, *, uid: int = 0,
             xattrs: dict[str, bytes] | None = None) -> None:  # fmt: skip
        self._declare(name.rpartition("/")[0])
        info = self._info(name, tarfile.REGTYPE, mode)
        info.size, info.uid, info.gid = len(data), uid, uid
        # PAX records are UTF-8 text to tarfile; CAPABILITY has no byte above 127.
        info.pax_headers = {
            f"SCHILY.xattr.{key}": value.decode("ascii") for key, value in (xattrs or {}).items()
        }
        self._tar.addfile(info, io.BytesIO(data))

    def symlink(self, name: str, target: str) -> None:
        self._link(name, target, tarfile.SYMTYPE)

    def hard_link(self, name: str, target: str) -> None:
        self._link(name, target, tarfile.LNKTYPE)

    def whiteout(self, name: str) -> None:
        """Hide a file of the layers below."""
        parent, _, base = name.rpartition("/")
        self.file(f"{parent}/.wh.{base}", b"")

    def opaque(self, name: str) -> None:
        """Hide all that the layers below have in a directory."""
        self.directory(name)
        self.file(f"{name}/.wh..wh..opq", b"")

    def _link(self, name: str, target: str, kind: bytes) -> None:
        self._declare(name.rpartition("/")[0])
        info = self._info(name, kind, 0o777)
        info.linkname = target
        self._tar.addfile(info)

    def _info(self, name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime = kind, mode, self._epoch
        return info


@contextmanager
def layer_writer(path: Path, epoch: int) -> Iterator[LayerWriter]:
    """A new layer at path."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        yield LayerWriter(tar, epoch)


def write_identity(path: Path, epoch: int) -> None:
    """The layer that makes the image look like Kairos, with what is hard to merge."""
    with layer_writer(path, epoch) as layer:
        for name in DIRECTORIES:
            layer.directory(name, 0o1777 if name == "tmp" else 0o755)
        layer.file("etc/kairos-release", (OVERLAY / "etc/kairos-release").read_bytes())
        layer.whiteout(f"{CHECKS}/removed-by-whiteout")
        layer.opaque(f"{CHECKS}/opaque")
        layer.file(f"{CHECKS}/opaque/above", b"of the upper layer\n")
        capable = {"security.capability": CAPABILITY}
        layer.file(f"{CHECKS}/with-capability", b"#!/bin/sh\n", 0o755, xattrs=capable)
        layer.hard_link(f"{CHECKS}/hard-link", f"{CHECKS}/with-capability")
        layer.file(f"{CHECKS}/owned", b"owner 1234, mode 4750\n", 0o4750, uid=1234)


def write_standin(path: Path, epoch: int) -> None:
    """The layer with the stand-in, its units and the settings that make it start fast."""
    with layer_writer(path, epoch) as layer:
        for source in sorted(OVERLAY.rglob("*")):
            name = source.relative_to(OVERLAY).as_posix()
            if source.is_file() and name != "etc/kairos-release":
                mode = 0o755 if name.startswith("usr/bin/") else 0o644
                layer.file(name, source.read_bytes(), mode)
        layer.directory(f"{LIB}/standin")
        for source in sorted(STANDIN.glob("*.py")):
            layer.file(f"{LIB}/standin/{source.name}", source.read_bytes())
        for unit in MASKED:
            layer.symlink(f"{UNITS}/{unit}", "/dev/null")
        for unit in ENABLED:
            layer.symlink(
                f"{UNITS}/multi-user.target.wants/{unit}", f"/usr/lib/systemd/system/{unit}"
            )


def inputs() -> list[Path]:
    """The files that the layers are made of."""
    return [
        path
        for path in [*sorted(OVERLAY.rglob("*")), *sorted(STANDIN.glob("*.py"))]
        if path.is_file()
    ]
