"""The unattended installation, step by step in Kairos' order."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import disks, grub
from .cmdline import settings
from .console import say
from .documents import LIVE_DIRS, Document, collect, dump, has_admin, read_directories
from .fetch import fetch
from .stages import run_stage

SOURCE = Path("/run/rootfsbase")
RUN = Path("/run/cos")
FAIL = RUN / "fail_installation"
BOOT_FILES = Path("/usr/lib/kairos-standin/boot")
HOOK = "/usr/bin/kairos-agent.install.{}.hook"
MOUNTS = (
    *(("COS_GRUB", "efi"), ("COS_OEM", "oem"), ("COS_RECOVERY", "recovery")),
    *(("COS_STATE", "state"), ("COS_PERSISTENT", "persistent")),
)
UNSUPPORTED = ("no-format", "source", "encrypted_partitions", "bundles", "extra-partitions")


class InstallError(Exception):
    """The installation cannot go on; the message goes to the console."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is installed, and where."""

    device: str
    image: Path
    image_bytes: int
    partitions: list[disks.Partition]


def install(cmdline: str) -> None:
    """Scan, check, install, and do what comes after; or say why there is nothing to do."""
    say("installer starts (a stand-in for kairos-agent, not Kairos)")
    # Kairos scans again and again during one netboot: a config_url must bear to be asked twice.
    scan(cmdline)
    document = scan(cmdline)
    options = document.get("install") or {}
    if options.get("auto") is not True:
        what = "install.auto is not set" if document.keys() - {"config_url"} else "empty config"
        say(f"no providers found ({what}), dropping to a shell")
        return
    refuse(document)
    run_stage(document, "kairos-install.pre")
    _hook("pre")
    target = prepare(str(options.get("device") or ""))
    run_install(document, target)
    run_stage(document, "kairos-install.after")
    _hook("after")
    finish(options)


def scan(cmdline: str) -> Document:
    """The whole configuration of the live system."""
    return collect([*read_directories(LIVE_DIRS), settings(cmdline)], fetch)


def refuse(document: Document) -> None:
    """Raise InstallError for what Kairos refuses, or the stand-in cannot do."""
    options = document.get("install") or {}
    if not has_admin(document) and not Path("/etc/kairos/.nousers").exists():
        raise InstallError("no user is in group admin (install.nousers: true if that is meant)")
    if options.get("reboot") and options.get("poweroff"):
        raise InstallError("install.reboot and install.poweroff exclude each other")
    if unsupported := [key for key in UNSUPPORTED if options.get(key)]:
        raise InstallError(f"the stand-in cannot do install.{unsupported[0]}")
    if not SOURCE.is_dir():
        raise InstallError("undefined system source to install: no /run/rootfsbase")


def prepare(device: str) -> Target:
    """Find the image in memory, and the disk that can hold it."""
    image = Path(_output("findmnt", "-no", "SOURCE", str(SOURCE)))
    size = int(_output("blockdev", "--getsize64", str(image)))
    partitions = disks.layout(size)
    chosen = disks.choose(device, disks.list_disks())
    mounts = Path("/proc/mounts").read_text()
    disks.check(chosen, disks.needed_bytes(partitions), mounts)
    return Target(device=chosen, image=image, image_bytes=size, partitions=partitions)


def run_install(document: Document, target: Target) -> None:
    """From the empty disk to the last hook before the reboot."""
    step("partition", f"on {target.device}")
    partition(target)
    mount()
    step("before-install")
    run_stage(document, "before-install")
    if FAIL.exists():
        raise InstallError(FAIL.read_text().strip() or "fail_installation exists")
    step("active", f"{target.image_bytes >> 20} MiB")
    copy_image(target)
    (RUN / "oem/90_custom.yaml").write_text(dump(document))
    (RUN / "oem/90_custom.yaml").chmod(0o600)
    step("bootloader", "BIOS and UEFI, no firmware boot entry")
    install_bootloader(document, target)
    in_chroot(document)
    step("recovery", "skipped by the stand-in: the partition stays empty")
    step("passive", "a hard link by the stand-in")
    (RUN / "state/cOS/passive.squashfs").hardlink_to(RUN / "state/cOS/active.squashfs")
    step("after-install")
    run_stage(document, "after-install")
    unmount()
    step("done")


def step(name: str, remark: str = "") -> None:
    """Show progress in the words of Kairos' progress lines."""
    say(f"step: {name}{f' ({remark})' if remark else ''}")


