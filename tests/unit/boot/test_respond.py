from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.boot.actions import Action, Order
from kairos_netboot.boot.chains import ROW_NAMES
from kairos_netboot.boot.fleet import Fleet
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.respond import (
    Asked,
    Response,
    boot_for,
    describe_client,
    facts_of,
    respond,
)
from kairos_netboot.boot.site import ExitMethod, Medium, MediumKind
from kairos_netboot.config.resources import load_recipes
from kairos_netboot.dhcp.answer import Service
from kairos_netboot.dhcp.client import Client, recognise
from kairos_netboot.dhcp.packet import MessageType, Op, Packet
from kairos_netboot.values import IMAGE_ARCHES, Arch, Firmware, Stage
from tests.unit.boot.sample import IMAGE, MAC, PROFILE, SPEC, STRANGER, blob, fleet, node

RECIPES = load_recipes()


class _Everything:
    def __contains__(self, name: object) -> bool:
        return True


EVERYTHING = _Everything()
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


def client_of(question: Asked) -> Client:
    assert question.client is not None
    return question.client


def answer(question: Asked, machines: Fleet) -> Response:
    response = respond(question, machines, RECIPES, EVERYTHING)
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
    assert respond(asked(kind=MessageType.REQUEST), fleet(node()), RECIPES, EVERYTHING) is None


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


HTTP, HTTP_CLASS = b"\0\x10", b"HTTPClient:Arch:00016:UNDI:003001"


def test_http_boot_gets_an_address_to_load_from_and_its_class_echoed() -> None:
    response = answer(asked(HTTP, vendor=HTTP_CLASS), fleet(node()))
    assert response.reply is not None
    assert response.boot_file == "http://192.0.2.2:8080/boot/52-54-00-00-00-01/snponly.efi"
    assert response.reply.packet.options[60] == b"HTTPClient"


def test_firmware_no_image_is_made_for_gets_no_answer_and_a_reason() -> None:
    response = answer(asked(b"\0\6"), fleet(node()))
    assert response.reply is None
    assert "alpha is 386, its image 'debian' is amd64" in response.reason


def test_the_table_of_the_node_is_over_the_profiles_and_that_over_the_sites() -> None:
    profile = replace(PROFILE, boot={"uefi-amd64": "grub"})
    machines = replace(fleet(node(), profile=profile), boot={"uefi-amd64": "shim"})
    assert answer(asked(), machines).boot_file.endswith("/grub-x64.efi")
    own = node(spec=replace(SPEC, boot={"uefi-amd64": "mine.efi"}))
    assert answer(asked(), machines.with_node(own)).boot_file.endswith("/mine.efi")
    bare = replace(fleet(node()), boot={"uefi-amd64": "shim"})
    assert answer(asked(), bare).boot_file.endswith("/shimx64.efi")


def test_secure_boot_by_http_is_one_medium() -> None:
    machines = replace(fleet(node()), boot={"http-amd64": "shim"})
    response = answer(asked(HTTP, vendor=HTTP_CLASS), machines)
    assert response.boot_file.endswith("/boot/52-54-00-00-00-01/medium.img")


def test_a_loader_that_is_not_here_is_no_answer_and_a_reason() -> None:
    response = respond(asked(), fleet(node()), RECIPES, loaders=())
    assert response is not None
    assert response.reply is None
    assert "snponly.efi is not here" in response.reason


def test_an_image_that_is_one_file_is_started_by_http_boot_alone() -> None:
    iso = Medium(blob=blob("4", 900_000_000), kind=MediumKind.ISO)
    machines = fleet(node(), image=replace(IMAGE, files=iso))
    response = answer(asked(HTTP, vendor=HTTP_CLASS), machines)
    assert response.boot_file.endswith(f"/{'4' * 64}/kairos.iso")
    for question in (asked(), asked(ipxe=True), asked(BIOS)):
        response = answer(question, machines)
        assert response.reply is None
        assert "HTTP Boot" in response.reason


