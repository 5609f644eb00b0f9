"""Images that UEFI firmware starts as they are: Kairos for trusted boot, a UKI or the ISO of one.

Nothing is taken out of them or put in: they are signed as a whole.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..boot.site import Image, ImageFacts, ImageSource, Medium, MediumKind
from ..errors import ImageProblem
from ..store.blobs import BlobStore
from ..values import Arch
from .efi_image import boot_names
from .files import copy_file, what
from .kernel import HEAD, KernelFacts, inspect
from .reference import FileReference, is_url
from .rootfs import facts_from

# ISO 9660, 8.1.1: descriptors begin in sector 16, each with this behind its type.
_ISO_SECTOR = 2048
_ISO_MAGIC = b"CD001"
# What UEFI firmware looks for, and which architecture's looks for it; by FAT's short names.
_BOOT_NAMES = {
    b"BOOTX64 EFI": Arch.AMD64,
    b"BOOTAA64EFI": Arch.ARM64,
    b"BOOTRI~1EFI": Arch.RISCV64,
}
_MAX_TEXT = 1 << 16


def take_medium(
    reference: FileReference,
    wanted: ImageSource,
    blobs: BlobStore,
    scratch: Path,
    download: Callable[[str, Path], None],
) -> Image:
    """The image, its file in the store; raises ImageProblem. `download` takes a URL."""
    path = scratch / "medium"
    if is_url(reference.place):
        download(reference.place, path)
    else:
        copy_file(Path(reference.place), path)
    with path.open("rb") as file:
        kind = _kind_of(file)
        facts = _facts(file, kind, wanted.arch)
    (blob,) = blobs.adopt_all([path])
    return Image(
        name=wanted.name,
        source=wanted,
        digest=blob.digest,
        facts=facts,
        files=Medium(blob=blob, kind=kind),
    )


def _kind_of(file: BinaryIO) -> MediumKind:
    head = _read(file, 0, HEAD)
    if inspect(head).efi_stub and inspect(head).arch:
        return MediumKind.EFI
    if _read(file, 16 * _ISO_SECTOR + 1, 5) == _ISO_MAGIC:
        return MediumKind.ISO
    raise ImageProblem(f"it is no EFI program and no ISO that firmware could start: {what(head)}")


def _facts(file: BinaryIO, kind: MediumKind, arch: Arch) -> ImageFacts:
    if kind is MediumKind.ISO:
        return facts_from("", kernel_version="", arch=arch, kernel=_iso_facts(file, arch))
    sections = dict(_sections(file))
    release, version = sections.get(b".osrel", ""), sections.get(b".uname", "")
    head = inspect(_read(file, 0, HEAD))
    return facts_from(release, kernel_version=version.strip(), arch=arch, kernel=head)


def _iso_facts(file: BinaryIO, arch: Arch) -> KernelFacts:
    """The architecture of the loader on it; the wanted one where it has that beside others."""
    start = _efi_image(file)
    if start is None:
        raise ImageProblem("it has nothing that UEFI firmware starts: no El Torito entry for EFI")
    names = boot_names(file, start)
    found = [_BOOT_NAMES[name] for name in names if name in _BOOT_NAMES]
    return KernelFacts(arch=arch if arch in found else next(iter(found), None))


def _efi_image(file: BinaryIO) -> int | None:
    """Where the FAT image is that firmware starts from. El Torito 1.0, 2; UEFI 2.10, 13.3.2."""
    record = _read(file, 17 * _ISO_SECTOR, _ISO_SECTOR)
    if record[7:30] != b"EL TORITO SPECIFICATION" or len(record) < _ISO_SECTOR:
        return None
    catalog = _read(file, int.from_bytes(record[71:75], "little") * _ISO_SECTOR, _ISO_SECTOR)
    platform = catalog[1] if catalog else 0  # of the first entry; a header tells the others'
    for offset in range(32, len(catalog), 32):
        entry = catalog[offset : offset + 32]
        if entry[0] in (0x90, 0x91):
            platform = entry[1]
        elif entry[0] == 0x88 and platform == 0xEF:
            return int.from_bytes(entry[8:12], "little") * _ISO_SECTOR
    return None


def _sections(file: BinaryIO) -> Iterator[tuple[bytes, str]]:
    """The texts among a UKI's sections. PE/COFF, section 4: the table follows both headers."""
    head = _read(file, 0, HEAD)
    header = int.from_bytes(head[0x3C:0x40], "little")
    if len(head) < header + 24:
        return
    count, optional = struct.unpack_from("<H12xH", head, header + 6)
    table = _read(file, header + 24 + optional, 40 * count)
    for offset in range(0, len(table) - 39, 40):
        name, length, _, stored, place = struct.unpack_from("<8sIIII", table, offset)
        if name.rstrip(b"\0") in (b".osrel", b".uname"):
            data = _read(file, place, min(length, stored, _MAX_TEXT))
            yield name.rstrip(b"\0"), data.rstrip(b"\0").decode("utf-8", "replace")


def _read(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)
