"""The base layer: a small Debian with kernel and initrd, made by mmdebstrap."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.lab.image import apt

HERE = Path(__file__).parent
CUSTOMIZE = HERE / "customize.sh"
MERGED_USR = Path("/usr/share/mmdebstrap/hooks/merged-usr")

PACKAGES = (
    # What a Kairos image brings for netboot: kernel, dracut with livenet, init, curl.
    *("linux-image-cloud-amd64", "dracut-core", "dracut-network", "dracut-live", "zstd"),
    *("systemd-sysv", "udev", "dbus", "kmod", "curl", "dmsetup"),
    *("isc-dhcp-client", "iputils-arping", "procps", "iproute2", "login"),
    # What the stand-in needs; GRUB only to make its two boot images, then it is removed.
    *("fdisk", "dosfstools", "e2fsprogs", "python3-minimal", "python3-yaml", "libcap2-bin"),
    *("grub-pc-bin", "grub-efi-amd64-bin", "grub-common"),
    # Without it init-system-helpers draws in usrmerge, and that all of perl.
    "usr-is-merged",
)
EXCLUDED = (
    *("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*"),
    *(
        "/usr/share/lintian/*",
        "/usr/share/bug/*",
        "/usr/share/zsh/*",
        "/usr/share/bash-completion/*",
    ),
)


class BuildError(Exception):
    """The image cannot be built; the message says why."""


def build_base(tar: Path, work: Path, *, epoch: int) -> None:
    """Write the base layer's tar, or raise BuildError with the end of mmdebstrap's log."""
    log = work / "mmdebstrap.log"
    command = mmdebstrap_command(tar, sources_file(work))
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "INITRD": "No", "LC_ALL": "C"}
    with log.open("wb") as output:
        done = subprocess.run(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise BuildError(f"mmdebstrap failed ({done.returncode}):\n{tail}")


def sources_file(work: Path) -> Path | None:
    """The machine's Debian sources in a file; None leaves the choice to mmdebstrap."""
    if shutil.which("mmdebstrap") is None:
        raise BuildError("mmdebstrap is not installed: apt-get install mmdebstrap")
    sources = apt.debian_sources()
    if not sources:
        if not apt.KEYRING.exists():
            raise BuildError(f"{apt.KEYRING} is missing: apt-get install debian-archive-keyring")
        return None
    path = work / "debian.sources"
    path.write_text("\n".join(source.stanza() for source in sources))
    return path


def mmdebstrap_command(tar: Path, sources: Path | None) -> list[str]:
    """The whole command line; hooks run on the host with the new root as their argument."""
    command = ["mmdebstrap", "--variant=minbase", "--format=tar", "--skip=output/dev"]
    command += [f"--mode={'root' if os.geteuid() == 0 else 'unshare'}"]
    command += ["--architectures=amd64", f"--include={','.join(PACKAGES)}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED]
    command += [f"--aptopt={line}" for line in apt.proxy_options()]
    if MERGED_USR.is_dir():
        command += [f"--hook-dir={MERGED_USR}"]
    command += [f'--customize-hook=sh "{CUSTOMIZE}" "$1"', apt.SUITE, str(tar)]
    return [*command, str(sources)] if sources else command
