from __future__ import annotations

from pathlib import Path

from kairos_netboot.boot.chains import COMPANIONS, MEDIUM, ROWS, Method
from kairos_netboot.config.loaders import catalogue, find_loaders
from kairos_netboot.config.shelf import look_on_shelf


def test_a_folder_of_ones_own_comes_before_the_systems(tmp_path: Path) -> None:
    (tmp_path / "snponly.efi").write_bytes(b"own")
    assert find_loaders((tmp_path,), tmp_path / "state").found["snponly.efi"].data == b"own"


def test_the_first_folder_wins_and_the_states_comes_after(tmp_path: Path) -> None:
    for name in ("one", "two", "state/loaders"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "mine.efi").write_bytes(name.encode())
    state = tmp_path / "state"
    folders = (tmp_path / "one", tmp_path / "two")
    assert find_loaders(folders, state).found["mine.efi"].data == b"one"
    assert find_loaders((), state).found["mine.efi"].data == b"state/loaders"


def test_ipxes_own_build_folders_are_known(tmp_path: Path) -> None:
    (tmp_path / "bin-arm64-efi").mkdir()
    (tmp_path / "bin-arm64-efi" / "snponly.efi").write_bytes(b"arm")
    found = find_loaders((tmp_path,), tmp_path / "state").found
    assert found["snponly-arm64.efi"].data == b"arm"
    assert found.get("snponly.efi") is None or found["snponly.efi"].data != b"arm"


def test_signed_files_are_found_under_their_packages_names(tmp_path: Path) -> None:
    (tmp_path / "grubnetaa64.efi.signed").write_bytes(b"signed")
    assert find_loaders((tmp_path,), tmp_path / "state").found["grubaa64.efi"].data == b"signed"


def test_other_files_of_a_folder_are_no_boot_loaders(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"x")
    (tmp_path / "folder.efi").mkdir()
    assert not {"notes.txt", "folder.efi"} & find_loaders((tmp_path,), tmp_path).found.keys()


def test_what_is_missing_is_told_with_the_way_out(tmp_path: Path) -> None:
    missing = find_loaders((), tmp_path).missing
    assert "snponly-arm64.efi into a folder of yours" in missing["snponly-arm64.efi"]


def test_every_first_file_is_in_the_catalogue_or_made_here(tmp_path: Path) -> None:
    shelf = look_on_shelf((), tmp_path)
    known = catalogue().keys() | shelf.names | shelf.missing.keys()
    for row in ROWS:
        for method, first in row.loaders.items():
            if row.arch != "riscv64" or method is not Method.IPXE:
                assert {first, *COMPANIONS.get(first, ())} <= known
    assert MEDIUM in known
