"""What machines that nobody named are answered."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from kairos_netboot.boot.actions import Action, Menu
from kairos_netboot.boot.decide import Outcome, decide
from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.respond import Response, respond
from kairos_netboot.boot.unknown import IGNORE, INVENTORY, Unknown, word_for
from kairos_netboot.values import Firmware
from tests.unit.boot.sample import MAC, PROFILE, SPEC, STRANGER, fleet, node
from tests.unit.boot.test_respond import BIOS, EVERYTHING, RECIPES, UEFI, asked
from tests.unit.boot.test_respond6 import answered
from tests.unit.dhcp.v6sample import EDK2_PXE_SOLICIT

NEAR, FAR = IPv4Address("10.1.2.3"), IPv4Address("10.9.9.9")
WORDS = Unknown(
    others=IGNORE,
    networks={IPv4Network("10.0.0.0/8"): "server", IPv4Network("10.1.0.0/16"): INVENTORY},
)
ASKS_ALL = Unknown(others=INVENTORY)


def stranger(**changes: object) -> Node:
    known = Node(id=9, macs=(STRANGER,), state=State.DISCOVERED)
    return replace(known, **changes)  # type: ignore[arg-type]


def answer(in_fleet: Fleet, arch: bytes = UEFI, mac: str = STRANGER, ours: str = "") -> Response:
    request = asked(arch, mac=mac)
    request = replace(request, broadcast_on=IPv4Address(ours) if ours else None)
    response = respond(request, in_fleet, RECIPES, EVERYTHING)
    assert response is not None
    return response


def test_the_narrowest_network_has_the_word() -> None:
    assert word_for(WORDS, None, NEAR) == INVENTORY
    assert word_for(WORDS, None, FAR) == "server"
    assert word_for(WORDS, None) == word_for(WORDS, None, IPv4Address("192.0.2.1")) == IGNORE


def test_where_it_asks_from_now_counts_more_than_where_it_asked_from() -> None:
    known = stranger(facts={"network": str(NEAR)})
    assert word_for(WORDS, known) == INVENTORY
    assert word_for(WORDS, known, FAR) == "server"


@pytest.mark.parametrize(("arch", "file"), [(BIOS, "undionly.kpxe"), (UEFI, "snponly.efi")])
@pytest.mark.parametrize("known", [(), (stranger(),)])
def test_for_an_inventory_firmware_is_handed_the_loader(
    known: tuple[Node, ...], arch: bytes, file: str
) -> None:
    response = answer(Fleet(known, unknown=ASKS_ALL), arch)
    assert response.decision is not None
    assert response.decision.outcome is Outcome.INVENTORY
    assert response.boot_file == f"{STRANGER.hyphens}/{file}"
    assert response.reply is not None


def test_over_ipv6_as_well() -> None:
    found = answered(EDK2_PXE_SOLICIT, replace(fleet(), unknown=ASKS_ALL))
    assert found.decision is not None
    assert found.decision.outcome is Outcome.INVENTORY
    assert found.reply is not None


def test_a_machine_that_was_never_seen_gets_its_networks_word() -> None:
    site = Fleet(unknown=WORDS)
    assert answer(site, ours=str(NEAR)).reply is not None
    assert answer(site, ours="192.0.2.1").reply is None
    assert answer(site, ours=str(FAR)).reply is None  # its profile comes by its name alone


@pytest.mark.parametrize("action", [Action.MENU, Action.RESCUE, Action.RAM, Action.SHELL])
def test_whatever_is_loaded_or_chosen_firmware_is_answered(action: Action) -> None:
    profile = replace(PROFILE, action=action, menu=Menu(), ssh_keys=("ssh-ed25519 A",))
    response = answer(fleet(node(State.IDLE), profile=profile), BIOS, MAC)
    assert response.decision is not None
    assert response.decision.outcome in (Outcome.MENU, Outcome.LIVE)
    assert response.reply is not None


@pytest.mark.parametrize("unknown", [ASKS_ALL, Unknown(others="server")])
def test_a_denied_machine_gets_nothing_at_all(unknown: Unknown) -> None:
    site = Fleet((stranger(denied=True),), {"server": PROFILE}, unknown=unknown)
    response = answer(site)
    assert response.reply is None
    assert "was denied" in response.reason


def test_a_named_machine_without_a_profile_is_asked_as_well() -> None:
    waiting = node(State.DISCOVERED, spec=replace(SPEC, profile=""))
    decision = decide(replace(fleet(waiting), unknown=ASKS_ALL), MAC, Firmware.UEFI, None)
    assert decision.outcome is Outcome.INVENTORY
    assert "no selector has chosen a profile for alpha" in decision.reason
    assert decide(fleet(waiting), MAC, Firmware.UEFI, None).outcome is Outcome.NOTHING
