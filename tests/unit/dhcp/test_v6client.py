from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.dhcp.v6 import Kind, Message, Option6, Relayed
from kairos_netboot.dhcp.v6client import identify, is_netboot, recognise6
from kairos_netboot.values import Arch, Firmware, Mac, Stage
from tests.unit.dhcp.v6sample import (
    EDK2_DUID,
    EDK2_HTTP_SOLICIT,
    EDK2_PXE_SOLICIT,
    EDK2_STACK_SOLICIT,
    IPXE_INFORMATION_REQUEST,
    MAC,
    UUID,
    changed,
    message,
)

LINK_LOCAL = IPv6Address("fe80::5054:ff:fe77:601")
LEASED = IPv6Address("fd00:77::146")
OTHER = Mac("52:54:00:00:00:99")


def with_duid(duid: bytes) -> Message:
    return changed(EDK2_PXE_SOLICIT, option_1=duid)


def relay(peer: IPv6Address, link_layer: bytes | None = None) -> Relayed:
    options = ((int(Option6.CLIENT_LINK_LAYER), link_layer),) if link_layer else ()
    return Relayed(
        kind=Kind.RELAY_FORWARD, hops=0, link=IPv6Address("fd00:1::1"), peer=peer, options=options
    )


def test_edk2s_pxe_is_known_with_its_architecture() -> None:
    client = recognise6(message(EDK2_PXE_SOLICIT), MAC, UUID)
    assert client is not None
    assert (client.stage, client.firmware, client.arch) == (Stage.PXE, Firmware.UEFI, Arch.AMD64)
    assert (client.arch_type, client.mac, client.uuid, client.known) == (7, MAC, UUID, True)
    assert client.vendor_class == "PXEClient:Arch:00007:UNDI:003000"


def test_edk2s_http_boot_is_known_with_its_architecture() -> None:
    client = recognise6(message(EDK2_HTTP_SOLICIT), MAC)
    assert client is not None
    assert (client.stage, client.arch_type, client.arch) == (Stage.HTTP, 16, Arch.AMD64)


def test_ipxe_is_ipxe_though_it_calls_itself_a_pxe_client() -> None:
    client = recognise6(message(IPXE_INFORMATION_REQUEST), MAC)
    assert client is not None
    assert (client.stage, client.speaks_http, client.arch) == (Stage.IPXE, True, Arch.AMD64)


def test_the_network_stack_of_the_same_firmware_is_no_network_boot() -> None:
    assert recognise6(message(EDK2_STACK_SOLICIT), MAC) is None
    assert not is_netboot(message(EDK2_STACK_SOLICIT))


def test_the_vendor_class_tells_the_architecture_where_option_61_is_missing() -> None:
    client = recognise6(changed(EDK2_PXE_SOLICIT, option_61=None), MAC)
    assert client is not None
    assert client.arch_type == 7


def test_of_several_architectures_the_first_that_has_images_counts() -> None:
    client = recognise6(changed(EDK2_PXE_SOLICIT, option_61=b"\0\6\0\x0b"), MAC)
    assert client is not None
    assert (client.arch_type, client.arch) == (11, Arch.ARM64)


def test_an_architecture_for_http_makes_it_http_boot() -> None:
    client = recognise6(changed(EDK2_PXE_SOLICIT, option_61=b"\0\x13"), MAC)
    assert client is not None
    assert (client.stage, client.arch) == (Stage.HTTP, Arch.ARM64)


def test_a_type_that_the_registry_has_not_is_kept_and_not_known() -> None:
    client = recognise6(changed(EDK2_PXE_SOLICIT, option_61=b"\x7f\xff"), MAC)
    assert client is not None
    assert (client.arch_type, client.firmware, client.known) == (0x7FFF, None, False)


@given(
    st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=9), st.binary(max_size=30)
)
def test_no_option_of_whatever_bytes_raises(a: bytes, b: bytes, c: bytes, d: bytes) -> None:
    request = changed(EDK2_PXE_SOLICIT, option_1=d, option_15=a, option_16=b, option_61=c)
    recognise6(request, MAC)
    identify(request, (relay(LEASED, d),), LEASED)


def test_the_card_is_told_by_the_link_local_address_made_of_it() -> None:
    found = identify(message(EDK2_PXE_SOLICIT), (), LINK_LOCAL)
    assert (found.mac, found.duid) == (MAC, EDK2_DUID)


def test_a_leased_address_and_a_uuid_tell_no_card() -> None:
    assert identify(message(EDK2_PXE_SOLICIT), (), LEASED).mac is None


def test_edk2s_and_ipxes_identifiers_are_of_one_uuid_in_two_byte_orders() -> None:
    assert identify(message(EDK2_PXE_SOLICIT), (), LEASED).uuids[1] == UUID
    assert identify(message(IPXE_INFORMATION_REQUEST), (), LEASED).uuids[0] == UUID


@pytest.mark.parametrize(
    "duid",
    [
        bytes.fromhex("0003 0001 525400770601"),
        bytes.fromhex("0001 0001 329684af 525400770601"),
    ],
)
def test_a_duid_made_of_a_card_tells_it(duid: bytes) -> None:
    found = identify(with_duid(duid), (), LEASED)
    assert (found.mac, found.uuids) == (MAC, ())


@pytest.mark.parametrize(
    "duid",
    [
        b"",
        b"\0",
        bytes.fromhex("0003 0001 5254007706"),
        bytes.fromhex("0003 0020 525400770601"),  # InfiniBand
        bytes.fromhex("0001 0001 329684af"),
        bytes.fromhex("0002 0001 525400770601"),  # DUID-EN
        bytes.fromhex("0004 525400770601"),
    ],
)
def test_other_duids_tell_nothing(duid: bytes) -> None:
    found = identify(with_duid(duid), (), LEASED)
    assert (found.mac, found.uuids) == (None, ())


def test_the_card_that_asks_is_believed_before_the_duid_of_another() -> None:
    duid = bytes.fromhex("00030001") + bytes.fromhex(OTHER.replace(":", ""))
    assert identify(with_duid(duid), (), LINK_LOCAL).mac == MAC


def test_behind_a_relay_its_option_79_tells_the_card() -> None:
    told = bytes.fromhex("0001") + bytes.fromhex(MAC.replace(":", ""))
    found = identify(message(EDK2_PXE_SOLICIT), (relay(LEASED, told),), LINK_LOCAL)
    assert found.mac == MAC


def test_behind_a_relay_its_peer_is_the_client_and_the_source_is_not() -> None:
    of_relay = IPv6Address("fe80::5054:ff:fe00:99")
    assert identify(message(EDK2_PXE_SOLICIT), (relay(LINK_LOCAL),), of_relay).mac == MAC


def test_of_two_relays_the_one_near_the_client_knows_it() -> None:
    of_relay = IPv6Address("fe80::5054:ff:fe00:99")
    through = (relay(of_relay), relay(LINK_LOCAL))
    assert identify(message(EDK2_PXE_SOLICIT), through, LEASED).mac == MAC
