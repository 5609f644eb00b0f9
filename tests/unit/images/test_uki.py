"""Images that firmware starts as they are."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kairos_netboot.boot.fat import Span, layout
from kairos_netboot.boot.site import Image, ImageFacts, ImageSource, Medium, MediumKind
from kairos_netboot.errors import ImageProblem, NetbootError
from kairos_netboot.images.pull import add_image
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch, Digest

needs_xorriso = pytest.mark.skipif(not shutil.which("xorriso"), reason="no xorriso")
MACHINES = {Arch.AMD64: 0x8664, Arch.ARM64: 0xAA64, Arch.RISCV64: 0x5064}
RELEASE = 'NAME=Debian\nKAIROS_FLAVOR="debian"\nKAIROS_VERSION="v4.2.0"\nKAIROS_ARCH="amd64"\n'


def uki(arch: Arch = Arch.AMD64, texts: Mapping[str, str] | None = None) -> bytes:
    """A PE program with these sections."""
    texts = texts or {}
    table, data, place = b"", b"", 1024
    for name, text in texts.items():
        raw = text.encode()
        table += struct.pack(
            "<8sIIII16x", name.encode(), len(raw), 0x1000, len(raw) + 20, place + len(data)
        )
        data += raw + bytes(20)
    coff = struct.pack("<4sHH12xHH", b"PE\0\0", MACHINES[arch], len(texts), 16, 0)
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40) + coff + bytes(16) + table
    return head.ljust(1024, b"\0") + data + b"the rest"


def efi_image(*loaders: str) -> bytes:
    """A FAT with these programs in EFI/BOOT."""
    files = {f"EFI/BOOT/{name}": b"program" for name in loaders} | {"kernel": bytes(9_000)}
    pieces = layout([(path, len(data)) for path, data in files.items()]).pieces
    return b"".join(files[p.path] if isinstance(p, Span) else p for p in pieces)


def iso(folder: Path, inner: bytes, *options: str) -> bytes:
    root = folder / "root"
    root.mkdir()
    (root / "efiboot.img").write_bytes(inner)
    (root / "bios.img").write_bytes(bytes(2048))
    command = ["xorriso", "-as", "mkisofs", "-V", "UKI_ISO_INSTALL", *options]
    command += ["-o", str(folder / "made.iso"), str(root)]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "made.iso").read_bytes()


ONLY_EFI = ("-e", "efiboot.img", "-no-emul-boot")
BIOS_TOO = ("-b", "bios.img", "-no-emul-boot", "-eltorito-alt-boot", *ONLY_EFI)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state")
    yield store
    store.close()


def add(store: Store, path: Path, data: bytes, arch: Arch = Arch.AMD64) -> Image:
    path.write_bytes(data)
    source = ImageSource(name="trusted", reference=f"uki:{path}", arch=arch)
    return add_image(source, store, {}, lambda progress: None)


def test_an_efi_program_is_kept_as_it_is(store: Store, tmp_path: Path) -> None:
    data = uki(texts={".osrel": RELEASE, ".uname": "6.1.0-10-amd64\n", ".cmdline": "quiet"})
    found = add(store, tmp_path / "kairos.efi", data)
    assert isinstance(found.files, Medium)
    assert (found.files.kind, found.files.name) == (MediumKind.EFI, "kairos.efi")
    assert found.digest == found.files.blob.digest == Digest.of(data)
    assert store.blobs.path(found.digest).read_bytes() == data
    assert found.facts == ImageFacts(
        arch=Arch.AMD64,
        flavor="debian",
        version="v4.2.0",
        kernel_version="6.1.0-10-amd64",
        efi_stub=True,
    )
    assert store.fleet().images["trusted"] == found


@needs_xorriso
@pytest.mark.parametrize("options", [ONLY_EFI, BIOS_TOO])
@pytest.mark.parametrize(
    ("loader", "arch"),
    [
        ("BOOTX64.EFI", Arch.AMD64),
        ("bootaa64.efi", Arch.ARM64),
        ("BOOTRISCV64.EFI", Arch.RISCV64),
    ],
)
def test_the_loader_on_an_iso_tells_its_architecture(
    store: Store, tmp_path: Path, loader: str, arch: Arch, options: tuple[str, ...]
) -> None:
    data = iso(tmp_path, efi_image(loader, "MMX64.EFI"), *options)
    found = add(store, tmp_path / "kairos.iso", data, arch)
    assert isinstance(found.files, Medium)
    assert (found.files.kind, found.facts.arch) == (MediumKind.ISO, arch)
    other = Arch.ARM64 if arch is Arch.AMD64 else Arch.AMD64
    with pytest.raises(ImageProblem, match=f"made for {other}, its kernel for {arch}"):
        add(store, tmp_path / "kairos.iso", data, other)


@needs_xorriso
def test_an_iso_for_several_architectures_is_for_the_one_that_is_wanted(
    store: Store, tmp_path: Path
) -> None:
    data = iso(tmp_path, efi_image("BOOTX64.EFI", "BOOTAA64.EFI"), *ONLY_EFI)
    for arch in (Arch.AMD64, Arch.ARM64):
        assert add(store, tmp_path / "both.iso", data, arch).facts.arch is arch


@needs_xorriso
def test_an_iso_whose_loader_cannot_be_seen_is_taken_at_its_word(
    store: Store, tmp_path: Path
) -> None:
    data = iso(tmp_path, b"no file system", *ONLY_EFI)
    assert add(store, tmp_path / "odd.iso", data, Arch.ARM64).facts.arch is Arch.ARM64


@needs_xorriso
def test_an_iso_without_a_program_for_uefi_is_refused(store: Store, tmp_path: Path) -> None:
    data = iso(tmp_path, b"", "-b", "bios.img", "-no-emul-boot")
    with pytest.raises(ImageProblem, match="no El Torito entry for EFI"):
        add(store, tmp_path / "bios.iso", data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b"<html>", "begins like a web page"),
        (b"\x7fELF\x02\x01" + bytes(100), "no EFI program"),
        (b"MZ" + bytes(4096), "no EFI program"),
    ],
)
def test_what_firmware_could_not_start_is_refused(
    store: Store, tmp_path: Path, data: bytes, words: str
) -> None:
    with pytest.raises(ImageProblem, match=words):
        add(store, tmp_path / "x", data)
    assert not store.fleet().images


def test_a_file_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    source = ImageSource(name="x", reference=f"uki:{tmp_path}/none.iso")
    with pytest.raises(ImageProblem, match=r"none\.iso: there is no such file"):
        add_image(source, store, {}, lambda progress: None)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 4000), st.binary(max_size=60))
@example(0x3C, b"\xff\xff\xff\xff")
@example(0x40 + 6, b"\xff\xff")
@example(0x40 + 20, b"\xff\xff")
def test_a_damaged_program_is_taken_or_refused(
    store: Store, tmp_path: Path, offset: int, damage: bytes
) -> None:
    data = bytearray(uki(texts={".osrel": RELEASE, ".uname": "6.1"}))
    data[offset : offset + len(damage)] = damage
    try:
        add(store, tmp_path / "x.efi", bytes(data))
    except NetbootError:
        return


@needs_xorriso
def test_any_damage_to_an_iso_is_taken_or_refused(store: Store, tmp_path: Path) -> None:
    whole = iso(tmp_path, efi_image("BOOTX64.EFI"), *ONLY_EFI)
    start = whole.index(b"MSWIN4.1") - 3

    @settings(deadline=None, max_examples=150)
    @given(
        st.one_of(st.integers(16 * 2048, 24 * 2048), st.integers(start, start + 60_000)),
        st.binary(min_size=1, max_size=40),
    )
    @example(start + 11, b"\0\0")
    @example(start + 13, b"\0")
    @example(start + 22, b"\0\0")
    @example(17 * 2048 + 71, b"\xff\xff\xff\x7f")
    def damaged(offset: int, damage: bytes) -> None:
        data = bytearray(whole)
        data[offset : offset + len(damage)] = damage
        try:
            add(store, tmp_path / "x.iso", bytes(data))
        except NetbootError:
            return

    damaged()
