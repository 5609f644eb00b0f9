"""The disk that HTTP Boot starts under Secure Boot."""

from __future__ import annotations

import pytest

from kairos_netboot.boot.medium import boot_disk
from kairos_netboot.boot.site import BootFiles
from kairos_netboot.errors import InvalidValue
from kairos_netboot.values import Arch
from tests.unit.boot.sample import blob

FILES = BootFiles(kernel=blob("1", 8_000_000), initrd=blob("2", 33_000_000), rootfs=blob("3", 9))
X64 = {"shimx64.efi": b"shim", "grubx64.efi": b"grub", "mmx64.efi": b"mm"}
AA64 = {"shimaa64.efi": b"shim", "grubaa64.efi": b"grub"}


def test_firmware_shim_and_grub_find_what_they_look_for() -> None:
    disk = boot_disk(Arch.AMD64, X64, "boot", FILES)
    assert disk.contents["EFI/BOOT/BOOTX64.EFI"] == b"shim"
    assert disk.contents["EFI/BOOT/grubx64.efi"] == b"grub"
    assert disk.contents["EFI/BOOT/mmx64.efi"] == b"mm"
    for place in ("grub/grub.cfg", "boot/grub/grub.cfg", "EFI/debian/grub.cfg"):
        config = disk.contents[place]
        assert isinstance(config, bytes)
        assert config.strip() == b"boot"
    assert (disk.contents["kernel"], disk.contents["initrd"]) == (FILES.kernel, FILES.initrd)


def test_arm64_has_its_own_names_and_does_without_the_key_manager() -> None:
    disk = boot_disk(Arch.ARM64, AA64, "boot", FILES)
    programs = {path for path in disk.contents if path.endswith((".EFI", ".efi"))}
    assert programs == {"EFI/BOOT/BOOTAA64.EFI", "EFI/BOOT/grubaa64.efi"}


def test_the_size_does_not_depend_on_the_secrets_in_the_configuration() -> None:
    sizes = {boot_disk(Arch.AMD64, X64, c, FILES).volume.size for c in ("", "x", "y" * 8192)}
    assert len(sizes) == 1


def test_a_disk_that_leads_to_the_disk_holds_no_kernel() -> None:
    disk = boot_disk(Arch.AMD64, X64, "chainloader")
    assert "kernel" not in disk.contents
    assert disk.volume.size < 5_000_000


@pytest.mark.parametrize("missing", ["shimx64.efi", "grubx64.efi"])
def test_a_missing_loader_is_named(missing: str) -> None:
    loaders = {name: data for name, data in X64.items() if name != missing}
    with pytest.raises(InvalidValue, match=f"boot loader {missing}"):
        boot_disk(Arch.AMD64, loaders, "boot", FILES)


def test_there_is_no_signed_loader_for_riscv64() -> None:
    with pytest.raises(InvalidValue, match="riscv64"):
        boot_disk(Arch.RISCV64, X64, "boot", FILES)


def test_a_configuration_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InvalidValue, match="shorten kernel-args"):
        boot_disk(Arch.AMD64, X64, "x" * 8193, FILES)
