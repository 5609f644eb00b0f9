from __future__ import annotations

from dataclasses import replace

import pytest

from kairos_netboot.dhcp.client import Client, describe_options, recognise
from kairos_netboot.dhcp.packet import Op, Packet
from kairos_netboot.values import Arch, Firmware, Stage

UEFI = b"PXEClient:Arch:00007:UNDI:003001"


PI_MAC = "dca6320136c2"


def _request(mac: str = "525400123456", /, **options: bytes) -> Packet:
    codes = {"list": 55, "vendor": 60, "user": 77, "arch": 93, "uuid": 97, "ipxe": 175}
    return Packet(
        op=Op.REQUEST,
        xid=1,
        hardware_address=bytes.fromhex(mac),
        options={53: b"\x01", **{codes[name]: value for name, value in options.items()}},
    )


def _client(mac: str = "525400123456", /, **options: bytes) -> Client:
    client = recognise(_request(mac, **options))
    assert client is not None
    return client


def _kind(client: Client) -> tuple[Stage, Firmware | None, Arch | None]:
    return client.stage, client.firmware, client.arch


@pytest.mark.parametrize(
    ("number", "firmware", "arch"),
    [
        (0, Firmware.BIOS, Arch.AMD64),
        (7, Firmware.UEFI, Arch.AMD64),
        (9, Firmware.UEFI, Arch.AMD64),
        (11, Firmware.UEFI, Arch.ARM64),
        (6, Firmware.UEFI, Arch.I386),
        (10, Firmware.UEFI, Arch.ARM),
        (27, Firmware.UEFI, Arch.RISCV64),
        (39, Firmware.UEFI, Arch.LOONG64),
        (12345, None, None),
    ],
)
def test_option_93_names_firmware_and_architecture(
    number: int, firmware: Firmware | None, arch: Arch | None
) -> None:
    client = recognise(_request(vendor=b"PXEClient", arch=number.to_bytes(2, "big")))
    assert client is not None
    assert (client.firmware, client.arch, client.arch_type) == (firmware, arch, number)


def test_of_several_types_the_first_known_counts() -> None:
    client = recognise(_request(vendor=UEFI, arch=b"\x00\x06\x00\x07"))
    assert client is not None
    assert client.arch_type == 7


def test_without_option_93_option_60_tells() -> None:
    client = recognise(_request(vendor=UEFI))
    assert client is not None
    assert (client.firmware, client.arch_type) == (Firmware.UEFI, 7)


@pytest.mark.parametrize(
    "options",
    [
        {"vendor": b"PXEClient"},
        {"vendor": b"HTTPClient:Arch:99999"},
        {"arch": b"\x00\x0e"},  # POWER: there is nothing for it here
        {"arch": b"\x00\x19"},
        {"uuid": b"\0" * 17},
        {"vendor": b"Vendor's own", "arch": b"\x12\x34"},
    ],
)
def test_what_asks_for_a_boot_in_an_unknown_way_is_seen_and_said_to_be_unknown(
    options: dict[str, bytes],
) -> None:
    client = _client(**options)
    assert _kind(client) == (Stage.PXE, None, None)
    assert not client.known


def test_what_is_recorded_of_the_unknown_is_printable_and_bounded() -> None:
    request = _request(vendor=b'PXE"Client', user=b"\x04abcd", arch=b"\0\x0e", uuid=b"\0" * 17)
    said = """53=01 60="PXE'Client" 77=0461626364 93=000e 97=0000000000000000000000000000000000"""
    assert describe_options(request) == said
    long = _request(vendor=b"x" * 900, user=b"\xff" * 900)
    assert describe_options(long) == f'53=01 60="{"x" * 64}"… 77={"ff" * 32}…'


def test_an_ordinary_dhcp_client_is_none_of_ours() -> None:
    assert recognise(_request()) is None
    assert recognise(_request(vendor=b"udhcp 1.35.0")) is None


def test_a_request_of_no_ethernet_device_is_none_of_ours() -> None:
    assert recognise(_request("0011223344556677", vendor=UEFI)) is None


