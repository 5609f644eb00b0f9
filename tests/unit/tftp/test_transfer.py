from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.tftp.packet import Ack, Data, ErrorPacket, OptionAck, Packet, decode
from kairos_netboot.tftp.transfer import End, Limits, Outcome, Terms, Transfer, negotiate

LIMITS = Limits(block_size=1468, window=16)


def agreed(asked: dict[str, str], size: int = 1000) -> Terms:
    terms = negotiate(asked, size, LIMITS)
    assert isinstance(terms, Terms)
    return terms


def blocks(packets: list[bytes]) -> list[int]:
    """The block numbers of data packets."""
    read = [decode(packet) for packet in packets]
    return [packet.block for packet in read if isinstance(packet, Data)]


def begun(size: int, block_size: int = 512, window: int = 1) -> Transfer:
    transfer = Transfer(bytes(size), Terms(block_size=block_size, window=window))
    transfer.start(0.0)
    return transfer


# Options


def test_no_options_mean_512_bytes_in_lock_step_and_no_oack() -> None:
    assert agreed({}) == Terms(block_size=512, window=1, timeout=None, acknowledged={})


def test_what_uefi_asks_is_granted() -> None:
    terms = agreed({"tsize": "0", "blksize": "1468", "windowsize": "4"}, size=173_056)
    assert (terms.block_size, terms.window) == (1468, 4)
    assert terms.acknowledged == {"tsize": "173056", "blksize": "1468", "windowsize": "4"}


def test_only_what_was_asked_is_acknowledged() -> None:
    assert agreed({"tsize": "0"}).acknowledged == {"tsize": "1000"}
    assert agreed({"windowsize": "4"}).acknowledged == {"windowsize": "4"}


def test_unknown_options_are_ignored() -> None:
    assert agreed({"rollover": "0", "multicast": ""}).acknowledged == {}


@pytest.mark.parametrize("value", ["abc", "", "-1", "1e3", "٣", "9" * 400, "512 "])
@pytest.mark.parametrize("option", ["blksize", "tsize", "timeout", "windowsize"])
def test_a_value_that_is_no_number_is_left_out(option: str, value: str) -> None:
    assert agreed({option: value}) == Terms()


@pytest.mark.parametrize(
    ("asked", "granted"), [("8", 8), ("512", 512), ("1468", 1468), ("1469", 1468), ("65464", 1468)]
)
def test_a_block_is_as_large_as_asked_up_to_the_limit(asked: str, granted: int) -> None:
    terms = agreed({"blksize": asked})
    assert terms.block_size == granted
    assert terms.acknowledged == {"blksize": str(granted)}


@pytest.mark.parametrize("asked", ["65464", "65465", "70000"])
def test_no_block_is_larger_than_the_rfc_allows(asked: str) -> None:
    terms = negotiate({"blksize": asked}, 1, Limits(block_size=100_000))
    assert isinstance(terms, Terms)
    assert terms.block_size == 65464


@pytest.mark.parametrize("asked", ["0", "7"])
def test_a_block_too_small_for_the_rfc_is_error_8(asked: str) -> None:
    refusal = negotiate({"blksize": asked}, 1, LIMITS)
    assert isinstance(refusal, ErrorPacket)
    assert refusal == ErrorPacket(code=8, message=f"blksize {asked}: RFC 2348 wants 8 to 65464")


@pytest.mark.parametrize(("asked", "granted"), [("1", 1), ("16", 16), ("17", 16), ("65535", 16)])
def test_a_window_is_as_large_as_asked_up_to_the_limit(asked: str, granted: int) -> None:
    assert agreed({"windowsize": asked}).window == granted


def test_no_window_is_larger_than_the_rfc_allows() -> None:
    terms = negotiate({"windowsize": "65536"}, 1, Limits(window=100_000))
    assert isinstance(terms, Terms)
    assert terms.window == 65535


