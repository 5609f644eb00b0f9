from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.respond6 import Asked6, Response6, client_of, respond6, with_grub
from kairos_netboot.boot.site import ExitMethod
from kairos_netboot.dhcp.answer import Service
from kairos_netboot.dhcp.v6 import Kind, Message, Option6, Relayed
from kairos_netboot.dhcp.v6answer import server_duid
from kairos_netboot.dhcp.v6client import identify
from kairos_netboot.dhcp.v6router import Prefix
from kairos_netboot.values import Arch, Firmware, Mac, Stage
from tests.unit.boot.sample import IMAGE, MAC, PROFILE, SPEC, STRANGER, fleet, node
from tests.unit.dhcp.v6sample import (
    EDK2_DUID,
    EDK2_HTTP_SOLICIT,
    EDK2_PXE_SOLICIT,
    EDK2_STACK_SOLICIT,
    IPXE_INFORMATION_REQUEST,
    UUID,
    changed,
    message,
)

OURS = server_duid("us")
SERVER = IPv6Address("2001:db8::2")
SOURCE = ("fe80::5054:ff:fe00:1", 546)  # of MAC
LEASED = ("2001:db8::146", 4011)
LOADERS = frozenset({"snponly.efi", "grub-x64.efi", "grub-aa64.efi", "undionly.kpxe"})
PREFIX = Prefix(network=IPv6Network("2001:db8::/64"), preferred=600, valid=86400)
GRUB = "tftp://[2001:db8::2]/52-54-00-00-00-01/grub-x64.efi"
ARMED = fleet(node())


def asked(
    request: Message,
    in_fleet: Fleet = ARMED,
    *,
    source: tuple[str, int] = SOURCE,
    service: Service = Service.PROXY,
    relays: tuple[Relayed, ...] = (),
    prefix: Prefix | None = None,
    remembered: dict[bytes, Mac] | None = None,
) -> Asked6:
    identity = identify(request, relays, IPv6Address(source[0]))
    return Asked6(
        request=request,
        relays=relays,
        identity=identity,
        client=client_of(request, identity, in_fleet, remembered or {}),
        service=service,
        source=source,
        server=SERVER,
        duid=OURS,
        http_port=8080,
        prefix=prefix,
    )


def answered(request: Message | bytes, in_fleet: Fleet = ARMED, **how: object) -> Response6:
    found = message(request) if isinstance(request, bytes) else request
    response = respond6(asked(found, in_fleet, **how), in_fleet, LOADERS)  # type: ignore[arg-type]
    assert response is not None
    return response


def reply_of(response: Response6) -> Message:
    assert isinstance(response.reply, Message)
    return response.reply


def test_an_armed_node_is_sent_to_grub_which_has_our_address_in_it() -> None:
    response = answered(EDK2_PXE_SOLICIT)
    assert response.boot_file == GRUB
    assert response.destination == SOURCE
    assert reply_of(response).kind is Kind.ADVERTISE
    assert reply_of(response).first(Option6.BOOT_FILE_URL) == GRUB.encode()
    assert reply_of(response).first(Option6.IA_NA) is None


def test_http_boot_is_sent_to_the_same_over_http() -> None:
    response = answered(EDK2_HTTP_SOLICIT)
    url = "http://[2001:db8::2]:8080/boot/52-54-00-00-00-01/grub-x64.efi"
    assert response.boot_file == url


@pytest.mark.parametrize("owner", ["site", "profile", "node"])
def test_who_chose_ipxe_gets_ipxe(owner: str) -> None:
    word = {"uefi-amd64": "ipxe"}
    chosen = fleet(
        node(spec=replace(SPEC, boot=word if owner == "node" else {})),
        profile=replace(PROFILE, boot=word if owner == "profile" else {}),
    )
    chosen = replace(chosen, boot=word if owner == "site" else {})
    assert answered(EDK2_PXE_SOLICIT, chosen).boot_file.endswith("/snponly.efi")


