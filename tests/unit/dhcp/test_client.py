from __future__ import annotations

import pytest

from kairos_netboot.dhcp.client import recognise
from kairos_netboot.dhcp.packet import Op, Packet
from kairos_netboot.values import Arch, Firmware, Stage

UEFI = b"PXEClient:Arch:00007:UNDI:003001"


def _request(**options: bytes) -> Packet:
    codes = {"kind": 53, "vendor": 60, "user": 77, "arch": 93, "uuid": 97, "ipxe": 175}
    return Packet(
        op=Op.REQUEST,
        xid=1,
        hardware_address=bytes.fromhex("525400123456"),
        options={53: b"\x01", **{codes[name]: value for name, value in options.items()}},
    )


@pytest.mark.parametrize(
    ("number", "firmware", "arch"),
    [
        (0, Firmware.BIOS, Arch.AMD64),
        (7, Firmware.UEFI, Arch.AMD64),
        (9, Firmware.UEFI, Arch.AMD64),
        (11, Firmware.UEFI, Arch.ARM64),
        (6, None, None),
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


def test_a_client_that_tells_no_architecture_is_recognised_all_the_same() -> None:
    client = recognise(_request(vendor=b"PXEClient"))
    assert client is not None
    assert (client.arch_type, client.firmware) == (None, None)


def test_an_ordinary_dhcp_client_is_none_of_ours() -> None:
    assert recognise(_request()) is None
    assert recognise(_request(vendor=b"udhcp 1.35.0")) is None


@pytest.mark.parametrize("user_class", [b"iPXE", b"\x04iPXE"])
def test_ipxe_is_known_by_its_user_class_in_either_spelling(user_class: bytes) -> None:
    client = recognise(_request(vendor=UEFI, user=user_class, arch=b"\0\x07"))
    assert client is not None
    assert client.stage is Stage.IPXE
    assert client.speaks_http


def test_ipxe_without_user_class_is_known_by_option_175() -> None:
    client = recognise(_request(vendor=UEFI, ipxe=b"\x13\x01\x01\xff"))
    assert client is not None
    assert client.stage is Stage.IPXE
    assert client.speaks_http


def test_an_ipxe_without_http_says_so_by_leaving_it_out() -> None:
    client = recognise(_request(vendor=UEFI, user=b"iPXE", ipxe=b"\x12\x01\x01\xff"))
    assert client is not None
    assert not client.speaks_http


def test_a_broken_option_175_does_no_harm() -> None:
    client = recognise(_request(vendor=UEFI, ipxe=b"\x13\xff"))
    assert client is not None
    assert client.speaks_http


def test_http_boot_is_a_stage_of_its_own() -> None:
    client = recognise(_request(vendor=b"HTTPClient:Arch:00016:UNDI:003001", arch=b"\0\x10"))
    assert client is not None
    assert (client.stage, client.arch) == (Stage.HTTP, Arch.AMD64)


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