def test_a_window_of_nothing_is_left_out() -> None:
    assert agreed({"windowsize": "0"}) == Terms()


@pytest.mark.parametrize(("asked", "granted"), [("1", 1), ("255", 255)])
def test_a_timeout_is_granted_as_it_was_asked(asked: str, granted: int) -> None:
    terms = agreed({"timeout": asked})
    assert terms == Terms(timeout=granted, acknowledged={"timeout": asked})


@pytest.mark.parametrize("asked", ["0", "256"])
def test_a_timeout_out_of_range_is_left_out(asked: str) -> None:
    assert agreed({"timeout": asked}) == Terms()


# Blocks


@pytest.mark.parametrize(
    ("size", "payloads"),
    [(0, [0]), (1, [1]), (511, [511]), (512, [512, 0]), (513, [512, 1]), (1024, [512, 512, 0])],
)
def test_the_last_block_is_shorter_even_if_that_makes_it_empty(
    size: int, payloads: list[int]
) -> None:
    transfer, sent = Transfer(bytes(size), Terms()), list[int]()
    for block, packet in enumerate(transfer.start(0.0), start=1):
        assert block == 1
        sent.append(len(packet) - 4)
    for block in range(1, len(payloads)):
        sent += [len(packet) - 4 for packet in transfer.receive(Ack(block=block), 0.0)]
    assert sent == payloads
    assert transfer.outcome is None
    assert transfer.receive(Ack(block=len(payloads)), 0.0) == []
    assert transfer.outcome == Outcome(end=End.DONE, bytes_sent=size)
    assert transfer.deadline is None


def test_options_are_acknowledged_before_the_first_block() -> None:
    transfer = Transfer(bytes(600), agreed({"tsize": "0"}, 600))
    first = transfer.start(0.0)
    assert [decode(packet) for packet in first] == [OptionAck(options={"tsize": "600"})]
    assert not transfer.is_answered
    assert blocks(transfer.receive(Ack(block=0), 0.0)) == [1]
    assert transfer.is_answered


def test_block_numbers_wrap_to_zero() -> None:
    transfer, expected = begun(8 * 70_000, block_size=8), 1
    sent = [1]
    while sent:
        assert sent == [expected % 65536]
        sent = blocks(transfer.receive(Ack(block=expected % 65536), 0.0))
        expected += 1
    assert expected == 70_002
    assert transfer.outcome == Outcome(end=End.DONE, bytes_sent=560_000)


def test_a_window_wraps_with_the_block_numbers() -> None:
    transfer = begun(8 * 66_000, block_size=8, window=4)
    for block in range(4, 65536, 4):
        sent = blocks(transfer.receive(Ack(block=block), 0.0))
    assert sent == [65533, 65534, 65535, 0]
    assert blocks(transfer.receive(Ack(block=65535), 0.0)) == [0, 1, 2, 3]
    assert transfer.receive(Ack(block=65535), 0.0) == []
    assert blocks(transfer.receive(Ack(block=3), 0.0)) == [4, 5, 6, 7]


# Acks


def test_a_duplicate_ack_is_not_answered() -> None:
    transfer = begun(5000)
    assert blocks(transfer.receive(Ack(block=1), 0.0)) == [2]
    assert transfer.receive(Ack(block=1), 0.1) == []
    assert transfer.receive(Ack(block=0), 0.1) == []


def test_a_duplicate_ack_of_the_options_is_not_answered() -> None:
    transfer = Transfer(bytes(5000), agreed({"tsize": "0"}))
    transfer.start(0.0)
    assert blocks(transfer.receive(Ack(block=0), 0.0)) == [1]
    assert transfer.receive(Ack(block=0), 0.0) == []


def test_an_ack_of_a_block_never_sent_is_not_answered() -> None:
    transfer = begun(5000, window=2)
    assert transfer.receive(Ack(block=3), 0.0) == []
    assert transfer.receive(Ack(block=65535), 0.0) == []


