from __future__ import annotations

import pytest

from kairos_netboot.boot.decide import Decision, Outcome
from kairos_netboot.boot.extlinux import boot_script, extlinux_config, extlinux_disk_config
from kairos_netboot.config.resources import load_scripts
from kairos_netboot.errors import InvalidValue
from tests.unit.boot.plans import plan_of

SCRIPTS = load_scripts()
BOOT = "boot/52-54-00-00-00-01"


def test_the_whole_extlinux_configuration() -> None:
    assert extlinux_config(SCRIPTS, plan_of(), device_trees=False) == (
        f"""\
# kairos-netboot: alpha, installer start 1 of at most 3
# image debian sha256:00
DEFAULT install
PROMPT 0

LABEL install
  MENU LABEL alpha installs debian (1 of at most 3 tries)
  KERNEL /{BOOT}/{"1" * 64}/kernel
  INITRD /{BOOT}/{"2" * 64}/initrd
  APPEND console=ttyS0 netboot
"""
    )


def test_a_folder_of_device_trees_is_named_where_there_are_some() -> None:
    text = extlinux_config(SCRIPTS, plan_of(), device_trees=True)
    assert f"  FDTDIR /{BOOT}/dtbs\n  APPEND" in text


def test_an_installed_machine_goes_on_in_its_order() -> None:
    decision = Decision(outcome=Outcome.DISK, reason="alpha is installed")
    assert "\nLABEL disk\n  LOCALBOOT 1\n" in extlinux_disk_config(SCRIPTS, decision)


def test_the_script_says_which_server_the_files_are_on() -> None:
    script = boot_script(SCRIPTS, plan_of())[72:].decode()
    assert "setenv serverip 192.0.2.1\n" in script
    assert "setenv bootargs 'console=ttyS0 netboot'\n" in script
    assert f"tftpboot ${{kernel_addr_r}} {BOOT}/{'1' * 64}/kernel; then" in script
    assert "report/abc/boot-failed-${knb_failed}\n" in script


@pytest.mark.parametrize("line", ["a=${b}", "a=$(b)", "a='b'", "a=\\$b"])
def test_a_command_line_that_u_boot_would_change_is_refused(line: str) -> None:
    with pytest.raises(InvalidValue, match="kernel-args"):
        boot_script(SCRIPTS, plan_of(line))
    with pytest.raises(InvalidValue, match="kernel-args"):
        extlinux_config(SCRIPTS, plan_of(line), device_trees=False)


def test_a_lone_dollar_sign_is_none_of_u_boots_business() -> None:
    assert "APPEND a=$ b" in extlinux_config(SCRIPTS, plan_of("a=$ b"), device_trees=False)
