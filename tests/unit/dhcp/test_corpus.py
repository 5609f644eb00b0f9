"""Captured packets of real firmware, and our answers as an independent reader has them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from scapy.layers.dhcp import BOOTP, DHCP

from kairos_netboot.config.resources import load_recipes
from kairos_netboot.dhcp.answer import reply_for
from kairos_netboot.dhcp.client import Client, recognise
from kairos_netboot.dhcp.packet import MessageType, Packet, decode, encode
from kairos_netboot.values import Arch, Firmware, Mac, Stage

CORPUS = Path(__file__).parent / "corpus"
SERVER = IPv4Address("192.168.77.2")
BIOS = Client(
    mac=Mac("52:54:00:77:00:01"),
    stage=Stage.IPXE,
    arch_type=0,
    firmware=Firmware.BIOS,
    arch=Arch.AMD64,
    vendor_class="PXEClient:Arch:00000:UNDI:002001",
    uuid="@",
    speaks_http=True,
)
UEFI = replace(
    BIOS,
    mac=Mac("52:54:00:77:00:02"),
    stage=Stage.PXE,
    arch_type=7,
    firmware=Firmware.UEFI,
    vendor_class="PXEClient:Arch:00007:UNDI:003000",
    speaks_http=False,
)


def captured(name: str) -> Packet:
    return decode(bytes.fromhex((CORPUS / f"{name}.hex").read_text()))


@pytest.mark.parametrize(
    ("name", "client", "kind"),
    [
        ("seabios-ipxe-discover", BIOS, MessageType.DISCOVER),
        ("ovmf-discover", UEFI, MessageType.DISCOVER),
        ("ovmf-request", UEFI, MessageType.REQUEST),
        ("ovmf-4011-request", UEFI, MessageType.REQUEST),
        (
            "snponly-discover",
            replace(
                UEFI,
                stage=Stage.IPXE,
                vendor_class="PXEClient:Arch:00007:UNDI:003010",
                speaks_http=True,
            ),
            MessageType.DISCOVER,
        ),
    ],
)
def test_captured_firmware_is_recognised(name: str, client: Client, kind: MessageType) -> None:
    packet = captured(name)
    found = recognise(packet)
    assert found is not None
    assert len(found.uuid) == 36
    assert replace(found, uuid="@") == client
    assert packet.message_type is kind


def test_linux_asking_for_a_lease_is_none_of_ours() -> None:
    assert recognise(captured("dhclient-discover")) is None


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.hex")), ids=lambda path: path.stem)
def test_a_captured_packet_is_the_same_after_a_round_trip(path: Path) -> None:
    packet = captured(path.stem)
    assert decode(encode(packet)) == packet


@pytest.mark.parametrize("recipe", sorted(load_recipes().recipes))
@pytest.mark.parametrize("name", ["seabios-ipxe-discover", "ovmf-discover", "snponly-discover"])
def test_scapy_reads_our_offer_as_we_mean_it(name: str, recipe: str) -> None:
    request = captured(name)
    shape = load_recipes().named(recipe)
    reply = reply_for(
        request,
        MessageType.OFFER,
        boot_file="52-54-00-77-00-02/snponly.efi",
        recipe=shape,
        server=SERVER,
        source=("0.0.0.0", 68),
    )
    read = BOOTP(encode(reply.packet))
    options = {option[0]: option[1] for option in read[DHCP].options if isinstance(option, tuple)}
    assert (read.op, read.xid, read.chaddr[:6]) == (2, request.xid, request.hardware_address)
    assert (read.siaddr, read.yiaddr) == (str(SERVER), "0.0.0.0")
    assert read.file.rstrip(b"\0") == b"52-54-00-77-00-02/snponly.efi"
    assert options["message-type"] == 2
    assert options["server_id"] == str(SERVER)
    assert options["vendor_class_id"] == b"PXEClient"
    assert options["pxe_client_machine_identifier"] == request.options[97]
    assert options.get("vendor_specific", b"") == shape.option_43
    assert ("boot-file-name" in options) is shape.option_67