def test_an_ack_of_a_block_is_no_answer_to_options() -> None:
    transfer = Transfer(bytes(5000), agreed({"tsize": "0"}))
    transfer.start(0.0)
    assert transfer.receive(Ack(block=1), 0.0) == []
    assert transfer.receive(Ack(block=65535), 0.0) == []


def test_an_ack_inside_the_window_restarts_behind_it() -> None:
    transfer = begun(512 * 20, window=4)
    assert blocks(transfer.receive(Ack(block=4), 0.0)) == [5, 6, 7, 8]
    assert blocks(transfer.receive(Ack(block=6), 0.0)) == [7, 8, 9, 10]
    assert transfer.receive(Ack(block=6), 0.0) == []


def test_a_window_ends_with_the_file() -> None:
    transfer = begun(512 * 2 + 5, window=4)
    assert blocks(transfer.start(0.0)) == [1, 2, 3]
    transfer.receive(Ack(block=3), 0.0)
    assert transfer.outcome == Outcome(end=End.DONE, bytes_sent=1029)


def test_packets_that_do_not_belong_to_a_read_are_ignored() -> None:
    transfer = begun(5000)
    for packet in (Data(block=1, payload=b"x"), OptionAck(options={"tsize": "1"})):
        assert transfer.receive(packet, 0.0) == []
    assert transfer.outcome is None


# Time


def test_an_unanswered_block_is_sent_again_ever_more_slowly_and_then_given_up() -> None:
    transfer = begun(5000)
    deadlines: list[float] = []
    while transfer.deadline is not None:
        deadlines.append(transfer.deadline)
        assert len(deadlines) < 50
        sent = transfer.wake(transfer.deadline)
        assert blocks(sent) == ([1] if transfer.deadline else [])
    assert deadlines == [1, 3, 7, 11, 15, 19]
    assert transfer.outcome == Outcome(
        end=End.TIMED_OUT, bytes_sent=512, reason="no answer to block 1 of 10, sent 6 times"
    )


def test_options_are_sent_again_too() -> None:
    transfer = Transfer(b"", agreed({"timeout": "9"}))
    first = transfer.start(100.0)
    assert transfer.deadline == 109.0
    assert transfer.wake(108.9) == []
    assert transfer.wake(109.0) == first
    assert transfer.deadline == 118.0


def test_an_answer_resets_patience() -> None:
    transfer = begun(5000)
    for _ in range(5):
        assert transfer.deadline is not None
        transfer.wake(transfer.deadline)
    transfer.receive(Ack(block=1), 30.0)
    assert transfer.deadline == 31.0


def test_a_duplicate_ack_does_not_reset_patience() -> None:
    transfer = begun(5000)
    transfer.receive(Ack(block=1), 0.5)
    transfer.receive(Ack(block=1), 1.4)
    assert transfer.deadline == 1.5


def test_a_client_that_is_known_to_answer_fast_is_waited_for_no_longer_than_that() -> None:
    transfer = begun(5000)
    transfer.receive(Ack(block=1), 0.001)
    assert transfer.deadline == pytest.approx(0.101)
    pauses = []
    for _ in range(6):
        assert transfer.deadline is not None
        now = transfer.deadline
        assert blocks(transfer.wake(now)) == [2]
        assert transfer.deadline is not None
        pauses.append(transfer.deadline - now)
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.0, 1.0, 1.0])


def test_a_client_that_answers_slowly_is_given_its_time() -> None:
    transfer = begun(5000)
    transfer.receive(Ack(block=1), 0.15)
    assert transfer.deadline == pytest.approx(0.75)
    transfer.receive(Ack(block=2), 0.85)
    assert transfer.deadline == pytest.approx(0.85 + 4 * (0.15 + 0.55 / 8))


def test_an_answer_to_a_repeat_tells_nothing_about_time() -> None:
    transfer = begun(5000)
    transfer.wake(1.0)
    transfer.receive(Ack(block=1), 1.001)
    assert transfer.deadline == pytest.approx(2.001)


