from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kairos_netboot.boot.grub import HTTP, HTTP_80, MAC, SERVER, addressed
from kairos_netboot.boot.urls import Urls
from kairos_netboot.config.grub import make_disk_starter, make_network_grub, network_config

MODULES = Path("/usr/lib/grub/x86_64-efi")

needs_grub = pytest.mark.skipif(
    shutil.which("grub-mkimage") is None or not MODULES.is_dir(),
    reason="grub-mkimage and grub-efi-amd64-bin are not installed",
)


@needs_grub
def test_the_network_grub_can_be_told_where_it_came_from() -> None:
    made = make_network_grub("x86_64-efi")
    assert made is not None
    assert made[:2] == b"MZ"
    assert made.count(SERVER.encode()) == made.count(MAC.encode()) == 1
    assert made.count(HTTP.encode()) + made.count(HTTP_80.encode()) == 1
    told = addressed(made, Urls("http://192.0.2.1:8080"))
    assert len(told) == len(made)
    assert b"\nset knb_server=192.0.2.1   " in told
    assert b"@@kairos-netboot" not in told


@needs_grub
def test_the_same_modules_make_the_same_file() -> None:
    assert make_network_grub("x86_64-efi") == make_network_grub("x86_64-efi", MODULES)


@needs_grub
def test_the_disk_starter_is_an_efi_program() -> None:
    made = make_disk_starter()
    assert made is not None
    assert made[:2] == b"MZ"


def test_without_modules_there_is_no_grub(tmp_path: Path) -> None:
    assert make_network_grub("x86_64-efi", tmp_path) is None
    assert make_network_grub("vax-efi") is None


def test_a_grub_that_knows_no_ports_is_told_of_port_80_alone() -> None:
    assert HTTP in network_config(ports=True)
    assert HTTP_80 in network_config(ports=False)
    assert HTTP not in network_config(ports=False)