@pytest.mark.parametrize("user_class", [b"iPXE", b"\x04iPXE"])
def test_ipxe_is_known_by_its_user_class_in_either_spelling(user_class: bytes) -> None:
    client = _client(vendor=UEFI, user=user_class, arch=b"\0\x07")
    assert client.stage is Stage.IPXE
    assert client.speaks_http
    assert not client.speaks_https


def test_ipxe_without_user_class_is_known_by_option_175() -> None:
    client = _client(vendor=UEFI, ipxe=b"\x13\x01\x01\xff")
    assert client.stage is Stage.IPXE
    assert client.speaks_http


def test_an_ipxe_tells_its_features_and_version() -> None:
    features = bytes.fromhex("b105011af41000 eb03011501 130101 140101 240101")
    client = _client(vendor=UEFI, ipxe=features)
    assert (client.speaks_http, client.speaks_https) == (True, True)
    assert client.ipxe_version == "1.21.1"


def test_an_ipxe_that_tells_no_type_is_uefi_where_it_loads_efi_programs() -> None:
    assert _client(ipxe=b"\x24\x01\x01").firmware is Firmware.UEFI
    assert _client(ipxe=b"\x18\x01\x01").firmware is None
    assert _client(ipxe=b"\x24\x01\x01", arch=b"\0\0").firmware is Firmware.BIOS


def test_an_ipxe_without_http_says_so_by_leaving_it_out() -> None:
    assert not _client(vendor=UEFI, user=b"iPXE", ipxe=b"\x12\x01\x01\xff").speaks_http


def test_a_broken_option_175_does_no_harm() -> None:
    client = _client(vendor=UEFI, ipxe=b"\x13\xff")
    assert client.speaks_http
    assert client.ipxe_version == ""


def test_http_boot_is_a_stage_of_its_own() -> None:
    client = recognise(_request(vendor=b"HTTPClient:Arch:00016:UNDI:003001", arch=b"\0\x10"))
    assert client is not None
    assert (client.stage, client.arch) == (Stage.HTTP, Arch.AMD64)


@pytest.mark.parametrize("number", [15, 16, 17, 18, 19, 28])
@pytest.mark.parametrize("vendor", [b"", b"PXEClient", b"Vendor"])
def test_a_type_of_http_is_http_boot_without_the_class_too(number: int, vendor: bytes) -> None:
    client = _client(vendor=vendor, arch=number.to_bytes(2, "big"))
    assert (client.stage, client.firmware) == (Stage.HTTP, Firmware.UEFI)


def test_the_http_class_is_http_boot_with_another_type_too() -> None:
    client = _client(vendor=b"HTTPClient", arch=b"\0\x0b")
    assert _kind(client) == (Stage.HTTP, Firmware.UEFI, Arch.ARM64)


@pytest.mark.parametrize(
    ("options", "arch"),
    [
        ({"vendor": b"U-Boot.armv8", "arch": b"\0\x16"}, Arch.ARM64),
        ({"vendor": b"U-Boot.armv8"}, Arch.ARM64),
        ({"vendor": b"U-boot.armv7.ca9x4_ct_vxp", "arch": b"\x01\0"}, Arch.ARM),
        ({"vendor": b" U-boot.armv8.armada3700", "arch": b"\x01\0"}, Arch.ARM64),
        ({"vendor": b"U-Boot.riscv", "arch": b"\0\x1b"}, Arch.RISCV64),
        ({"vendor": b"U-Boot.riscv"}, Arch.RISCV64),
        ({"vendor": b"U-Boot"}, None),
        ({"arch": b"\0\x15"}, Arch.ARM),
        ({"arch": b"\0\x18"}, Arch.ARM64),
        ({"arch": b"\x01\0"}, None),
    ],
)
def test_u_boot_is_known_by_its_class_or_its_types(
    options: dict[str, bytes], arch: Arch | None
) -> None:
    client = _client(**options)
    assert _kind(client) == (Stage.UBOOT, Firmware.UBOOT, arch)
    assert client.known


def test_u_boot_asking_for_an_efi_program_is_answered_as_what_it_says_it_is() -> None:
    client = _client(vendor=b"PXEClient:Arch:00011:UNDI:003000", arch=b"\0\x0b")
    assert _kind(client) == (Stage.PXE, Firmware.UEFI, Arch.ARM64)


