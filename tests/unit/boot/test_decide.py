from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from kairos_netboot.boot.actions import STARTS, Action, Menu, Order, Ram
from kairos_netboot.boot.decide import Decision, Outcome, decide, exit_method
from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.lifecycle import MAX_BOOTS, MAY_INSTALL, MAY_WIPE, State, may_start
from kairos_netboot.boot.plan import make_plan
from kairos_netboot.boot.site import ExitMethod, Medium, MediumKind
from kairos_netboot.boot.tokens import BootTokens
from kairos_netboot.boot.urls import Urls
from kairos_netboot.values import Arch, Firmware
from tests.unit.boot.sample import IMAGE, MAC, PROFILE, SPEC, STRANGER, blob, fleet, node

UEFI, BIOS = Firmware.UEFI, Firmware.BIOS


@pytest.mark.parametrize("state", [State.ARMED, State.BOOTING, State.INSTALLING])
def test_a_node_that_is_to_be_installed_is_installed(state: State) -> None:
    decision = decide(fleet(node(state)), MAC, UEFI, Arch.AMD64)
    assert decision.outcome is Outcome.INSTALL
    assert decision.image is IMAGE
    assert "profile 'server' installs 'debian'" in decision.reason


@pytest.mark.parametrize("state", [State.INSTALLED, State.READY, State.FAILED])
def test_any_other_named_node_boots_its_disk(state: State) -> None:
    decision = decide(fleet(node(state)), MAC, UEFI, Arch.AMD64)
    assert decision.outcome is Outcome.DISK
    assert decision.exit is ExitMethod.GRUB


def test_a_machine_nobody_named_gets_nothing() -> None:
    assert decide(Fleet(), STRANGER, UEFI, Arch.AMD64).outcome is Outcome.NOTHING
    seen = node(State.DISCOVERED, spec=None)
    decision = decide(fleet(seen), MAC, UEFI, Arch.AMD64)
    assert decision.outcome is Outcome.NOTHING
    assert "nobody named" in decision.reason


def test_a_node_taken_out_of_the_site_gets_nothing_even_if_it_was_armed() -> None:
    assert decide(fleet(node(spec=None)), MAC, UEFI, Arch.AMD64).outcome is Outcome.NOTHING


def test_the_brake_holds_after_three_starts() -> None:
    assert not decide(fleet(node(boots=MAX_BOOTS - 1)), MAC, UEFI, Arch.AMD64).brake
    decision = decide(fleet(node(State.BOOTING, boots=MAX_BOOTS)), MAC, UEFI, Arch.AMD64)
    assert decision.outcome is Outcome.DISK
    assert decision.brake
    assert "nodes reinstall alpha" in decision.reason


def test_a_machine_of_another_architecture_gets_nothing() -> None:
    decision = decide(fleet(node()), MAC, UEFI, Arch.ARM64)
    assert decision.outcome is Outcome.NOTHING
    assert "alpha is arm64, its image 'debian' is amd64" in decision.reason


def without_stub(stub: bool | None) -> Fleet:
    return fleet(node(), image=replace(IMAGE, facts=replace(IMAGE.facts, efi_stub=stub)))


def test_uefi_gets_no_kernel_that_it_cannot_start() -> None:
    decision = decide(without_stub(False), MAC, UEFI, Arch.AMD64)
    assert decision.outcome is Outcome.NOTHING
    assert decision.reason == (
        "alpha has UEFI firmware, which cannot start the kernel of 'debian': "
        "it has no EFI stub (CONFIG_EFI_STUB)"
    )


@pytest.mark.parametrize("firmware", [BIOS, None])
def test_only_uefi_needs_the_stub(firmware: Firmware | None) -> None:
    assert decide(without_stub(False), MAC, firmware, Arch.AMD64).outcome is Outcome.INSTALL


@pytest.mark.parametrize("stub", [True, None])
def test_a_kernel_not_known_to_lack_its_stub_is_tried(stub: bool | None) -> None:
    assert decide(without_stub(stub), MAC, UEFI, Arch.AMD64).outcome is Outcome.INSTALL


def test_an_installed_node_boots_its_disk_whatever_its_image_has_become() -> None:
    installed = fleet(node(State.INSTALLED), image=without_stub(False).images["debian"])
    assert decide(installed, MAC, UEFI, Arch.ARM64).outcome is Outcome.DISK


def test_an_architecture_not_known_yet_stops_nothing() -> None:
    assert decide(fleet(node()), MAC, None, None).outcome is Outcome.INSTALL


def test_a_missing_image_or_profile_is_said() -> None:
    bare = Fleet((node(),), {"server": PROFILE}, {})
    assert "image 'debian' of profile 'server' is not here" in decide(bare, MAC, UEFI, None).reason
    assert "'server' is not in the site" in decide(Fleet((node(),)), MAC, UEFI, None).reason


