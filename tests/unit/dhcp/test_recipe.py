from __future__ import annotations

import pytest

from kairos_netboot.config.resources import load_recipes
from kairos_netboot.dhcp.client import Client
from kairos_netboot.dhcp.recipe import parse_recipes
from kairos_netboot.errors import InvalidValue, UnknownName
from kairos_netboot.values import Arch, Firmware, Mac, Stage

RECIPES = load_recipes()


def _client(
    stage: Stage, firmware: Firmware | None, arch: Arch | None, mac: str = "525400123456"
) -> Client:
    return Client(mac=Mac(mac), stage=stage, arch_type=None, firmware=firmware, arch=arch)


def _recipe(client: Client) -> str:
    rule = RECIPES.rule_for(client)
    return rule.recipe if rule else ""


@pytest.mark.parametrize(
    ("stage", "firmware", "arch", "recipe"),
    [
        (Stage.PXE, Firmware.BIOS, Arch.AMD64, "bios"),
        (Stage.PXE, Firmware.UEFI, Arch.AMD64, "uefi"),
        (Stage.PXE, Firmware.UEFI, Arch.ARM64, "uefi"),
        (Stage.PXE, Firmware.UEFI, Arch.RISCV64, "uefi"),
        (Stage.HTTP, Firmware.UEFI, Arch.AMD64, "http"),
        (Stage.HTTP, Firmware.UEFI, Arch.ARM64, "http"),
        (Stage.IPXE, Firmware.BIOS, Arch.AMD64, "ipxe"),
        (Stage.IPXE, Firmware.UEFI, Arch.AMD64, "ipxe"),
        (Stage.IPXE, None, None, "ipxe"),
        (Stage.GRUB, None, None, "grub"),
        (Stage.UBOOT, Firmware.UBOOT, Arch.ARM64, "u-boot"),
        (Stage.UBOOT, Firmware.UBOOT, None, "u-boot"),
        (Stage.RASPBERRY, Firmware.RASPBERRY, Arch.ARM64, "raspberry-pi"),
    ],
)
def test_each_firmware_has_its_recipe(
    stage: Stage, firmware: Firmware | None, arch: Arch | None, recipe: str
) -> None:
    assert _recipe(_client(stage, firmware, arch)) == recipe


def test_what_is_not_known_has_no_recipe() -> None:
    assert RECIPES.rule_for(_client(Stage.PXE, None, None)) is None


def test_the_masked_rom_of_a_raspberry_pi_3_has_a_recipe_of_its_own() -> None:
    pi3 = _client(Stage.RASPBERRY, Firmware.RASPBERRY, Arch.ARM64, mac="b8:27:eb:28:f6:6d")
    assert _recipe(pi3) == "raspberry-pi-3"
    assert RECIPES.named("raspberry-pi-3").option_43.endswith(b"Raspberry Pi Boot   \xff")


def test_the_raspberry_pis_menu_is_the_documented_one() -> None:
    # raspberrypi.com, "Network boot your Raspberry Pi": option 43 in its packet dump.
    dump = (
        "6.1.3.10.4.0.80.88.69.9.20.0.0.17."
        "82.97.115.112.98.101.114.114.121.32.80.105.32.66.111.111.116.255"
    )
    assert RECIPES.named("raspberry-pi").option_43 == bytes(map(int, dump.split(".")))


def test_http_boot_is_answered_in_its_own_class_and_asked_nothing_more() -> None:
    http = RECIPES.named("http")
    assert (http.client_class, http.option_43, http.option_67) == ("HTTPClient", b"", True)
    assert not http.port_4011
    others = set(RECIPES.recipes) - {"http"}
    assert {RECIPES.named(name).client_class for name in others} == {"PXEClient"}


def test_grub_alone_is_not_offered_anything_beside_its_lease() -> None:
    assert [name for name, recipe in RECIPES.recipes.items() if not recipe.proxy] == ["grub"]


def test_bios_is_told_to_boot_from_the_offer() -> None:
    assert RECIPES.named("bios").option_43 == bytes.fromhex("060108ff")


def test_uefi_gets_no_option_43_but_option_67_and_an_answer_on_4011() -> None:
    uefi = RECIPES.named("uefi")
    assert (uefi.option_43, uefi.option_67, uefi.port_4011) == (b"", True, True)


def test_an_unknown_recipe_is_told_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"'pxe'.*bios, everything, grub, http, ipxe"):
        RECIPES.named("pxe")


@pytest.mark.parametrize("text", ["", "[recipes", "[recipes.x]\nsname = true\n[[rules]]"])
def test_a_broken_recipes_file_is_one_error(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_recipes(text)
