from __future__ import annotations

from dataclasses import replace

import pytest

from kairos_netboot.boot.decide import Outcome, decide, exit_method
from kairos_netboot.boot.fleet import Fleet
from kairos_netboot.boot.lifecycle import MAX_BOOTS, State
from kairos_netboot.boot.site import ExitMethod
from kairos_netboot.values import Arch, Firmware
from tests.unit.boot.sample import IMAGE, MAC, PROFILE, SPEC, STRANGER, fleet, node

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