def test_the_exit_method_is_the_nodes_then_the_profiles_then_the_firmwares() -> None:
    assert exit_method(node(), PROFILE, BIOS) is ExitMethod.SILENCE
    assert exit_method(node(), PROFILE, UEFI) is ExitMethod.GRUB
    assert exit_method(node(), PROFILE, None) is ExitMethod.SILENCE
    profile = replace(PROFILE, exits={BIOS: ExitMethod.SANBOOT})
    assert exit_method(node(), profile, BIOS) is ExitMethod.SANBOOT
    own = node(spec=replace(SPEC, exits={BIOS: ExitMethod.EXIT}))
    assert exit_method(own, profile, BIOS) is ExitMethod.EXIT


# Actions and orders

EVERY = Menu(items=tuple(a for a in Action if a not in (Action.MENU, Action.WIPE)))
DISKS = ("/dev/vdb",)
RAM = Ram(partitions="/dev/vda", wipe=True)
NAMED = [state for state in State if state is not State.DISCOVERED]


def _decided(
    state: State,
    action: Action,
    order: Action | None = None,
    chosen: Action | None = None,
    *,
    firmware: Firmware = UEFI,
    **changes: object,
) -> Decision:
    profile = replace(PROFILE, action=action, menu=EVERY, disks=DISKS, ram=RAM)
    given = Order(action=order, disks=DISKS) if order else None
    machine = node(state, order=given, **changes)
    return decide(fleet(machine, profile=profile), MAC, firmware, Arch.AMD64, chosen=chosen)


def _line(decision: Decision) -> str:
    return make_plan(decision, MAC, Urls("http://192.0.2.1"), BootTokens("d" * 32)).command_line


@pytest.mark.parametrize("state", State)
def test_nothing_destroys_outside_the_states_that_may_whatever_is_asked(state: State) -> None:
    """Every action of a profile, order and choice in every state."""
    asked = (None, *Action)
    for action, order, chosen, boots in product(Action, asked, asked, (0, MAX_BOOTS)):
        decision = _decided(state, action, order, chosen, boots=boots)
        if decision.outcome is Outcome.INSTALL:
            assert state in MAY_INSTALL
        if decision.action is Action.WIPE:
            assert state in MAY_WIPE
        if decision.loads:
            assert decision.action is not None
            assert may_start(state, boots, STARTS[decision.action])
            writes = "create_partitions" in _line(decision) or "ram.wipe" in _line(decision)
            assert writes is (decision.action is Action.RAM and state is State.ARMED)


@pytest.mark.parametrize("state", State)
def test_a_choice_counts_where_there_is_a_menu_that_offers_it(state: State) -> None:
    for action, order in product(Action, (None, *Action)):
        if Action.MENU in (order, None if order else action):
            continue
        plain = _decided(state, action, order)
        assert all(_decided(state, action, order, chosen) == plain for chosen in Action)


@pytest.mark.parametrize("state", NAMED)
@pytest.mark.parametrize("action", [Action.RESCUE, Action.RECOVERY, Action.SHELL, Action.RAM])
def test_an_order_comes_before_the_profile_in_every_state(state: State, action: Action) -> None:
    decision = _decided(state, Action.INSTALL, action)
    assert (decision.outcome, decision.action) == (Outcome.LIVE, action)


@pytest.mark.parametrize("state", NAMED)
def test_a_machine_runs_from_memory_in_every_state_but_when_it_is_to_be_wiped(
    state: State,
) -> None:
    decision = _decided(state, Action.RAM, order=Action.WIPE if state in MAY_WIPE else None)
    expected = Action.WIPE if state in MAY_WIPE else Action.RAM
    assert (decision.outcome, decision.action) == (Outcome.LIVE, expected)


def test_data_partitions_are_made_once() -> None:
    assert "kairos.ram.wipe" in _line(_decided(State.ARMED, Action.RAM))
    assert "kairos.ram." not in _line(_decided(State.LIVE, Action.RAM))


def test_a_condemned_node_is_wiped_and_its_profile_says_nothing_to_that() -> None:
    for action in Action:
        decision = _decided(State.CONDEMNED, action, Action.WIPE)
        assert (decision.outcome, decision.action) == (Outcome.LIVE, Action.WIPE)


def test_the_brake_holds_for_the_eraser_too() -> None:
    decision = _decided(State.WIPING, Action.LOCAL, Action.WIPE, boots=MAX_BOOTS)
    assert (decision.outcome, decision.brake) == (Outcome.DISK, True)
    assert "started the eraser 3 times" in decision.reason
    assert "nodes wipe alpha" in decision.reason


