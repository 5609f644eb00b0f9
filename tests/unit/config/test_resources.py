from __future__ import annotations

from pathlib import Path

import pytest

from kairos_netboot.config.resources import load_loaders, load_recipes, load_scripts
from kairos_netboot.errors import CannotServe


def test_a_folder_of_ones_own_comes_before_the_systems(tmp_path: Path) -> None:
    (tmp_path / "own.efi").write_bytes(b"own")
    assert load_loaders(["own.efi"], (tmp_path,)) == {"own.efi": b"own"}


def test_a_missing_boot_loader_names_the_places_and_the_package(tmp_path: Path) -> None:
    with pytest.raises(CannotServe) as caught:
        load_loaders(["no-such.efi"], (tmp_path,))
    message = str(caught.value)
    assert message.startswith(f"boot loader no-such.efi is in none of {tmp_path}, /usr/lib/ipxe")
    assert "install the package 'ipxe'" in message


def test_what_ships_with_the_program_can_be_read() -> None:
    assert load_recipes().loaders == {"undionly.kpxe", "snponly.efi"}
    load_scripts()
