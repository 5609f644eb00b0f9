"""Boot loaders made here out of GRUB's modules, as we ship no binaries."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..boot.grub import HTTP, HTTP_80
from .resources import shipped

_MODULES = Path("/usr/lib/grub")

# What the network GRUB can do; those a platform or a version does not have are left out.
_NETWORK_MODULES = (
    *("normal", "memdisk", "tar", "configfile", "echo", "test", "true", "regexp", "sleep"),
    *("net", "efinet", "tftp", "http", "linux", "gzio", "boot", "reboot", "minicmd"),
    *("search", "search_fs_file", "search_label", "part_gpt", "part_msdos", "fat", "chain"),
    *("disk", "all_video", "efi_gop", "cat", "ls", "lsefi", "halt"),
)
_DISK_MODULES = (
    *("search_fs_file", "search_label", "part_gpt", "part_msdos", "fat", "chain", "boot"),
    *("disk", "minicmd"),
)


def make_disk_starter() -> bytes | None:
    """A GRUB that starts the EFI loader on the machine's disk; None where grub-mkimage or its
    modules are missing.

    Its configuration runs in GRUB's rescue mode, which knows no `if`; a line that fails is passed
    over.
    """
    config = shipped("ipxe") / "disk.grub.cfg"
    return _mkimage("x86_64-efi", ["-p", "/none", "-c", str(config)], _DISK_MODULES)


def make_network_grub(platform: str, modules: Path | None = None) -> bytes | None:
    """A GRUB that asks us for its configuration; `boot.grub.addressed` tells it who we are. None
    where it cannot be made.

    `platform` as GRUB calls it: x86_64-efi, arm64-efi, riscv64-efi. `modules`: their folder.
    """
    folder = modules or _MODULES / platform
    if not (folder / "net.mod").is_file():
        return None
    # `(http,host:port)` came after 2.06; Debian's and Ubuntu's have it with the older number.
    ports = b"bad port number" in (folder / "net.mod").read_bytes()
    there = [name for name in _NETWORK_MODULES if (folder / f"{name}.mod").is_file()]
    with tempfile.TemporaryDirectory() as made:
        disk = Path(made) / "memdisk.tar"
        disk.write_bytes(_tar({"boot/grub/grub.cfg": network_config(ports=ports)}))
        options = ["-d", str(folder), "-m", str(disk)]
        return _mkimage(platform, options, there)


def network_config(*, ports: bool) -> str:
    """`ports`: whether this GRUB takes a port in `(http,…)`."""
    text = (shipped("boot-templates") / "kairos" / "network.grub.cfg").read_text()
    return text if ports else text.replace(HTTP, HTTP_80)


def _mkimage(platform: str, options: Iterable[str], modules: Iterable[str]) -> bytes | None:
    program = shutil.which("grub-mkimage")
    if program is None:
        return None
    with tempfile.NamedTemporaryFile(suffix=".efi") as made:
        command = [program, "-O", platform, "-o", made.name, *options, *modules]
        done = subprocess.run(command, capture_output=True, check=False)
        return Path(made.name).read_bytes() if done.returncode == 0 else None


def _tar(files: Mapping[str, str]) -> bytes:
    """The same bytes for the same files, whoever makes it and when."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()