def test_without_a_grub_here_the_table_stands() -> None:
    assert with_grub(ARMED, {"snponly.efi"}).boot == {}
    request = asked(message(EDK2_PXE_SOLICIT))
    response = respond6(request, ARMED, {"snponly.efi"})
    assert response is not None
    assert response.boot_file.endswith("/snponly.efi")


def test_a_row_without_grub_is_left_as_it_is() -> None:
    assert set(with_grub(ARMED, LOADERS).boot) == {"uefi-amd64", "http-amd64"}


def test_a_machine_that_nobody_named_is_heard_and_not_answered() -> None:
    response = answered(EDK2_PXE_SOLICIT, fleet(node(macs=(STRANGER,))))
    assert response.reply is None
    assert response.decision is not None
    assert response.reason == f"nobody named {MAC}: give it a node in the site file"


def test_a_machine_that_tells_nothing_of_itself_is_heard_and_not_answered() -> None:
    response = answered(EDK2_PXE_SOLICIT, source=("2001:db8::99", 546))
    assert response.reply is None
    assert response.reason == "it tells no MAC address, and no UUID known here"


def test_a_node_never_gets_another_architectures_file() -> None:
    arm64 = changed(EDK2_PXE_SOLICIT, option_61=b"\0\x0b")
    response = answered(arm64)
    assert response.reply is None
    assert response.reason == "alpha is arm64, its image 'debian' is amd64"
    image = replace(IMAGE, facts=replace(IMAGE.facts, arch=Arch.ARM64))
    assert answered(arm64, fleet(node(), image=image)).boot_file.endswith("/grub-aa64.efi")


def test_firmware_of_an_unknown_kind_is_not_answered() -> None:
    response = answered(changed(EDK2_PXE_SOLICIT, option_61=b"\x7f\xff"))
    assert response.reply is None


def test_a_loader_that_is_not_here_is_named() -> None:
    response = respond6(asked(message(EDK2_PXE_SOLICIT)), ARMED, ())
    assert response is not None
    assert response.reply is None
    assert "snponly.efi" in response.reason


def test_an_installed_node_that_leaves_by_silence_hears_nothing() -> None:
    spec = replace(SPEC, exits={Firmware.UEFI: ExitMethod.SILENCE})
    response = answered(EDK2_PXE_SOLICIT, fleet(node(State.INSTALLED, spec=spec)))
    assert response.reply is None
    assert response.reason.endswith("by itself, after our silence")


def test_an_installed_node_that_leaves_by_grub_is_sent_there() -> None:
    assert answered(EDK2_PXE_SOLICIT, fleet(node(State.INSTALLED))).boot_file == GRUB


@pytest.mark.parametrize("data", [EDK2_STACK_SOLICIT])
def test_what_is_no_network_boot_is_no_business_of_ours(data: bytes) -> None:
    assert respond6(asked(message(data)), ARMED, LOADERS) is None


def test_a_request_to_the_sites_own_server_is_no_business_of_ours() -> None:
    theirs = changed(EDK2_PXE_SOLICIT, kind=Kind.REQUEST, option_2=b"\0\1theirs")
    assert respond6(asked(theirs), ARMED, LOADERS) is None


AGAIN = changed(EDK2_PXE_SOLICIT, kind=Kind.REQUEST, option_2=OURS, option_3=None)


def test_the_second_request_is_known_by_the_identifier_heard_before() -> None:
    response = answered(
        AGAIN, source=LEASED, service=Service.BOOT_SERVER, remembered={EDK2_DUID: MAC}
    )
    assert response.boot_file == GRUB
    assert response.destination == LEASED
    assert reply_of(response).kind is Kind.REPLY


def known_by(*uuids: str) -> Fleet:
    nodes: list[Node] = []
    for number, uuid in enumerate(uuids, 1):
        mac = Mac(f"52:54:00:00:00:{number:02x}")
        nodes.append(node(id=number, macs=(mac,), facts={"uuid": uuid}))
    return fleet(*nodes)


def test_after_a_restart_it_is_known_by_its_uuid() -> None:
    response = answered(
        AGAIN,
        known_by(UUID, "00000000-0000-0000-0000-000000000000"),
        source=LEASED,
        service=Service.BOOT_SERVER,
    )
    assert response.boot_file == GRUB


