from __future__ import annotations

import pytest

from kairos_netboot.boot.identity import either_order, identity_of, is_uuid, same_uuid, shows
from kairos_netboot.boot.site import NodeSpec

UUID = "4c4c4544-0042-3510-8052-b4c04f4e4d31"
TURNED = "44454c4c-4200-1035-8052-b4c04f4e4d31"


@pytest.mark.parametrize("text", ["", "x", UUID[:-1], "0" * 36, UUID.replace("-", "")])
def test_what_is_no_uuid(text: str) -> None:
    assert not is_uuid(text)


@pytest.mark.parametrize("digit", ["0", "f"])
def test_what_boards_tell_without_a_uuid_is_nobodys(digit: str) -> None:
    nothing = "-".join(digit * length for length in (8, 4, 4, 4, 12))
    assert not is_uuid(nothing)
    assert not same_uuid({"uuid": nothing}, {"uuid": nothing})


def test_a_uuid_is_told_in_two_orders() -> None:
    assert either_order(UUID.upper()) == {UUID, TURNED} == either_order(TURNED)


def test_a_machine_is_known_by_its_uuid_in_either_order() -> None:
    spec = NodeSpec(name="a", uuid=UUID)
    assert shows({"uuid": UUID}, spec)
    assert shows({"uuid": TURNED}, spec)
    assert not shows({}, spec)


def test_a_machine_is_known_by_its_serial_or_asset_tag() -> None:
    assert shows({"serial": " 7xk2 "}, NodeSpec(name="a", serial="7XK2"))
    assert shows({"asset": "A-1"}, NodeSpec(name="a", asset="a-1"))
    assert not shows({"serial": "A-1"}, NodeSpec(name="a", asset="A-1"))


def test_a_node_with_nothing_but_cards_is_shown_by_no_fact() -> None:
    assert not shows({"serial": "", "uuid": "", "asset": ""}, NodeSpec(name="a"))
    assert identity_of(NodeSpec(name="a")) == ""


def test_two_machines_without_a_uuid_do_not_have_the_same_one() -> None:
    assert not same_uuid({}, {})
    assert not same_uuid({"uuid": UUID}, {})
    assert same_uuid({"uuid": UUID}, {"uuid": TURNED})
