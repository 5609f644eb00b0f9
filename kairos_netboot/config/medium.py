"""A disk that boots a machine into this server by hand: for CD, USB and virtual media."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from urllib.parse import urlsplit

from ..boot.grub import addressed
from ..boot.urls import Urls
from ..errors import InvalidValue, ToolMissing
from .grub import make_network_grub
from .resources import shipped

_EFI = {"grub-x64.efi": "x86_64-efi", "grub-aa64.efi": "arm64-efi"}
_IPXE = (Path("/usr/lib/ipxe/ipxe.lkrn"), Path("/boot/ipxe.lkrn"))
_TOOLS = {"grub-mkrescue": "grub-common", "xorriso": "xorriso", "mformat": "mtools"}
_PC = Path("/usr/lib/grub/i386-pc")

# BIOS machines go by iPXE, whose initrd is its script; UEFI ones by a GRUB that asks this server.
_MENU = """\
if [ "$grub_platform" = efi ]; then
  chainloader /boot/$grub_cpu.efi
else
  linux16 /boot/ipxe.lkrn
  initrd16 /boot/start.ipxe
fi
boot
"""


def make_medium(server: str, output: Path, modules: Mapping[str, Path]) -> int:
    """Its size in bytes; `modules`: the folders of GRUB's modules, by the GRUB that they make.

    Raises InvalidValue for a server's address that GRUB cannot use, ToolMissing where it cannot be
    made here.
    """
    urls = _checked(server)
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            raise ToolMissing(f"{tool} is not installed: install the package '{package}'")
    with tempfile.TemporaryDirectory() as made:
        boot = Path(made) / "boot"
        (boot / "grub").mkdir(parents=True)
        (boot / "grub" / "grub.cfg").write_text(_MENU)
        (boot / "start.ipxe").write_text(_script(server))
        _put_loaders(boot, urls, modules)
        _rescue(Path(made), output)
    return output.stat().st_size


def _checked(server: str) -> Urls:
    parts = urlsplit(server)
    try:
        IPv4Address(parts.hostname or "")
        fits = parts.scheme == "http" and not parts.path and parts.port is not None
    except (AddressValueError, ValueError):
        fits = False
    if not fits:
        raise InvalidValue(f"'{server}' is no address for a medium: write http://192.0.2.1:8080")
    return Urls(server)


def _script(server: str) -> str:
    text = (shipped("ipxe") / "start.ipxe").read_text()
    return re.sub(r"^set server .*$", f"set server {server}", text, flags=re.MULTILINE)


def _put_loaders(boot: Path, urls: Urls, modules: Mapping[str, Path]) -> None:
    """For each firmware that can be had here; raises ToolMissing where there is none."""
    kernel = next((path for path in _IPXE if path.is_file()), None)
    if kernel is not None and _PC.is_dir():
        shutil.copy(kernel, boot / "ipxe.lkrn")
    for name, platform in _EFI.items():
        folder = modules.get(name)
        made = make_network_grub(platform, folder) if folder else None
        if made is not None:
            (boot / f"{platform.removesuffix('-efi')}.efi").write_bytes(addressed(made, urls))
    if not any(boot.glob("*.efi")) and not (boot / "ipxe.lkrn").exists():
        raise ToolMissing(
            "there is nothing to put on a medium: install the packages 'ipxe' and 'grub-pc-bin' "
            "for BIOS machines, 'grub-efi-amd64-bin' for UEFI ones"
        )


def _rescue(tree: Path, output: Path) -> None:
    """Whole or not at all."""
    part = output.with_name(f".{output.name}.part")
    done = subprocess.run(
        ["grub-mkrescue", "--output", str(part), str(tree)], capture_output=True, check=False
    )
    if done.returncode:
        part.unlink(missing_ok=True)
        said = done.stderr.decode(errors="replace").strip()
        raise ToolMissing(f"grub-mkrescue could not make {output}", details=said)
    part.replace(output)
