from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from kairos_netboot.dhcp.leasebook import Book, Hold
from kairos_netboot.dhcp.leases import DECLINED_SECONDS, OFFER_SECONDS, Ruling
from kairos_netboot.dhcp.packet import MessageType
from tests.unit.dhcp.lease_sample import (
    CARD,
    NOW,
    OTHER,
    POOL,
    SERVER,
    THIRD,
    address,
    ask,
    lease,
    request,
)

DISCOVER, REQUEST = MessageType.DISCOVER, MessageType.REQUEST
EVERY_ADDRESS = [lease(last, OTHER) for last in (10, 11, 12)]
_ETHERNET = b"\x01"


def offered(ruling: Ruling) -> IPv4Address:
    assert ruling.kind is MessageType.OFFER, ruling.reason
    assert ruling.lease is not None
    return ruling.lease.address


# DISCOVER (RFC 2131, 4.3.1)


def test_a_stranger_is_offered_the_first_address_that_nobody_had() -> None:
    assert offered(ask(request(DISCOVER), Book([lease(10, OTHER, left=-99)]))) == address(11)


def test_an_offer_is_tried_first_and_waits_a_minute() -> None:
    ruling = ask(request(DISCOVER), Book())
    assert ruling.try_first
    assert ruling.lease == lease(10, hold=Hold.OFFERED, left=OFFER_SECONDS)


def test_a_machine_is_offered_what_it_has() -> None:
    ruling = ask(request(DISCOVER), Book([lease(12)]))
    assert ruling.lease == lease(12)  # and keeps the time that is left
    assert not ruling.try_first


def test_a_machine_is_offered_what_it_had_if_nobody_else_has_it() -> None:
    ruling = ask(request(DISCOVER), Book([lease(12, left=-99)]))
    assert offered(ruling) == address(12)
    assert ruling.try_first


def test_a_machine_is_offered_what_it_asks_for() -> None:
    assert offered(ask(request(DISCOVER, wants=address(12)), Book())) == address(12)


def test_what_another_machine_has_is_not_offered() -> None:
    book = Book([lease(12, OTHER)])
    assert offered(ask(request(DISCOVER, wants=address(12)), book)) == address(10)


def test_what_is_outside_of_the_ranges_is_not_offered() -> None:
    assert offered(ask(request(DISCOVER, wants=address(99)), Book())) == address(10)


def test_an_offer_that_was_not_taken_up_is_free_again() -> None:
    book = Book([lease(last, OTHER, hold=Hold.OFFERED, left=0) for last in (10, 11, 12)])
    assert offered(ask(request(DISCOVER), book)) == address(10)


def test_the_lease_that_ended_first_is_used_again_first() -> None:
    book = Book([lease(10, OTHER, left=-5), lease(11, OTHER, left=-9), lease(12, OTHER)])
    assert offered(ask(request(DISCOVER), book)) == address(11)


def test_a_pool_without_an_address_left_says_so_to_a_person() -> None:
    ruling = ask(request(DISCOVER), Book(EVERY_ADDRESS))
    assert ruling.kind is None
    assert ruling.alarm
    assert ruling.reason == (
        "no address is left in 192.0.2.0/24: widen its `ranges`, or shorten its `lease`"
    )


def test_a_subnet_for_reservations_alone_has_nothing_for_a_stranger() -> None:
    ruling = ask(request(DISCOVER), Book(), pool=replace(POOL, ranges=()))
    assert ruling.kind is None
    assert ruling.reason == "no address is kept for it, and 192.0.2.0/24 has no `ranges` for others"


def test_a_machine_that_was_offered_an_address_is_offered_no_second_one() -> None:
    book = Book([lease(10, OTHER), lease(11, hold=Hold.OFFERED, left=50)])
    assert offered(ask(request(DISCOVER), book)) == address(11)


# Reservations


def test_a_reserved_address_comes_before_any_other() -> None:
    ruling = ask(request(DISCOVER, wants=address(11)), Book([lease(12)]), reserved=address(50))
    assert offered(ruling) == address(50)


def test_an_address_that_is_kept_for_another_machine_is_not_offered() -> None:
    ruling = ask(request(DISCOVER, wants=address(10)), Book(), taken=lambda a: a == address(10))
    assert offered(ruling) == address(11)


def test_a_reserved_address_that_somebody_still_has_is_not_offered() -> None:
    assert offered(ask(request(DISCOVER), Book([lease(50, OTHER)]), reserved=address(50))) == (
        address(10)
    )


