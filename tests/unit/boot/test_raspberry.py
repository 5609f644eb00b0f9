from __future__ import annotations

import pytest

from kairos_netboot.boot.raspberry import command_line_text, config_text, is_firmware
from kairos_netboot.config.resources import load_scripts
from tests.unit.boot.plans import plan_of


def test_the_whole_config_txt() -> None:
    assert config_text(load_scripts(), "alpha") == (
        "# kairos-netboot: alpha\n"
        "arm_64bit=1\n"
        "enable_uart=1\n"
        "kernel=kernel\n"
        "initramfs initrd followkernel\n"
    )


def test_the_command_line_is_one_line() -> None:
    assert command_line_text(plan_of("a b")) == "a b\n"


@pytest.mark.parametrize(
    "name",
    ["bootcode.bin", "start4.elf", "fixup4.dat", "bcm2711-rpi-4-b.dtb", "overlays/disable-bt.dtbo"],
)
def test_the_firmware_s_own_files(name: str) -> None:
    assert is_firmware(name)


@pytest.mark.parametrize(
    "name",
    ["recovery.elf", "pieeprom.upd", "pieeprom.sig", "vl805.bin", "dt-blob.bin", "kernel8.img", ""],
)
def test_what_would_rewrite_the_board_s_eeprom_is_never_served(name: str) -> None:
    assert not is_firmware(name)
