from __future__ import annotations

import contextlib
from ipaddress import IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.dhcp.v6 import (
    Kind,
    Message,
    Option6,
    Options,
    Relayed,
    decode,
    decode_options,
    encode,
    encode_options,
    unwrap,
    wrap,
)
from kairos_netboot.errors import MalformedPacket

OPTIONS = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=6).map(tuple)
ADDRESSES = st.binary(min_size=16, max_size=16).map(IPv6Address)
MESSAGES = st.builds(
    Message,
    kind=st.integers(0, 255).filter(lambda kind: kind not in (12, 13)),
    xid=st.integers(0, 0xFFFFFF),
    options=OPTIONS,
)
RELAYS = st.builds(
    Relayed,
    kind=st.just(Kind.RELAY_FORWARD),
    hops=st.integers(0, 255),
    link=ADDRESSES,
    peer=ADDRESSES,
    options=OPTIONS.map(lambda found: tuple(o for o in found if o[0] != Option6.RELAY_MESSAGE)),
)
LINK, PEER = IPv6Address("2001:db8::1"), IPv6Address("fe80::1")
SOLICIT = Message(kind=Kind.SOLICIT, xid=0x123456, options=((1, b"\0\3\0\1abcdef"), (8, b"\0\0")))


def forwarded(message: Message, *relays: Relayed) -> bytes:
    """As the outermost relay sends it; the first of `relays` is the outermost."""
    data = encode(message)
    for relay in reversed(relays):
        options = (*relay.options, (int(Option6.RELAY_MESSAGE), data))
        envelope = Relayed(
            kind=relay.kind, hops=relay.hops, link=relay.link, peer=relay.peer, options=options
        )
        data = encode(envelope)
    return data


def relay(hops: int = 0, options: Options = ()) -> Relayed:
    return Relayed(kind=Kind.RELAY_FORWARD, hops=hops, link=LINK, peer=PEER, options=options)


@given(MESSAGES | RELAYS)
def test_what_is_encoded_decodes_to_the_same(packet: Message | Relayed) -> None:
    assert decode(encode(packet)) == packet


@given(st.binary(max_size=300))
@example(b"")
@example(b"\1\0\0")
@example(b"\1\0\0\0\0\1\0")
@example(b"\1\0\0\0\0\1\0\1")
@example(bytes((12,)) + bytes(32))
@example(bytes((12,)) + bytes(33) + b"\0\x09\0\0")
def test_arbitrary_bytes_raise_malformed_packet_only(data: bytes) -> None:
    with contextlib.suppress(MalformedPacket):
        unwrap(decode(data))


def test_a_message_is_read_as_rfc_8415_lays_it_out() -> None:
    assert decode(bytes.fromhex("01123456 00080002 0064 000e0000")) == Message(
        kind=Kind.SOLICIT, xid=0x123456, options=((8, b"\0\x64"), (14, b""))
    )


def test_an_option_that_comes_twice_is_kept_twice_and_the_first_is_the_first() -> None:
    message = Message(kind=1, xid=0, options=((3, b"a"), (3, b"b")))
    again = decode(encode(message))
    assert again == message
    assert again.first(3) == b"a"
    assert again.first(4) is None


@pytest.mark.parametrize("data", [b"\0\1\0\2x", b"\0\1\0", b"\0"])
def test_an_option_that_runs_over_the_end_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        decode_options(data)


def test_an_option_of_more_than_its_length_can_say_is_not_written() -> None:
    assert len(encode_options([(9, bytes(0xFFFF))])) == 0x10003
    with pytest.raises(MalformedPacket):
        encode_options([(9, bytes(0x10000))])


def test_a_message_without_relays_unwraps_to_itself() -> None:
    assert unwrap(SOLICIT) == (SOLICIT, ())


def test_a_message_through_two_relays_tells_the_nearest_to_us_first() -> None:
    far, near = relay(0), relay(1, ((int(Option6.INTERFACE_ID), b"port 7"),))
    message, relays = unwrap(decode(forwarded(SOLICIT, near, far)))
    assert message == SOLICIT
    assert [each.hops for each in relays] == [1, 0]


def test_the_answer_goes_back_through_the_same_relays_with_their_interface_identifiers() -> None:
    far = relay(0, ((int(Option6.INTERFACE_ID), b"port 7"),))
    near = relay(1)
    _, relays = unwrap(decode(forwarded(SOLICIT, near, far)))
    reply = Message(kind=Kind.ADVERTISE, xid=SOLICIT.xid)
    outer = wrap(reply, relays)
    assert isinstance(outer, Relayed)
    assert (outer.kind, outer.hops, outer.link, outer.peer) == (13, 1, LINK, PEER)
    assert outer.first(Option6.INTERFACE_ID) is None
    inner = decode(outer.first(Option6.RELAY_MESSAGE) or b"")
    assert isinstance(inner, Relayed)
    assert (inner.kind, inner.hops) == (13, 0)
    assert inner.first(Option6.INTERFACE_ID) == b"port 7"
    assert decode(inner.first(Option6.RELAY_MESSAGE) or b"") == reply


def test_an_answer_without_relays_is_not_wrapped() -> None:
    assert wrap(SOLICIT, ()) is SOLICIT


def test_eight_relays_are_believed_and_nine_are_not() -> None:
    assert len(unwrap(decode(forwarded(SOLICIT, *[relay()] * 8)))[1]) == 8
    with pytest.raises(MalformedPacket):
        unwrap(decode(forwarded(SOLICIT, *[relay()] * 9)))


def test_an_empty_envelope_is_malformed() -> None:
    with pytest.raises(MalformedPacket):
        unwrap(relay())


def test_a_relays_reply_is_nothing_that_a_server_gets() -> None:
    envelope = Relayed(
        kind=Kind.RELAY_REPLY,
        hops=0,
        link=LINK,
        peer=PEER,
        options=((int(Option6.RELAY_MESSAGE), encode(SOLICIT)),),
    )
    with pytest.raises(MalformedPacket):
        unwrap(envelope)