def test_an_ordinary_client_is_not_our_business() -> None:
    assert respond(replace(asked(), client=None), fleet(node()), RECIPES, EVERYTHING) is None


def test_every_stage_that_reads_its_own_configuration_is_sent_to_it() -> None:
    for stage, name in (
        (Stage.UBOOT, "52-54-00-00-00-01/boot.scr.uimg"),
        (Stage.RASPBERRY, "52-54-00-00-00-01/config.txt"),
    ):
        question = asked()
        assert question.client is not None
        client = replace(question.client, stage=stage)
        assert answer(replace(question, client=client), fleet(node())).boot_file == name


def test_grub_is_told_its_files_by_its_lease_alone() -> None:
    question = asked()
    assert question.client is not None
    question = replace(question, client=replace(question.client, stage=Stage.GRUB))
    response = answer(question, fleet(node()))
    assert response.reply is None
    assert "from its lease alone" in response.reason
    assert question.client is not None
    boot = boot_for(question.client, fleet(node()), question.urls, EVERYTHING)
    assert boot.file == "52-54-00-00-00-01/grub.cfg"


@given(
    stage=st.sampled_from(Stage),
    firmware=st.none() | st.sampled_from(Firmware),
    arch=st.none() | st.sampled_from(Arch),
    image_arch=st.sampled_from(IMAGE_ARCHES),
    table=st.dictionaries(st.sampled_from(ROW_NAMES), st.sampled_from(["ipxe", "grub"])),
)
def test_no_machine_is_ever_sent_to_files_of_another_architecture(
    stage: Stage,
    firmware: Firmware | None,
    arch: Arch | None,
    image_arch: Arch,
    table: dict[str, str],
) -> None:
    image = replace(IMAGE, facts=replace(IMAGE.facts, arch=image_arch))
    machines = replace(
        fleet(node(), image=image), boot={k: v for k, v in table.items() if k[0] != "b"}
    )
    question = asked()
    assert question.client is not None
    client = replace(question.client, stage=stage, firmware=firmware, arch=arch)
    boot_file = answer(replace(question, client=client), machines).boot_file
    if arch is not None and arch is not image_arch:
        assert not boot_file
    for word, other in (("x64", Arch.AMD64), ("aa64", Arch.ARM64), ("arm64", Arch.ARM64)):
        assert not (word in boot_file and arch is not other)


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
    client = client_of(asked(vendor=b"PXEClient:Arch:00007:UNDI:003001"))
    assert facts_of(client) == {
        "firmware": "uefi",
        "arch": "amd64",
        "architecture-type": "7",
        "vendor-class": "PXEClient:Arch:00007:UNDI:003001",
    }
    assert "vendor-class" not in facts_of(client_of(asked(ipxe=True)))


def test_a_client_is_described_for_people() -> None:
    assert describe_client(client_of(asked(BIOS, ipxe=True))) == "BIOS iPXE (amd64)"
    assert describe_client(client_of(asked(b"\0\6"))) == "UEFI firmware (386)"


@pytest.mark.parametrize("action", [a for a in Action if a is not Action.WIPE])
def test_a_bios_machine_that_met_silence_is_answered_while_it_has_an_order(action: Action) -> None:
    ordered = fleet(node(State.READY, order=Order(action=action)))
    answer = respond(asked(BIOS), ordered, RECIPES, EVERYTHING)
    if action is Action.INSTALL:  # nobody can order it: it is armed for it
        assert answer is None or answer.reply is None
    else:
        assert answer is not None
        assert answer.boot_file.endswith("/undionly.kpxe")


def test_a_bios_machine_that_is_to_be_wiped_is_answered() -> None:
    order = Order(action=Action.WIPE, disks=("/dev/vdb",))
    answer = respond(asked(BIOS), fleet(node(State.CONDEMNED, order=order)), RECIPES, EVERYTHING)
    assert answer is not None
    assert answer.boot_file.endswith("/undionly.kpxe")