def partition(target: Target) -> None:
    """Write the partition table and the file systems; boot code of old goes with it."""
    device, script = target.device, disks.sfdisk_script(target.partitions)
    _run("wipefs", "-aq", device)
    _run("sfdisk", "-q", "--wipe-partitions", "always", device, stdin=script)
    _run("udevadm", "settle")
    for number, part in enumerate(target.partitions, 1):
        path = disks.partition_path(device, number)
        if part.label == "COS_GRUB":
            _run("mkfs.vfat", "-n", part.label, path)
        elif part.label:
            _run("mkfs.ext4", "-q", "-F", "-L", part.label, path)
    _run("udevadm", "settle")


def mount() -> None:
    """Mount all of Kairos' partitions under /run/cos."""
    for label, name in MOUNTS:
        (RUN / name).mkdir(parents=True, exist_ok=True)
        _run("mount", f"LABEL={label}", str(RUN / name))


def unmount() -> None:
    """The reverse of mount."""
    for _, name in reversed(MOUNTS):
        _run("umount", str(RUN / name))


def copy_image(target: Target) -> None:
    """The squashfs that this system runs from becomes the installed one, kernel beside it."""
    images = RUN / "state/cOS"
    images.mkdir()
    active = images / "active.squashfs"
    _run("dd", f"if={target.image}", f"of={active}", "bs=4M", "conv=fsync", "status=none")
    # GRUB cannot read this squashfs (zstd); the links of /boot lead out of the image's root.
    for name in ("vmlinuz", "initrd"):
        shutil.copyfile(inside(SOURCE, Path("/boot") / name), images / name)


def inside(root: Path, path: Path) -> Path:
    """A path of an image with its last link followed inside that image."""
    here = root / path.relative_to("/")
    if here.is_symlink():
        return inside(root, path.parent / here.readlink())
    return here


def install_bootloader(document: Document, target: Target) -> None:
    """GRUB for BIOS on the disk's first sectors, and for UEFI on the fallback path."""
    options = (document.get("install") or {}).get("grub_options") or {}
    (RUN / "state/grub2").mkdir()
    extra = str(options.get("extra_cmdline") or "")
    (RUN / "state/grub2/grub.cfg").write_text(grub.menu(extra))
    (RUN / "efi/EFI/boot").mkdir(parents=True)
    shutil.copyfile(BOOT_FILES / "bootx64.efi", RUN / "efi/EFI/boot/bootx64.efi")
    start = int(_output("partx", "-rgo", "START", "-n", "1", target.device))
    core = grub.core_image((BOOT_FILES / "core.img").read_bytes(), start)
    with Path(target.device).open("r+b") as disk:
        first = disk.read(grub.SECTOR)
        disk.seek(0)
        disk.write(grub.boot_sector((BOOT_FILES / "boot.img").read_bytes(), first, start))
        disk.seek(start * grub.SECTOR)
        disk.write(core)
        disk.flush()
        os.fsync(disk.fileno())


def in_chroot(document: Document) -> None:
    """after-install-chroot in a writable view of the image that is thrown away afterwards."""
    view, layers = RUN / "active", RUN / "standin-chroot"
    for folder in (view, layers / "upper", layers / "work"):
        folder.mkdir(parents=True, exist_ok=True)
    where = f"lowerdir={SOURCE},upperdir={layers}/upper,workdir={layers}/work"
    _run("mount", "-t", "overlay", "standin", "-o", where, str(view))
    binds = [("/proc", "proc"), ("/sys", "sys"), ("/dev", "dev"), ("/run/cos/oem", "oem")]
    binds += [("/run/cos/persistent", "usr/local")]
    for source, name in binds:
        _run("mount", "--bind", source, str(view / name))
    shutil.copyfile("/etc/resolv.conf", view / "etc/resolv.conf")
    try:
        run_stage(document, "after-install-chroot", root=str(view))
    finally:
        _run("umount", "-R", "-l", str(view))


def finish(options: Document) -> None:
    """Restart, switch off, or wait for somebody, as the configuration says."""
    for key, verb in (("reboot", "reboot"), ("poweroff", "poweroff")):
        if options.get(key) is True:
            say(f"installation finished: {verb}")
            _run("systemctl", verb)
            return
    say("installation finished: neither install.reboot nor install.poweroff, waiting for a key")
    while True:
        time.sleep(3600)


def _hook(name: str) -> None:
    path = HOOK.format(name)
    if os.access(path, os.X_OK):
        subprocess.run([path], check=False)


def _run(*command: str, stdin: str = "") -> None:
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False)
    print(f"+ {' '.join(command)}\n{done.stdout}{done.stderr}", flush=True)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise InstallError(f"{' '.join(command)}: {' '.join(reason)}")


def _output(*command: str) -> str:
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode or not done.stdout.strip():
        raise InstallError(f"{' '.join(command)}: {done.stderr.strip() or 'no answer'}")
    return done.stdout.strip()
