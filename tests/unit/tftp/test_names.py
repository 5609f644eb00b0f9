from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.tftp.names import Ask, Name, read_name
from kairos_netboot.values import Digest, Mac

MAC = Mac("52:54:00:00:00:01")
HEX = "0123456789abcdef" * 4
NOTHING = Name(ask=Ask.NOTHING)


@pytest.mark.parametrize(
    "name",
    ["snponly.efi", "/snponly.efi", "\\snponly.efi", "./snponly.efi", "//snponly.efi"],
)
def test_a_loader_is_asked_for_by_its_name(name: str) -> None:
    assert read_name(name) == Name(ask=Ask.LOADER, rest="snponly.efi")


@pytest.mark.parametrize(
    "name",
    ["52-54-00-00-00-01/snponly.efi", "52:54:00:00:00:01\\snponly.efi", f"boot/{MAC}/snponly.efi"],
)
def test_a_loader_may_be_behind_a_mac(name: str) -> None:
    assert read_name(name) == Name(ask=Ask.LOADER, mac=MAC, rest="snponly.efi")


def test_a_loader_may_be_in_any_folder() -> None:
    assert read_name("EFI/BOOT/grubx64.efi") == Name(
        ask=Ask.LOADER, folder="EFI", rest="BOOT/grubx64.efi"
    )


@pytest.mark.parametrize("name", ["../etc/passwd", "a/../b", "..", "", "/", ".", "a/" * 300])
def test_a_name_that_leads_nowhere_asks_for_nothing(name: str) -> None:
    assert read_name(name) == NOTHING


@pytest.mark.parametrize("name", ["autoexec.ipxe", "script.ipxe"])
def test_ipxe_asks_for_a_script_with_or_without_a_mac(name: str) -> None:
    assert read_name(name) == Name(ask=Ask.IPXE)
    assert read_name(f"{MAC.hyphens}/{name}") == Name(ask=Ask.IPXE, mac=MAC)
    assert read_name(f"boot/{MAC.hyphens}/{name}") == Name(ask=Ask.IPXE, mac=MAC)


@pytest.mark.parametrize("name", ["grub/grub.cfg", "grub.cfg", "EFI/debian/grub.cfg"])
def test_grub_asks_without_saying_for_whom(name: str) -> None:
    assert read_name(name) == Name(ask=Ask.GRUB_ANY)


@pytest.mark.parametrize(
    "name",
    [
        "grub/node-52:54:00:00:00:01.cfg",
        "grub/node-52-54-00-00-00-01.cfg",
        "grub/grub.cfg-01-52-54-00-00-00-01",
        "52-54-00-00-00-01/grub.cfg",
        "52-54-00-00-00-01/grub/grub.cfg",
        "boot/52:54:00:00:00:01/grub.cfg",
    ],
)
def test_grub_asks_for_a_machine(name: str) -> None:
    assert read_name(name) == Name(ask=Ask.GRUB, mac=MAC)


@pytest.mark.parametrize(
    "name",
    [
        "grub/x86_64-efi/command.lst",
        "grub/arm64-efi/http.mod",
        "grub/grub.cfg-C0A84D64",
        "grub/grub.cfg-01-52-54-00",
        "grub/node-.cfg",
    ],
)
def test_what_else_grub_tries_is_not_here(name: str) -> None:
    assert read_name(name) == NOTHING


def test_u_boot_asks_by_its_mac() -> None:
    assert read_name("pxelinux.cfg/01-52-54-00-00-00-01") == Name(ask=Ask.EXTLINUX, mac=MAC)
    assert read_name(f"{MAC.hyphens}/pxelinux.cfg/01-52-54-00-00-00-01") == Name(
        ask=Ask.EXTLINUX, mac=MAC
    )


@pytest.mark.parametrize(
    "name", ["C0A84D64", "C0A8", "C", "default-arm-qemu", "default-arm", "default", "01-52-54"]
)
def test_what_else_u_boot_tries_is_not_here(name: str) -> None:
    assert read_name(f"pxelinux.cfg/{name}") == NOTHING


def test_u_boot_asks_without_saying_for_whom() -> None:
    assert read_name("extlinux/extlinux.conf") == Name(ask=Ask.EXTLINUX)
    for name in ("boot.scr.uimg", "boot.scr"):
        assert read_name(name) == Name(ask=Ask.BOOT_SCRIPT)
        assert read_name(f"{MAC.hyphens}/{name}") == Name(ask=Ask.BOOT_SCRIPT, mac=MAC)


def test_u_boot_asks_for_a_device_tree() -> None:
    assert read_name(f"boot/{MAC.hyphens}/dtbs/rockchip/rk3399.dtb") == Name(
        ask=Ask.DEVICE_TREE, mac=MAC, rest="rockchip/rk3399.dtb"
    )


def test_a_raspberry_pi_asks_below_its_serial_number_or_its_mac() -> None:
    assert read_name("9ffefdef/overlays/disable-bt.dtbo") == Name(
        ask=Ask.LOADER, folder="9ffefdef", rest="overlays/disable-bt.dtbo"
    )
    assert read_name("dc-a6-32-01-36-c2/start4.elf") == Name(
        ask=Ask.LOADER, mac=Mac("dc:a6:32:01:36:c2"), rest="start4.elf"
    )


def test_a_blob_is_asked_for_by_its_digest() -> None:
    assert read_name(f"/boot/{MAC.hyphens}/{HEX}/kernel") == Name(
        ask=Ask.BLOB, mac=MAC, digest=Digest(f"sha256:{HEX}"), rest="kernel"
    )


@pytest.mark.parametrize("path", ["abc/kernel", f"{HEX}/a/b", f"{HEX.upper()}/kernel"])
def test_a_blob_without_a_digest_is_not_here(path: str) -> None:
    assert read_name(f"boot/{MAC.hyphens}/{path}") == NOTHING


@pytest.mark.parametrize("folder", ["report", "reports"])
def test_grub_tells_that_it_failed(folder: str) -> None:
    assert read_name(f"{folder}/a1b2/boot-failed") == Name(ask=Ask.REPORT, token="a1b2")
    assert read_name(f"{folder}/a1b2/boot-failed-kernel-secure-boot") == Name(
        ask=Ask.REPORT, token="a1b2", rest="kernel-secure-boot"
    )


@pytest.mark.parametrize("path", ["a1b2/ready", "a1b2", "a1b2/boot-failed/x", "boot-failed"])
def test_no_other_report_comes_by_tftp(path: str) -> None:
    assert read_name(f"report/{path}") == NOTHING


@given(st.text())
@example("boot/52-54-00-00-00-01/dtbs")
@example("boot/52-54-00-00-00-01")
@example("report//x")
def test_no_name_breaks_the_reader(name: str) -> None:
    read = read_name(name)
    assert ".." not in read.rest.split("/")
    assert read.digest is not None or read.ask is not Ask.BLOB


def test_what_was_chosen_of_a_menu_is_in_the_name() -> None:
    name = read_name("/boot/52-54-00-00-00-01/grub-rescue.cfg")
    assert (name.ask, name.mac, name.rest) == (Ask.GRUB, Mac("52:54:00:00:00:01"), "rescue")


def test_a_choice_of_nobodys_is_no_configuration() -> None:
    assert read_name("grub-rescue.cfg").ask is Ask.LOADER