def test_a_client_that_falls_silent_is_given_up_as_late_as_one_that_never_spoke() -> None:
    transfer = begun(5000)
    transfer.receive(Ack(block=1), 0.001)
    while transfer.deadline is not None:
        now = transfer.deadline
        transfer.wake(now)
    assert transfer.outcome is not None
    assert 19 <= now <= 20.1
    assert transfer.outcome.end is End.TIMED_OUT


def test_the_pause_that_a_client_asked_for_is_kept() -> None:
    transfer = Transfer(bytes(5000), agreed({"timeout": "9"}))
    transfer.start(0.0)
    transfer.receive(Ack(block=0), 0.001)
    assert transfer.deadline == 9.001


def test_only_what_is_unacknowledged_is_repeated() -> None:
    transfer = begun(512 * 20, window=4)
    transfer.receive(Ack(block=2), 0.0)
    assert blocks(transfer.wake(1.0)) == [3, 4, 5, 6]


# Ends


def test_a_client_that_only_asked_the_size_has_not_failed() -> None:
    transfer = Transfer(bytes(5000), agreed({"tsize": "0", "blksize": "1468"}))
    transfer.start(0.0)
    transfer.receive(ErrorPacket(code=8, message="User aborted the transfer"), 0.0)
    assert transfer.outcome == Outcome(end=End.SIZE_ASKED)
    assert transfer.outcome.end is End.SIZE_ASKED


def test_a_client_that_refuses_our_options_has_aborted() -> None:
    transfer = Transfer(bytes(5000), agreed({"blksize": "1468"}))
    transfer.start(0.0)
    transfer.receive(ErrorPacket(code=8, message=""), 0.0)
    assert transfer.outcome == Outcome(
        end=End.ABORTED, reason="the client broke off, error 8: no text"
    )
    assert transfer.outcome.end is End.ABORTED


def test_a_client_that_breaks_off_after_the_first_block_has_aborted() -> None:
    transfer = Transfer(bytes(5000), agreed({"tsize": "0"}))
    transfer.start(0.0)
    transfer.receive(Ack(block=0), 0.0)
    transfer.receive(ErrorPacket(code=3, message="disk full"), 0.0)
    assert transfer.outcome == Outcome(
        end=End.ABORTED, bytes_sent=512, reason="the client broke off, error 3: disk full"
    )


def test_nothing_is_sent_after_the_end() -> None:
    transfer = begun(5000)
    transfer.abort("switched off")
    transfer.abort("a second reason")
    assert transfer.outcome == Outcome(end=End.ABORTED, bytes_sent=512, reason="switched off")
    assert transfer.receive(Ack(block=1), 0.0) == []
    assert transfer.receive(ErrorPacket(code=0, message=""), 0.0) == []
    assert transfer.wake(99.0) == []


# A network that loses, doubles and reorders, and a client of RFC 1350, 2347 and 7440


