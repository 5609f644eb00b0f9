from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from scapy.layers import dhcp6

from kairos_netboot.dhcp.answer import Service
from kairos_netboot.dhcp.v6 import Kind, Message, Option6, encode
from kairos_netboot.dhcp.v6answer import (
    Loan,
    acknowledgement,
    answer_kind,
    boot_reply,
    gives_back,
    server_duid,
)
from kairos_netboot.values import Stage
from tests.unit.dhcp.v6sample import (
    EDK2_DUID,
    EDK2_HTTP_SOLICIT,
    EDK2_PXE_SOLICIT,
    IPXE_INFORMATION_REQUEST,
    changed,
    message,
)

OURS = server_duid("52:54:00:00:00:02")
THEIRS = bytes.fromhex("00010001329684af020000770001")
SOLICIT = message(EDK2_PXE_SOLICIT)
URL = "tftp://[fd00:77::2]/52-54-00-77-06-01/grub-x64.efi"
LOAN = Loan(address=IPv6Address("fd00:77::5054:ff:fe77:601"), preferred=3600, valid=7200)


def of_kind(kind: Kind, server: bytes | None) -> Message:
    return changed(EDK2_PXE_SOLICIT, kind=kind, option_2=server)


def answer(
    request: Message = SOLICIT, stage: Stage = Stage.PXE, loan: Loan | None = None
) -> Message:
    return boot_reply(request, Kind.ADVERTISE, url=URL, stage=stage, duid=OURS, loan=loan)


def codes(reply: Message) -> list[int]:
    return [code for code, _ in reply.options]


@pytest.mark.parametrize(
    ("kind", "server", "expected"),
    [
        (Kind.SOLICIT, None, Kind.ADVERTISE),
        (Kind.INFORMATION_REQUEST, None, Kind.REPLY),
        (Kind.INFORMATION_REQUEST, OURS, Kind.REPLY),
        (Kind.REQUEST, OURS, Kind.REPLY),
        (Kind.RENEW, OURS, Kind.REPLY),
        (Kind.RELEASE, OURS, Kind.REPLY),
        (Kind.DECLINE, OURS, Kind.REPLY),
        # The site's own server answers these.
        (Kind.SOLICIT, OURS, None),
        (Kind.REQUEST, THEIRS, None),
        (Kind.REQUEST, None, None),
        (Kind.RELEASE, THEIRS, None),
        (Kind.INFORMATION_REQUEST, THEIRS, None),
        (Kind.REBIND, None, None),
        (Kind.CONFIRM, None, None),
        (Kind.ADVERTISE, None, None),
        (Kind.REPLY, OURS, None),
    ],
)
def test_on_547_only_what_is_for_us_is_answered(
    kind: Kind, server: bytes | None, expected: Kind | None
) -> None:
    assert answer_kind(of_kind(kind, server), Service.PROXY, OURS) is expected


@pytest.mark.parametrize(
    ("kind", "server", "expected"),
    [
        (Kind.REQUEST, OURS, Kind.REPLY),
        (Kind.REQUEST, None, Kind.REPLY),  # EDK2, where its address is from us as well
        (Kind.INFORMATION_REQUEST, OURS, Kind.REPLY),
        (Kind.REQUEST, THEIRS, None),
        (Kind.SOLICIT, None, None),
        (Kind.RELEASE, OURS, None),
    ],
)
def test_on_4011_a_request_is_answered(
    kind: Kind, server: bytes | None, expected: Kind | None
) -> None:
    assert answer_kind(of_kind(kind, server), Service.BOOT_SERVER, OURS) is expected


def test_who_does_not_say_who_it_is_gets_no_answer() -> None:
    nobody = changed(EDK2_PXE_SOLICIT, option_1=None)
    assert answer_kind(nobody, Service.PROXY, OURS) is None


def test_pxe_is_offered_a_file_and_no_address() -> None:
    reply = answer()
    assert reply.xid == SOLICIT.xid
    assert reply.options == (
        (1, EDK2_DUID),
        (2, OURS),
        (16, b"\0\0\1\x57\0\x09PXEClient"),
        (59, URL.encode()),
    )


def test_http_boot_is_told_that_the_answer_is_for_it() -> None:
    reply = answer(message(EDK2_HTTP_SOLICIT), Stage.HTTP)
    assert reply.first(Option6.VENDOR_CLASS) == b"\0\0\1\x57\0\x0aHTTPClient"


def test_ipxe_is_told_the_file_alone() -> None:
    assert codes(answer(message(IPXE_INFORMATION_REQUEST), Stage.IPXE)) == [1, 2, 59]


def test_a_lent_address_comes_with_the_clients_own_number() -> None:
    association = answer(loan=LOAN).first(Option6.IA_NA)
    assert association == bytes.fromhex(
        "ffd6f7d7 00000000 00000000 0005 0018 fd000077000000005054 00fffe770601 00000e10 00001c20"
    )


def test_pxe_that_is_lent_an_address_is_not_made_to_ask_again_on_4011() -> None:
    assert codes(answer(loan=LOAN)) == [1, 2, 3, 59]


def test_http_boot_that_is_lent_an_address_still_knows_the_answer_as_its_own() -> None:
    assert codes(answer(message(EDK2_HTTP_SOLICIT), Stage.HTTP, LOAN)) == [1, 2, 3, 16, 59]


def test_who_wants_no_address_is_lent_none() -> None:
    assert 3 not in codes(answer(message(IPXE_INFORMATION_REQUEST), Stage.IPXE, LOAN))


def test_no_preference_is_said_in_any_answer() -> None:
    for loan in (None, LOAN):
        for stage in (Stage.PXE, Stage.HTTP, Stage.IPXE):
            assert 7 not in codes(answer(stage=stage, loan=loan))


def test_an_address_that_is_given_back_is_acknowledged() -> None:
    release = of_kind(Kind.RELEASE, OURS)
    assert gives_back(release)
    assert gives_back(of_kind(Kind.DECLINE, OURS))
    assert not gives_back(SOLICIT)
    reply = acknowledgement(release, OURS)
    assert reply.kind is Kind.REPLY
    assert reply.options == ((1, EDK2_DUID), (2, OURS), (13, b"\0\0"))


def test_our_identifier_stays_the_same_and_is_no_one_elses() -> None:
    assert server_duid("52:54:00:00:00:02") == OURS != server_duid("52:54:00:00:00:03")
    assert (OURS[:2], len(OURS)) == (b"\0\4", 18)


def test_scapy_reads_the_same_answer() -> None:
    read = dhcp6.DHCP6_Advertise(encode(answer(loan=LOAN)))
    assert read.trid == SOLICIT.xid
    assert read[dhcp6.DHCP6OptIAAddress].addr == str(LOAN.address)
    assert read[dhcp6.DHCP6OptBootFileUrl].optdata == URL.encode()
    offer = dhcp6.DHCP6_Advertise(encode(answer()))[dhcp6.DHCP6OptVendorClass]
    assert offer.enterprisenum == 343
    assert offer.vcdata[0].data == b"PXEClient"
