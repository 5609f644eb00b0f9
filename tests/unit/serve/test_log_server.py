from __future__ import annotations

from ipaddress import IPv4Address

from kairos_netboot.boot.respond import Asked, Response
from kairos_netboot.dhcp.answer import Reply, Service
from kairos_netboot.dhcp.options import Option
from kairos_netboot.dhcp.packet import MessageType, Op, Packet
from kairos_netboot.serve.log_server import with_log_server

SERVER = IPv4Address("192.0.2.1")


def asked(*wanted: int) -> Asked:
    options = {int(Option.PARAMETERS): bytes(wanted)} if wanted else {}
    return Asked(
        request=Packet(op=Op.REQUEST, xid=1, hardware_address=bytes(6), options=options),
        client=None,
        service=Service.PROXY,
        source=("0.0.0.0", 68),
        server=SERVER,
        http_port=8080,
    )


def response(kind: MessageType = MessageType.OFFER, **more: bytes) -> Response:
    options = {int(Option.MESSAGE_TYPE): bytes([kind])}
    options |= {int(Option.RELAY_AGENT): value for value in more.values()}
    packet = Packet(op=Op.REPLY, xid=1, hardware_address=bytes(6), options=options)
    reply = Reply(packet=packet, destination=("255.255.255.255", 68))
    return Response(decision=None, reason="", reply=reply)


def told(asked: Asked, answer: Response) -> bytes | None:
    reply = with_log_server(asked, answer).reply
    assert reply is not None
    return reply.packet.options.get(7)


def test_who_asks_for_a_log_server_is_told_our_address() -> None:
    assert told(asked(1, 3, 7), response()) == SERVER.packed
    assert told(asked(7), response(MessageType.ACK)) == SERVER.packed


def test_who_does_not_ask_is_told_nothing() -> None:
    assert told(asked(1, 3), response()) is None
    assert told(asked(), response()) is None


def test_a_nak_tells_nothing() -> None:
    assert told(asked(7), response(MessageType.NAK)) is None


def test_silence_stays_silence() -> None:
    silence = Response(decision=None, reason="nobody")
    assert with_log_server(asked(7), silence) is silence


def test_the_relay_s_option_stays_the_last() -> None:
    reply = with_log_server(asked(7), response(relay=b"x")).reply
    assert reply is not None
    assert list(reply.packet.options)[-1] == Option.RELAY_AGENT