def test_the_other_card_of_a_node_gets_its_reserved_address_if_nobody_answers_there() -> None:
    cards = [_ETHERNET + CARD, _ETHERNET + OTHER]
    ruling = ask(request(DISCOVER), Book([lease(50, OTHER)]), reserved=address(50), cards=cards)
    assert offered(ruling) == address(50)
    assert ruling.try_first


def test_a_pool_address_of_a_nodes_other_card_is_that_cards() -> None:
    cards = [_ETHERNET + CARD, _ETHERNET + OTHER]
    assert offered(ask(request(DISCOVER), Book([lease(10, OTHER)]), cards=cards)) == address(11)


# Who a client is (RFC 2131, 4.2; RFC 4361)

IDENTIFIER = bytes.fromhex("ff1234567800020000ab1149a1c2d3e4f5a6b7c8")


def test_a_machine_keeps_its_address_with_a_new_card() -> None:
    book = Book([lease(12, OTHER, client=IDENTIFIER, left=-1)])
    assert offered(ask(request(DISCOVER, client=IDENTIFIER), book)) == address(12)


def test_a_machine_keeps_its_address_from_its_boot_rom_to_its_system() -> None:
    book = Book([lease(12, client=b"\x00rom")])
    assert offered(ask(request(DISCOVER, client=IDENTIFIER), book)) == address(12)


def test_machines_cloned_from_one_disk_get_an_address_each() -> None:
    book = Book([lease(12, OTHER, client=IDENTIFIER)])
    assert offered(ask(request(DISCOVER, client=IDENTIFIER), book)) == address(10)


def test_machines_without_an_identifier_are_not_one_machine() -> None:
    book = Book([lease(12, OTHER, left=-1)])
    assert offered(ask(request(DISCOVER), book)) == address(10)


def test_machines_whose_cards_do_not_fit_the_field_are_not_one_machine() -> None:
    """RFC 4390: InfiniBand leaves chaddr empty and has an identifier in its stead."""
    one, two = (
        replace(request(DISCOVER, card=b"", client=client), hardware_type=32)
        for client in (b"\xff1", b"\xff2")
    )
    first = ask(one, Book())
    assert first.lease is not None
    assert offered(ask(two, Book([first.lease]))) == address(11)
    assert offered(ask(one, Book([first.lease]))) == address(10)


# REQUEST, selecting (RFC 2131, table 4)


def selecting(wants: IPv4Address, **changes: object) -> Ruling:
    book = Book([lease(10, hold=Hold.OFFERED, left=9), lease(11, OTHER)])
    packet = request(REQUEST, wants=wants, chosen=SERVER)
    return ask(packet, book, **changes)


def test_who_takes_our_offer_has_a_lease() -> None:
    ruling = selecting(address(10))
    assert ruling.kind is MessageType.ACK
    assert ruling.lease == lease(10, left=POOL.seconds)


def test_who_takes_another_servers_offer_hears_nothing_of_us() -> None:
    packet = request(REQUEST, wants=address(10), chosen=IPv4Address("192.0.2.3"))
    ruling = ask(packet, Book())
    assert (ruling.kind, ruling.lease) == (None, None)
    assert ruling.reason == "took another server's offer (192.0.2.3)"


def test_what_was_offered_to_who_took_another_servers_is_free_at_once() -> None:
    """RFC 2131 (3.1): the servers that were not chosen take it as a no to their offers."""
    book = Book([lease(10, hold=Hold.OFFERED, left=50)])
    packet = request(REQUEST, wants=IPv4Address("192.0.2.99"), chosen=IPv4Address("192.0.2.3"))
    ruling = ask(packet, book)
    assert ruling.kind is None
    assert ruling.lease == lease(10, hold=Hold.OFFERED, left=0)
    book.put(ruling.lease)
    wish = request(DISCOVER, card=OTHER, wants=address(10))
    assert offered(ask(wish, book)) == address(10)


def test_a_lease_outlives_its_machines_choice_of_another_server() -> None:
    packet = request(REQUEST, wants=address(10), chosen=IPv4Address("192.0.2.3"))
    assert ask(packet, Book([lease(10)])).lease is None


def test_an_offer_that_a_restart_has_forgotten_is_good() -> None:
    ruling = ask(request(REQUEST, wants=address(12), chosen=SERVER), Book())
    assert ruling.kind is MessageType.ACK