def test_a_uuid_that_two_machines_share_tells_neither() -> None:
    response = answered(AGAIN, known_by(UUID, UUID), source=LEASED, service=Service.BOOT_SERVER)
    assert response.reply is None


def test_the_uuid_is_the_same_fact_that_dhcp_over_ipv4_tells() -> None:
    of_firmware = asked(message(EDK2_PXE_SOLICIT)).client
    of_ipxe = asked(message(IPXE_INFORMATION_REQUEST)).client
    assert of_firmware is not None
    assert of_ipxe is not None
    assert of_firmware.uuid == of_ipxe.uuid == UUID


def test_ipxe_that_asks_for_information_is_told_its_script() -> None:
    response = answered(IPXE_INFORMATION_REQUEST)
    assert response.boot_file == "http://[2001:db8::2]:8080/boot/52-54-00-00-00-01/script.ipxe"


def test_ipxe_that_wants_an_address_is_left_to_the_sites_server() -> None:
    solicit = changed(IPXE_INFORMATION_REQUEST, kind=Kind.SOLICIT, option_3=bytes(12))
    response = answered(solicit)
    assert response.reply is None
    assert "iPXE takes its script from the server that gives it its address" in response.reason


def test_where_nobody_gives_addresses_firmware_is_lent_the_one_it_makes_for_itself() -> None:
    association = reply_of(answered(EDK2_PXE_SOLICIT, prefix=PREFIX)).first(Option6.IA_NA)
    assert association is not None
    assert IPv6Address(association[16:32]) == IPv6Address("2001:db8::5054:ff:fe00:1")
    assert association[32:40] == bytes.fromhex("00000258 00001c20")  # 600 and at most 7200 s


def test_a_machine_that_gets_no_file_is_lent_no_address() -> None:
    assert answered(EDK2_PXE_SOLICIT, fleet(), prefix=PREFIX).reply is None


RELAY = Relayed(
    kind=Kind.RELAY_FORWARD,
    hops=0,
    link=IPv6Address("2001:db8:1::1"),
    peer=IPv6Address(SOURCE[0]),
    options=((int(Option6.INTERFACE_ID), b"port 7"),),
)


def test_behind_a_relay_the_answer_goes_back_through_it() -> None:
    response = answered(EDK2_PXE_SOLICIT, relays=(RELAY,), source=("2001:db8:1::1", 33000))
    assert response.boot_file == GRUB
    assert response.destination == ("2001:db8:1::1", 547)
    assert isinstance(response.reply, Relayed)
    assert response.reply.first(Option6.INTERFACE_ID) == b"port 7"


def test_behind_a_relay_no_address_of_our_own_link_is_lent() -> None:
    response = answered(
        EDK2_PXE_SOLICIT, relays=(RELAY,), source=("2001:db8:1::1", 547), prefix=PREFIX
    )
    assert isinstance(response.reply, Relayed)
    inner = message(response.reply.first(Option6.RELAY_MESSAGE) or b"")
    assert inner.first(Option6.IA_NA) is None


def test_an_address_that_was_lent_is_taken_back_from_whoever_has_it() -> None:
    release = changed(EDK2_STACK_SOLICIT, kind=Kind.RELEASE, option_2=OURS)
    response = answered(release, fleet())
    assert reply_of(response).first(Option6.STATUS_CODE) == b"\0\0"
    assert response.decision is None


def test_our_address_stands_in_brackets_in_every_url() -> None:
    assert asked(message(EDK2_PXE_SOLICIT)).urls.base == "http://[2001:db8::2]:8080"


def test_ipxe_is_not_lent_an_address_with_its_information() -> None:
    response = answered(IPXE_INFORMATION_REQUEST, prefix=PREFIX)
    assert reply_of(response).first(Option6.IA_NA) is None
    client = asked(message(IPXE_INFORMATION_REQUEST)).client
    assert client is not None
    assert client.stage is Stage.IPXE