def test_nothing_is_wiped_where_nobody_says_what() -> None:
    decision = decide(fleet(node(State.CONDEMNED)), MAC, UEFI, Arch.AMD64)
    assert decision.outcome is Outcome.DISK
    assert "which disks" in decision.reason


def test_a_profile_that_wipes_is_an_order_away_from_it() -> None:
    decision = _decided(State.IDLE, Action.WIPE)
    assert decision.outcome is Outcome.DISK
    assert "nodes wipe alpha" in decision.reason
    assert "is wiped" in _decided(State.WIPED, Action.WIPE).reason


def test_a_local_order_is_not_carried_out_by_silence_that_would_never_end_it() -> None:
    ordered = _decided(State.ARMED, Action.INSTALL, Action.LOCAL, firmware=BIOS)
    assert (ordered.outcome, ordered.exit) == (Outcome.DISK, ExitMethod.EXIT)
    own = _decided(State.ARMED, Action.LOCAL, firmware=BIOS)
    assert (own.outcome, own.exit) == (Outcome.DISK, ExitMethod.SILENCE)


# The menu


def _offered(decision: Decision) -> tuple[Action, ...]:
    assert decision.outcome is Outcome.MENU
    return decision.menu.items


@pytest.mark.parametrize("state", NAMED)
def test_an_install_is_offered_while_one_may_begin(state: State) -> None:
    menu_ordered = _decided(state, Action.INSTALL, Action.MENU)
    assert (Action.INSTALL in _offered(menu_ordered)) is (state in MAY_INSTALL)


def test_an_install_that_has_used_up_its_starts_is_not_offered() -> None:
    assert Action.INSTALL not in _offered(_decided(State.BOOTING, Action.MENU, boots=MAX_BOOTS))


def _menu(menu: Menu, state: State = State.READY, image: str = "debian") -> Decision:
    profile = replace(PROFILE, action=Action.MENU, menu=menu, image=image)
    return decide(fleet(node(state), profile=profile), MAC, UEFI, Arch.AMD64)


def test_a_default_that_is_not_offered_gives_way_to_the_disk() -> None:
    items = (Action.RESCUE, Action.INSTALL, Action.LOCAL)
    menu = Menu(items=items, default=Action.INSTALL)
    assert _menu(menu).menu.default is Action.LOCAL
    assert _menu(menu, State.ARMED).menu.default is Action.INSTALL
    without_disk = Menu(items=items[:2], default=Action.INSTALL)
    assert _menu(without_disk).menu.default is Action.RESCUE


def test_a_menu_of_which_nothing_is_left_offers_the_disk() -> None:
    menu = Menu(items=(Action.INSTALL,), default=Action.INSTALL)
    assert _offered(_menu(menu)) == (Action.LOCAL,)
    assert _menu(menu).menu.default is Action.LOCAL


def test_a_menu_without_an_image_offers_what_needs_none() -> None:
    assert _offered(_menu(Menu(), image="")) == (Action.LOCAL,)


# What images can do


def test_only_new_images_run_from_memory() -> None:
    old = replace(IMAGE, facts=replace(IMAGE.facts, version="v4.1.3"))
    profile = replace(PROFILE, action=Action.RAM)
    decision = decide(fleet(node(), profile=profile, image=old), MAC, UEFI, Arch.AMD64)
    assert decision.outcome is Outcome.NOTHING
    assert "Kairos v4.1.3, and the first that does is v4.2" in decision.reason


def test_an_image_whose_version_nobody_can_read_is_tried() -> None:
    strange = replace(IMAGE, facts=replace(IMAGE.facts, version="latest"))
    profile = replace(PROFILE, action=Action.RAM)
    decision = decide(fleet(node(), profile=profile, image=strange), MAC, UEFI, Arch.AMD64)
    assert decision.outcome is Outcome.LIVE


def test_an_image_that_is_one_file_only_installs() -> None:
    medium = replace(IMAGE, files=Medium(blob=blob("4", 9), kind=MediumKind.EFI))

    def decided(machine: Node) -> Decision:
        return decide(fleet(machine, image=medium), MAC, UEFI, Arch.AMD64)

    assert decided(node()).outcome is Outcome.INSTALL
    refused = decided(node(order=Order(action=Action.RESCUE)))
    assert refused.outcome is Outcome.NOTHING
    assert "whose command line is part of it" in refused.reason


def test_what_needs_an_image_says_so_where_there_is_none() -> None:
    profile = replace(PROFILE, action=Action.LOCAL, image="")
    ordered = node(order=Order(action=Action.RESCUE))
    decision = decide(fleet(ordered, profile=profile), MAC, UEFI, Arch.AMD64)
    assert decision.outcome is Outcome.NOTHING
    assert "'rescue' needs an image" in decision.reason