@pytest.mark.parametrize("last", [11, 99], ids=["another's", "of no range"])
def test_an_address_that_was_not_offered_is_refused(last: int) -> None:
    ruling = selecting(address(last))
    assert (ruling.kind, ruling.lease) == (MessageType.NAK, None)


def test_an_address_that_was_set_aside_meanwhile_is_refused() -> None:
    book = Book([lease(10, hold=Hold.DECLINED)])
    packet = request(REQUEST, wants=address(10), chosen=SERVER)
    assert ask(packet, book).kind is MessageType.NAK


# REQUEST, init-reboot


def test_a_restarted_machine_gets_what_it_had() -> None:
    ruling = ask(request(REQUEST, wants=address(10)), Book([lease(10, left=7)]))
    assert ruling.kind is MessageType.ACK
    assert ruling.lease == lease(10, left=POOL.seconds)


def test_a_machine_from_another_network_is_refused() -> None:
    ruling = ask(request(REQUEST, wants=IPv4Address("10.0.0.1")), Book())
    assert ruling.kind is MessageType.NAK
    assert ruling.reason == "10.0.0.1 is of another network"


def test_a_restarted_machine_that_nobody_knows_hears_nothing() -> None:
    """RFC 2131 (4.3.2) has it so; it may be another server's."""
    assert ask(request(REQUEST, wants=address(10)), Book()).kind is None


def test_a_restarted_machine_that_has_another_address_here_is_refused() -> None:
    ruling = ask(request(REQUEST, wants=address(11)), Book([lease(10)]))
    assert ruling.reason == "192.0.2.10 is its address, and not 192.0.2.11"
    assert ruling.kind is MessageType.NAK


def test_a_restarted_machine_is_refused_what_another_has_now() -> None:
    book = Book([lease(10, left=-9), lease(10, OTHER)])
    assert ask(request(REQUEST, wants=address(10)), book).kind is None  # nothing is known of it
    book.put(lease(11, left=-9))
    assert ask(request(REQUEST, wants=address(10)), book).kind is MessageType.NAK


def test_a_restarted_machine_for_which_an_address_is_kept_by_now_is_refused_its_former() -> None:
    ruling = ask(request(REQUEST, wants=address(10)), Book([lease(10)]), reserved=address(50))
    assert ruling.kind is MessageType.NAK
    ruling = ask(request(REQUEST, wants=address(50)), Book(), reserved=address(50))
    assert ruling.kind is MessageType.ACK


def test_a_restarted_machine_whose_range_has_gone_is_refused() -> None:
    assert ask(request(REQUEST, wants=address(99)), Book([lease(99)])).kind is MessageType.NAK


# REQUEST, renewing and rebinding


def test_a_lease_is_renewed_from_now() -> None:
    ruling = ask(request(REQUEST, has=address(10)), Book([lease(10, left=7)]))
    assert ruling.kind is MessageType.ACK
    assert ruling.lease == lease(10, left=POOL.seconds)


def test_a_lease_that_has_ended_is_renewed_while_nobody_else_has_it() -> None:
    assert ask(request(REQUEST, has=address(10)), Book([lease(10, left=-7)])).kind is (
        MessageType.ACK
    )


def test_another_machines_lease_is_not_renewed() -> None:
    ruling = ask(request(REQUEST, has=address(10)), Book([lease(10, OTHER)]))
    assert ruling.kind is MessageType.NAK


def test_an_unknown_lease_is_left_to_whose_it_is() -> None:
    assert ask(request(REQUEST, has=address(10)), Book()).kind is None
    assert ask(request(REQUEST, has=IPv4Address("10.0.0.1")), Book()).kind is None


def test_a_machine_that_was_moved_to_another_of_our_networks_is_refused_its_lease() -> None:
    here = replace(POOL, ranges=((address(20), address(29)),))
    ruling = ask(request(REQUEST, has=address(10)), Book([lease(10)]), pool=here)
    assert ruling.kind is MessageType.NAK
    assert ruling.reason == "192.0.2.10 is not to be had"


def test_a_bond_that_goes_on_by_its_other_card_renews() -> None:
    book = Book([lease(10, OTHER, client=IDENTIFIER)])
    ruling = ask(request(REQUEST, has=address(10), client=IDENTIFIER), book)
    assert ruling.kind is MessageType.ACK
    assert ruling.lease == lease(10, client=IDENTIFIER, left=POOL.seconds)