class Client:
    """Takes blocks in order, acknowledges each window, and says so where one is missing."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.content = bytearray()
        self.expected = 1
        self.in_window = 0
        self.is_done = False

    def take(self, packet: Packet) -> list[Packet]:
        if isinstance(packet, OptionAck):
            return [Ack(block=0)] if self.expected == 1 else []
        assert isinstance(packet, Data)
        if packet.block != self.expected % 65536:
            self.in_window = 0
            return self.remind()
        self.content += packet.payload
        self.expected += 1
        self.in_window += 1
        self.is_done = len(packet.payload) < self.terms.block_size
        if self.is_done or self.in_window == self.terms.window:
            self.in_window = 0
            return self.remind()
        return []

    def remind(self) -> list[Packet]:
        return [Ack(block=(self.expected - 1) % 65536)]


class Fate(IntEnum):
    ARRIVES = 0
    LOST = 1
    DOUBLED = 2
    OVERTAKES = 3


class Network:
    """Packets on the way to one end, after what fate does to each."""

    def __init__(self, fate: Callable[[], Fate]) -> None:
        self.fate = fate
        self.packets: list[Packet] = []

    def put(self, packets: list[Packet], is_rough: bool) -> None:
        for packet in packets:
            fate = self.fate() if is_rough else Fate.ARRIVES
            copies = {Fate.LOST: 0, Fate.DOUBLED: 2}.get(fate, 1)
            place = 0 if fate is Fate.OVERTAKES else len(self.packets)
            self.packets[place:place] = [packet] * copies


def run(transfer: Transfer, client: Client, fate: Callable[[], Fate]) -> None:
    """Until the transfer ends, on a network that is bad for its first 300 packets."""
    there, back, now, count = Network(fate), Network(fate), 0.0, 0
    there.put([decode(packet) for packet in transfer.start(now)], True)
    while transfer.outcome is None:
        count += 1
        assert count < 5000, "it never ends"
        is_rough = count < 300
        if there.packets:
            back.put(client.take(there.packets.pop(0)), is_rough)
        elif back.packets:
            answer = transfer.receive(back.packets.pop(0), now)
            there.put([decode(packet) for packet in answer], is_rough)
        else:
            assert transfer.deadline is not None
            now = transfer.deadline
            there.put([decode(packet) for packet in transfer.wake(now)], is_rough)


def terms_for(block_size: int, window: int, with_options: bool) -> Terms:
    said = {"blksize": str(block_size)} if with_options else {}
    return Terms(block_size=block_size, window=window, acknowledged=said)


@pytest.mark.parametrize("window", [1, 4, 16])
@pytest.mark.parametrize("seed", range(30))
def test_a_file_crosses_a_network_that_loses_one_packet_in_ten(seed: int, window: int) -> None:
    random = Random(seed)
    fates = [Fate.ARRIVES] * 7 + [Fate.LOST, Fate.DOUBLED, Fate.OVERTAKES]
    content, terms = random.randbytes(8 * 200), terms_for(8, window, with_options=True)
    transfer, client = Transfer(content, terms), Client(terms)
    run(transfer, client, lambda: random.choice(fates))
    assert bytes(client.content) == content
    assert transfer.outcome == Outcome(end=End.DONE, bytes_sent=1600)


@given(st.data(), st.binary(max_size=400), st.sampled_from([8, 50]), st.integers(1, 6))
def test_whatever_a_network_does_the_file_arrives_whole_or_the_transfer_times_out(
    data: st.DataObject, content: bytes, block_size: int, window: int
) -> None:
    terms = terms_for(block_size, window, with_options=data.draw(st.booleans()))
    transfer, client = Transfer(content, terms), Client(terms)
    run(transfer, client, lambda: data.draw(st.sampled_from(Fate)))
    assert transfer.outcome is not None
    assert transfer.outcome.end in (End.DONE, End.TIMED_OUT)
    if transfer.outcome.end is End.DONE:
        assert bytes(client.content) == content


@given(st.binary(max_size=400), st.integers(1, 6))
@example(bytes(400), 1)
@example(b"", 6)
def test_a_doubled_packet_does_not_double_the_rest(content: bytes, window: int) -> None:
    """The Sorcerer's Apprentice: one doubled ack, and every block is sent twice from there on."""
    terms = Terms(block_size=8, window=window)
    transfer, client = Transfer(content, terms), Client(terms)
    on_the_way, sent = transfer.start(0.0), 0
    while on_the_way:
        sent += len(on_the_way)
        acks = [ack for packet in on_the_way for ack in client.take(decode(packet))]
        on_the_way = [data for ack in acks for _ in range(2) for data in transfer.receive(ack, 0.0)]
    assert transfer.outcome == Outcome(end=End.DONE, bytes_sent=len(content))
    assert sent == len(content) // 8 + 1
