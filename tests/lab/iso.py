"""An ISO that firmware starts as it is: Debian's signed shim, GRUB and kernel, no machine's own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from kairos_netboot.boot.fat import Span, layout

_SHIM = Path("/usr/lib/shim/shimx64.efi.signed")
_GRUB = Path("/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed")


def make_iso(target: Path, kernel: Path, initrd: Path, command_line: str) -> None:
    """As AuroraBoot lays out those for trusted boot: an El Torito image and nothing for a BIOS."""
    config = f"linux /kernel {command_line}\ninitrd /initrd\nboot\n"
    root = target.with_suffix(".root")
    (root / "grub").mkdir(parents=True)
    _write_efi_image(root / "efiboot.img")
    # GRUB takes the ISO for its own disk, though it came from the El Torito image in it.
    (root / "grub" / "grub.cfg").write_text(config)
    shutil.copy(kernel, root / "kernel")
    shutil.copy(initrd, root / "initrd")
    command = ["xorriso", "-as", "mkisofs", "-V", "UKI_ISO_INSTALL", "-J", "-r"]
    command += ["-e", "efiboot.img", "-no-emul-boot", "-o", str(target), str(root)]
    subprocess.run(command, check=True, capture_output=True)


def _write_efi_image(path: Path) -> None:
    loaders = {"EFI/BOOT/BOOTX64.EFI": _SHIM, "EFI/BOOT/grubx64.efi": _GRUB}
    contents = {name: source.read_bytes() for name, source in loaders.items()}
    with path.open("wb") as file:
        for piece in layout([(name, len(data)) for name, data in contents.items()]).pieces:
            file.write(contents[piece.path] if isinstance(piece, Span) else piece)