RASPBERRY_ROM = b"PXEClient:Arch:00000:UNDI:002001"
PI4_GUID = b"\0RPi4" + bytes.fromhex("1131c000320136c2effdfe9f")


def test_a_raspberry_pi_is_none_of_the_pcs_it_passes_for() -> None:
    client = _client(PI_MAC, vendor=RASPBERRY_ROM, arch=b"\0\0", uuid=PI4_GUID)
    assert _kind(client) == (Stage.RASPBERRY, Firmware.RASPBERRY, Arch.ARM64)
    assert client.serial == "9ffefdef"


def test_a_raspberry_pi_with_another_mac_address_is_known_by_option_97() -> None:
    assert _client(vendor=RASPBERRY_ROM, uuid=PI4_GUID).stage is Stage.RASPBERRY


def test_a_raspberry_pis_request_leaves_out_option_60() -> None:
    assert _client(PI_MAC, arch=b"\0\0", uuid=PI4_GUID).stage is Stage.RASPBERRY


@pytest.mark.parametrize(
    ("options", "stage"),
    [
        ({"vendor": b"PXEClient:Arch:00011:UNDI:003000", "arch": b"\0\x0b"}, Stage.PXE),
        ({"vendor": b"HTTPClient:Arch:00019:UNDI:003000", "arch": b"\0\x13"}, Stage.HTTP),
        ({"vendor": b"PXEClient:Arch:00011:UNDI:003010", "user": b"iPXE"}, Stage.IPXE),
        ({"vendor": b"U-Boot.armv8", "arch": b"\0\x16", "uuid": b"\0" * 17}, Stage.UBOOT),
    ],
)
def test_what_runs_on_a_raspberry_pi_is_what_it_says_it_is(
    options: dict[str, bytes], stage: Stage
) -> None:
    assert _client(PI_MAC, **options).stage is stage


def test_linux_on_a_raspberry_pi_is_none_of_ours() -> None:
    assert recognise(_request(PI_MAC, vendor=b"dhcpcd-9.4.1:Linux-6.1:aarch64:BCM2835")) is None


def test_a_pc_has_no_serial_number_in_its_request() -> None:
    assert _client(vendor=UEFI, uuid=b"\0" + b"same" * 4).serial == ""


def test_grub_is_known_by_the_clock_in_its_discover() -> None:
    asks = replace(_request(), xid=0x692FA103, secs=0xA103)
    client = recognise(asks)
    assert client is not None
    assert _kind(client) == (Stage.GRUB, None, None)
    assert client.known


@pytest.mark.parametrize(("xid", "secs"), [(0x692FA103, 0), (5, 5), (0x10006, 5)])
def test_another_bare_discover_is_none_of_ours(xid: int, secs: int) -> None:
    assert recognise(replace(_request(), xid=xid, secs=secs)) is None


@pytest.mark.parametrize(
    ("parameters", "is_grub"),
    [
        ((1, 3, 6, 15, 12, 17, 18), True),
        ((1, 3, 6, 15, 12, 17, 18, 60), True),
        ((1, 3, 6, 12, 15, 17, 18), False),
        ((), False),
    ],
)
def test_grub_is_known_by_what_its_request_asks_for(
    parameters: tuple[int, ...], is_grub: bool
) -> None:
    options = {53: b"\x03", 54: b"abcd", 50: b"abcd", 55: bytes(parameters)}
    client = recognise(replace(_request(), options=options))
    assert (client is not None and client.stage is Stage.GRUB) is is_grub


def test_the_uuid_is_read_as_smbios_writes_it() -> None:
    raw = b"\0" + bytes.fromhex("33221100554477668899aabbccddeeff")
    client = recognise(_request(vendor=UEFI, uuid=raw))
    assert client is not None
    assert client.uuid == "00112233-4455-6677-8899-aabbccddeeff"


@pytest.mark.parametrize("raw", [b"", b"\0", b"\x01" + bytes(16), bytes(18)])
def test_a_malformed_uuid_is_left_out(raw: bytes) -> None:
    client = recognise(_request(vendor=UEFI, uuid=raw))
    assert client is not None
    assert client.uuid == ""
