from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from kairos_netboot.boot.fleet import Fleet
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.respond import Asked, Response, describe_client, facts_of, respond
from kairos_netboot.boot.site import ExitMethod
from kairos_netboot.config.resources import load_recipes
from kairos_netboot.dhcp.answer import Service
from kairos_netboot.dhcp.client import recognise
from kairos_netboot.dhcp.packet import MessageType, Op, Packet
from kairos_netboot.values import Firmware
from tests.unit.boot.sample import MAC, PROFILE, SPEC, STRANGER, fleet, node

RECIPES = load_recipes()
SCRIPT = "http://192.0.2.2:8080/boot/52-54-00-00-00-01/script.ipxe"
UEFI, BIOS = b"\0\7", b"\0\0"


def asked(
    arch: bytes = UEFI,
    *,
    mac: str = MAC,
    kind: MessageType = MessageType.DISCOVER,
    service: Service = Service.PROXY,
    ipxe: bool = False,
    vendor: bytes = b"PXEClient",
) -> Asked:
    options = {53: bytes([kind]), 60: vendor, 93: arch}
    if ipxe:
        options[77] = b"iPXE"
    request = Packet(
        op=Op.REQUEST,
        xid=1,
        hardware_address=bytes.fromhex(mac.replace(":", "")),
        options=options,
    )
    client = recognise(request)
    assert client is not None
    return Asked(
        request=request,
        client=client,
        service=service,
        source=("0.0.0.0", 68),
        server=IPv4Address("192.0.2.2"),
        http_port=8080,
    )


def answer(question: Asked, machines: Fleet) -> Response:
    response = respond(question, machines, RECIPES)
    assert response is not None
    return response


@pytest.mark.parametrize(
    ("arch", "ipxe", "boot_file"),
    [
        (BIOS, False, "52-54-00-00-00-01/undionly.kpxe"),
        (UEFI, False, "52-54-00-00-00-01/snponly.efi"),
        (BIOS, True, SCRIPT),
        (UEFI, True, SCRIPT),
    ],
)
def test_an_armed_node_is_sent_to_its_loader_and_ipxe_to_its_script(
    arch: bytes, ipxe: bool, boot_file: str
) -> None:
    response = answer(asked(arch, ipxe=ipxe), fleet(node()))
    assert response.boot_file == boot_file
    assert response.reply is not None
    assert response.reply.packet.boot_file == boot_file.encode()


def test_the_same_answer_comes_from_4011() -> None:
    question = asked(kind=MessageType.REQUEST, service=Service.BOOT_SERVER)
    response = answer(question, fleet(node()))
    assert response.reply is not None
    assert response.reply.packet.message_type is MessageType.ACK
    assert response.boot_file == "52-54-00-00-00-01/snponly.efi"


def test_a_stranger_gets_no_answer() -> None:
    for ipxe in (False, True):
        assert answer(asked(mac=STRANGER, ipxe=ipxe), fleet(node())).reply is None


def test_a_lease_being_accepted_is_not_our_business() -> None:
    assert respond(asked(kind=MessageType.REQUEST), fleet(node()), RECIPES) is None


def test_an_installed_bios_machine_meets_silence() -> None:
    response = answer(asked(BIOS), fleet(node(State.READY)))
    assert response.reply is None
    assert "boots its disk by itself, after our silence" in response.reason


def test_an_installed_uefi_machine_is_let_through_ipxe_and_out_again() -> None:
    machines = fleet(node(State.READY))
    assert answer(asked(UEFI), machines).boot_file == "52-54-00-00-00-01/snponly.efi"
    assert answer(asked(UEFI, ipxe=True), machines).boot_file == SCRIPT


def test_the_exit_method_can_be_set_for_a_node() -> None:
    spec = replace(
        SPEC, exits={Firmware.BIOS: ExitMethod.SANBOOT, Firmware.UEFI: ExitMethod.SILENCE}
    )
    machines = fleet(node(State.READY, spec=spec))
    assert answer(asked(BIOS), machines).boot_file == "52-54-00-00-00-01/undionly.kpxe"
    silent = replace(SPEC, exits={Firmware.UEFI: ExitMethod.SILENCE})
    assert answer(asked(UEFI), fleet(node(State.READY, spec=silent))).reply is None


def test_http_boot_is_left_to_the_firmwares_pxe() -> None:
    response = answer(asked(b"\0\x10", vendor=b"HTTPClient:Arch:00016"), fleet(node()))
    assert response.reply is None
    assert "HTTP Boot" in response.reason


def test_firmware_without_a_loader_gets_no_answer_and_a_reason() -> None:
    response = answer(asked(b"\0\6"), fleet(node()))
    assert response.reply is None
    assert "architecture type 6" in response.reason


def test_a_node_may_have_another_recipe() -> None:
    spec = replace(SPEC, recipe="uefi-direct")
    response = answer(asked(), fleet(node(spec=spec)))
    assert response.reply is not None
    assert response.reply.packet.options[43] == bytes.fromhex("060108ff")


def test_a_mac_vendor_may_have_another_recipe_and_the_longest_prefix_wins() -> None:
    machines = fleet(node())
    vendors = {"52:54:00": "everything", "52:54:00:00": "uefi-direct"}
    machines = Fleet(machines.nodes, {"server": PROFILE}, machines.images, vendors)
    response = answer(asked(), machines)
    assert response.reply is not None
    assert 43 in response.reply.packet.options
    assert 66 not in response.reply.packet.options


def test_recipes_of_vendors_do_not_reach_ipxe() -> None:
    spec = replace(SPEC, recipe="everything")
    response = answer(asked(ipxe=True), fleet(node(spec=spec)))
    assert response.reply is not None
    assert 43 not in response.reply.packet.options


def test_every_script_url_that_dhcp_hands_out_fits_the_header() -> None:
    response = answer(asked(ipxe=True), fleet(node()))
    assert len(response.boot_file) <= 127


def test_what_a_request_tells_is_kept_as_facts() -> None:
    client = asked(vendor=b"PXEClient:Arch:00007:UNDI:003001").client
    assert facts_of(client) == {
        "firmware": "uefi",
        "arch": "amd64",
        "architecture-type": "7",
        "vendor-class": "PXEClient:Arch:00007:UNDI:003001",
    }
    assert "vendor-class" not in facts_of(asked(ipxe=True).client)


def test_a_client_is_described_for_people() -> None:
    assert describe_client(asked(BIOS, ipxe=True).client) == "BIOS iPXE (amd64)"
    assert describe_client(asked(b"\0\6").client) == "unknown firmware (architecture type 6)"
