from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from kairos_netboot.config.resources import load_recipes
from kairos_netboot.dhcp.answer import Reply, Service, answer_type, reply_for, with_boot
from kairos_netboot.dhcp.packet import MessageType, Op, Packet

SERVER = IPv4Address("192.0.2.2")
RECIPES = load_recipes()


def _request(kind: MessageType = MessageType.DISCOVER, **changes: object) -> Packet:
    fields: dict[str, object] = {
        "op": Op.REQUEST,
        "xid": 0xABCD,
        "hardware_address": bytes.fromhex("525400123456"),
        "options": {53: bytes([kind]), 60: b"PXEClient", 97: b"\0" + b"u" * 16},
    }
    return Packet(**{**fields, **changes})  # type: ignore[arg-type]


def _reply(
    request: Packet,
    kind: MessageType = MessageType.OFFER,
    recipe: str = "uefi",
    boot_file: str = "snponly.efi",
    source: tuple[str, int] = ("0.0.0.0", 68),
) -> Reply:
    return reply_for(
        request,
        kind,
        boot_file=boot_file,
        recipe=RECIPES.named(recipe),
        server=SERVER,
        source=source,
    )


@pytest.mark.parametrize(
    ("service", "asked", "answered"),
    [
        (Service.PROXY, MessageType.DISCOVER, MessageType.OFFER),
        (Service.PROXY, MessageType.REQUEST, None),
        (Service.PROXY, MessageType.INFORM, None),
        (Service.PROXY, MessageType.RELEASE, None),
        (Service.BOOT_SERVER, MessageType.REQUEST, MessageType.ACK),
        (Service.BOOT_SERVER, MessageType.INFORM, MessageType.ACK),
        (Service.BOOT_SERVER, MessageType.DISCOVER, None),
    ],
)
def test_what_each_port_answers(
    service: Service, asked: MessageType, answered: MessageType | None
) -> None:
    assert answer_type(_request(asked), service) is answered


def test_a_reply_of_another_server_is_not_answered() -> None:
    assert answer_type(_request(op=Op.REPLY), Service.PROXY) is None


def test_the_uefi_offer_has_what_edk2_wants_and_nothing_that_it_drops() -> None:
    packet = _reply(_request()).packet
    assert packet.options == {
        53: b"\x02",
        54: SERVER.packed,
        60: b"PXEClient",
        97: b"\0" + b"u" * 16,
        67: b"snponly.efi",
    }
    assert packet.next_server == SERVER
    assert packet.server_name == b"192.0.2.2"
    assert packet.boot_file == b"snponly.efi"
    assert packet.xid == 0xABCD


def test_the_bios_offer_has_option_43() -> None:
    packet = _reply(_request(), recipe="bios", boot_file="undionly.kpxe").packet
    assert packet.options[43] == bytes.fromhex("060108ff")
    assert 67 not in packet.options


def test_a_recipe_may_fill_option_66() -> None:
    assert _reply(_request(), recipe="everything").packet.options[66] == b"192.0.2.2"


def test_a_proxy_leases_no_address() -> None:
    assert int(_reply(_request()).packet.your_address) == 0


def test_an_offer_is_broadcast_because_the_client_has_no_address_yet() -> None:
    reply = _reply(_request())
    assert reply.packet.flags == 0x8000
    assert reply.destination == ("255.255.255.255", 68)


def test_through_a_relay_the_answer_goes_to_the_relay_with_its_option_82() -> None:
    options = {53: b"\x01", 60: b"PXEClient", 82: b"\x01\x02ab"}
    reply = _reply(_request(relay=IPv4Address("198.51.100.1"), options=options))
    assert reply.destination == ("198.51.100.1", 67)
    assert reply.packet.relay == IPv4Address("198.51.100.1")
    assert list(reply.packet.options)[-1] == 82


def test_a_request_on_4011_is_answered_where_it_came_from() -> None:
    request = _request(MessageType.REQUEST, client_address=IPv4Address("192.0.2.77"))
    reply = _reply(request, MessageType.ACK, source=("192.0.2.77", 4011))
    assert reply.destination == ("192.0.2.77", 4011)
    assert reply.packet.options[53] == b"\x05"
    assert reply.packet.client_address == IPv4Address("192.0.2.77")


def test_a_client_without_uuid_is_answered_without_one() -> None:
    assert 97 not in _reply(_request(options={53: b"\x01"})).packet.options


def test_a_name_too_long_for_the_header_goes_into_option_67_alone() -> None:
    name = "http://192.0.2.2/" + "x" * 120
    packet = _reply(_request(), recipe="ipxe", boot_file=name).packet
    assert packet.boot_file == b""
    assert packet.options[67] == name.encode()


def test_http_boot_is_sent_an_address_in_both_places_and_its_own_class() -> None:
    url = "http://192.0.2.2:8080/boot/52-54-00-12-34-56/medium.img"
    request = _request(options={53: b"\x01", 60: b"HTTPClient:Arch:00016:UNDI:003000"})
    packet = _reply(request, recipe="http", boot_file=url).packet
    assert packet.options == {53: b"\x02", 54: SERVER.packed, 60: b"HTTPClient", 67: url.encode()}
    assert packet.boot_file == url.encode()
    assert packet.server_name == b""


def test_a_lease_is_told_what_to_boot_and_keeps_the_rest() -> None:
    lease = Packet(
        op=Op.REPLY,
        xid=1,
        hardware_address=b"\x52\x54\0\x12\x34\x56",
        your_address=IPv4Address("192.0.2.50"),
        options={53: b"\x05", 51: b"\0\0\x0e\x10", 67: b"the subnet's", 82: b"r", 121: b"x"},
    )
    told = with_boot(
        lease, _request(), boot_file="a/b", recipe=RECIPES.named("uefi"), server=SERVER
    )
    assert told.your_address == lease.your_address
    assert (told.next_server, told.boot_file) == (SERVER, b"a/b")
    assert told.options == {**lease.options, 60: b"PXEClient", 67: b"a/b", 97: b"\0" + b"u" * 16}
    assert list(told.options)[-1] == 82


def test_a_lease_says_nothing_of_what_its_recipe_leaves_out() -> None:
    lease = Packet(op=Op.REPLY, xid=1, hardware_address=b"\0" * 6, options={66: b"x", 67: b"y"})
    recipe = RECIPES.named("bios")
    told = with_boot(lease, _request(), boot_file="a", recipe=recipe, server=SERVER)
    assert {66, 67}.isdisjoint(told.options)
