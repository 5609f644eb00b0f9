from __future__ import annotations

import pytest

from kairos_netboot.config.resources import load_recipes
from kairos_netboot.dhcp.client import Client
from kairos_netboot.dhcp.recipe import parse_recipes
from kairos_netboot.errors import InvalidValue, UnknownName
from kairos_netboot.values import Arch, Firmware, Mac, Stage

RECIPES = load_recipes()


def _client(stage: Stage, firmware: Firmware | None, arch: Arch | None) -> Client:
    return Client(
        mac=Mac("525400123456"), stage=stage, arch_type=None, firmware=firmware, arch=arch
    )


@pytest.mark.parametrize(
    ("stage", "firmware", "recipe", "loader"),
    [
        (Stage.PXE, Firmware.BIOS, "bios", "undionly.kpxe"),
        (Stage.PXE, Firmware.UEFI, "uefi", "snponly.efi"),
        (Stage.IPXE, Firmware.BIOS, "ipxe", "undionly.kpxe"),
        (Stage.IPXE, Firmware.UEFI, "ipxe", "snponly.efi"),
    ],
)
def test_each_firmware_has_its_recipe_and_loader(
    stage: Stage, firmware: Firmware, recipe: str, loader: str
) -> None:
    client = _client(stage, firmware, Arch.AMD64)
    rule = RECIPES.rule_for(client)
    assert rule is not None
    assert rule.recipe == recipe
    assert RECIPES.loader_for(client) == loader


def test_firmware_nobody_has_a_loader_for_gets_none() -> None:
    assert RECIPES.loader_for(_client(Stage.PXE, Firmware.UEFI, Arch.ARM64)) == ""
    assert RECIPES.rule_for(_client(Stage.PXE, None, None)) is None


def test_bios_is_told_to_boot_from_the_offer() -> None:
    assert RECIPES.named("bios").option_43 == bytes.fromhex("060108ff")


def test_uefi_gets_no_option_43_but_option_67_and_an_answer_on_4011() -> None:
    uefi = RECIPES.named("uefi")
    assert (uefi.option_43, uefi.option_67, uefi.port_4011) == (b"", True, True)


def test_an_unknown_recipe_is_told_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"'pxe'.*bios, everything, ipxe, uefi"):
        RECIPES.named("pxe")


@pytest.mark.parametrize("text", ["", "[recipes", "[recipes.x]\nsname = true\n[[rules]]"])
def test_a_broken_recipes_file_is_one_error(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_recipes(text)
