from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.boot.power import Host
from kairos_netboot.errors import PowerProblem
from kairos_netboot.power.ipmi import arguments, boot_words, complaint, environment, supply
from kairos_netboot.power.switch import NetworkBoot, Supply


def test_the_command_line_holds_no_password() -> None:
    assert arguments(Host("192.0.2.10", 623), "root", ["chassis", "power", "on"]) == [
        *("ipmitool", "-I", "lanplus", "-H", "192.0.2.10", "-p", "623"),
        *("-U", "root", "-E", "chassis", "power", "on"),
    ]


def test_the_password_is_in_the_environment_and_little_else() -> None:
    environ = {"PATH": "/bin", "KAIROS_NETBOOT_KEY_PASSWORD": "x", "IPMI_PASSWORD": "old"}
    assert environment("hunter2", environ) == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "IPMI_PASSWORD": "hunter2",
    }


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Chassis Power is on\n", Supply.ON),
        ("Chassis Power is off\n", Supply.OFF),
        ("", Supply.UNKNOWN),
        ("Chassis Power is on fire", Supply.UNKNOWN),
    ],
)
def test_the_state_is_read_from_what_it_prints(said: str, meant: Supply) -> None:
    assert supply(said) is meant


def test_uefi_is_told_that_it_is_meant() -> None:
    assert boot_words(NetworkBoot.PXE) == ["chassis", "bootdev", "pxe", "options=efiboot"]
    assert boot_words(NetworkBoot.BIOS) == ["chassis", "bootdev", "pxe"]
    with pytest.raises(PowerProblem, match="no HTTP Boot"):
        boot_words(NetworkBoot.HTTP)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Error: Unable to establish IPMI v2 / RMCP+ session", "no controller answers there"),
        ("lanplus: password is longer than 20 bytes.", "at most 20 bytes"),
        ("Set Chassis Power Control to Up/On failed: hunter2\n", "ipmitool: Set .* failed: …"),
        ("", "it says nothing"),
    ],
)
def test_its_complaints_are_told_in_words(said: str, meant: str) -> None:
    with pytest.raises(PowerProblem, match=meant):
        raise PowerProblem(complaint(said, "hunter2"))


@given(st.text())
def test_whatever_it_complains_is_one_line(said: str) -> None:
    assert complaint(said, "").isprintable()
