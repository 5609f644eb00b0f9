from __future__ import annotations

import json
from pathlib import Path

import pytest

from kairos_netboot.config.installed import changed_since, checked, install, name_in
from kairos_netboot.config.medium import make_medium
from kairos_netboot.errors import InvalidValue
from tests.unit.boot.test_binaries import efi


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("usr/lib/ipxe/snponly.efi", "snponly.efi"),
        ("ipxe/bin-arm64-efi/snponly.efi", "snponly-arm64.efi"),
        ("/x/bin-x86_64-efi/ipxe.efi", "ipxe.efi"),
        ("usr/lib/shim/shimx64.efi.signed", "shimx64.efi"),
        ("usr/lib/grub/arm64-efi-signed/grubnetaa64.efi.signed", "grubaa64.efi"),
        ("usr/share/doc/snponly.efi.txt", ""),
    ],
)
def test_a_file_is_known_by_its_name_and_its_folder(path: str, name: str) -> None:
    assert name_in(path) == name


def test_a_file_for_another_machine_than_its_name_says_is_refused() -> None:
    assert checked("snponly.efi", efi(), "x").program == ""
    with pytest.raises(InvalidValue, match=r"x is for arm64, and snponly.efi is for amd64"):
        checked("snponly.efi", efi(0xAA64), "x")
    with pytest.raises(InvalidValue, match=r"x is for amd64, and undionly.kpxe is for BIOS"):
        checked("undionly.kpxe", efi(), "x")
    with pytest.raises(InvalidValue, match=r"x is neither an EFI program"):
        checked("snponly.efi", b"<html>", "x")


def test_what_is_installed_is_listed_by_digest_and_a_change_is_seen(tmp_path: Path) -> None:
    folder = install({"snponly.efi": efi()}, tmp_path, "oci:one")
    install({"ipxe.efi": efi()}, tmp_path, "oci:two")
    listed = json.loads((folder / "manifest.json").read_text())
    assert {name: entry["source"] for name, entry in listed.items()} == {
        "snponly.efi": "oci:one",
        "ipxe.efi": "oci:two",
    }
    assert changed_since(tmp_path) == []
    (folder / "ipxe.efi").write_bytes(b"other")
    assert changed_since(tmp_path) == ["ipxe.efi"]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    "server", ["192.0.2.1", "https://192.0.2.1:8080", "http://host:8080", "http://192.0.2.1"]
)
def test_a_medium_needs_an_address_that_grub_can_use(tmp_path: Path, server: str) -> None:
    with pytest.raises(InvalidValue, match=r"write http://192\.0\.2\.1:8080"):
        make_medium(server, tmp_path / "x.iso", {})