def test_another_identifier_renews_nothing_of_another_card() -> None:
    book = Book([lease(10, OTHER, client=IDENTIFIER)])
    ruling = ask(request(REQUEST, has=address(10), client=b"\x01else"), book)
    assert ruling.kind is MessageType.NAK


def test_an_address_that_was_set_aside_is_not_renewed() -> None:
    book = Book([lease(10, client=IDENTIFIER, hold=Hold.DECLINED)])
    ruling = ask(request(REQUEST, has=address(10), client=IDENTIFIER), book)
    assert ruling.kind is MessageType.NAK


def test_a_renewal_moves_a_machine_to_the_address_that_is_kept_for_it_by_now() -> None:
    packet = request(REQUEST, has=address(10))
    ruling = ask(packet, Book([lease(10)]), reserved=address(50))
    assert ruling.kind is MessageType.NAK
    assert ruling.reason == "192.0.2.50 is kept for it, and not 192.0.2.10"


def test_a_machine_is_not_moved_to_an_address_that_somebody_still_has() -> None:
    packet = request(REQUEST, has=address(10))
    ruling = ask(packet, Book([lease(10), lease(50, OTHER)]), reserved=address(50))
    assert ruling.kind is MessageType.ACK


def test_an_address_that_is_kept_for_another_machine_by_now_is_not_renewed() -> None:
    packet = request(REQUEST, has=address(10))
    ruling = ask(packet, Book([lease(10)]), taken=lambda a: a == address(10))
    assert ruling.kind is MessageType.NAK


def test_a_request_without_an_address_is_no_request() -> None:
    assert ask(request(REQUEST), Book()).reason == "a REQUEST that names no address"


# DECLINE, RELEASE, INFORM, and what is none of these


def test_an_address_that_a_machine_declines_is_set_aside_for_a_while() -> None:
    packet = request(MessageType.DECLINE, wants=address(10), chosen=SERVER)
    ruling = ask(packet, Book([lease(10)]))
    assert ruling.kind is None
    assert ruling.alarm
    assert ruling.lease == lease(10, hold=Hold.DECLINED, left=DECLINED_SECONDS)
    book = Book([ruling.lease])
    assert offered(ask(request(DISCOVER, wants=address(10)), book)) == address(11)
    assert offered(ask(request(DISCOVER, wants=address(10)), book, now=NOW + DECLINED_SECONDS)) == (
        address(10)
    )


def test_nobody_can_decline_what_another_has() -> None:
    packet = request(MessageType.DECLINE, wants=address(10), chosen=SERVER)
    assert ask(packet, Book([lease(10, OTHER)])).lease is None


def test_what_another_server_gave_is_declined_to_that_one() -> None:
    packet = request(MessageType.DECLINE, wants=address(10), chosen=IPv4Address("192.0.2.3"))
    assert ask(packet, Book([lease(10)])).lease is None


def test_a_released_lease_ends_now_and_is_remembered() -> None:
    ruling = ask(request(MessageType.RELEASE, has=address(12)), Book([lease(12)]))
    assert ruling.kind is None
    assert ruling.lease == lease(12, left=0)
    book = Book([ruling.lease])
    assert offered(ask(request(DISCOVER), book)) == address(12)
    assert offered(ask(request(DISCOVER, card=THIRD), book)) == address(10)


def test_nobody_can_release_what_another_has() -> None:
    packet = request(MessageType.RELEASE, has=address(10))
    assert ask(packet, Book([lease(10, OTHER)])).lease is None


def test_who_has_an_address_of_its_own_is_told_the_options_and_leases_nothing() -> None:
    ruling = ask(request(MessageType.INFORM, has=address(99)), Book())
    assert (ruling.kind, ruling.lease) == (MessageType.ACK, None)


def test_bootp_is_not_served() -> None:
    packet = replace(request(DISCOVER), options={})
    assert ask(packet, Book()).reason == "BOOTP without DHCP is not served"


def test_what_only_servers_say_is_not_answered() -> None:
    assert ask(request(MessageType.OFFER), Book()).reason == "OFFER is what servers send"


def test_a_lease_without_end_outlives_us() -> None:
    packet = request(REQUEST, wants=address(10), chosen=SERVER)
    ruling = ask(packet, Book(), pool=replace(POOL, seconds=0xFFFFFFFF))
    assert ruling.lease is not None
    assert ruling.lease.is_live(NOW + 1000 * 365 * 86400)
