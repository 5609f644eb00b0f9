from __future__ import annotations

from kairos_netboot.config.resources import load_recipes, load_scripts


def test_what_ships_with_the_program_can_be_read() -> None:
    assert "bios" in load_recipes().recipes
    load_scripts()
