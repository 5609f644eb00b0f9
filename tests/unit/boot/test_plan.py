"""What a plan says of itself; its renderings have tests of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kairos_netboot.boot.actions import Action, Order, Ram
from kairos_netboot.boot.decide import decide
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.plan import BootPlan, make_plan
from kairos_netboot.boot.site import Medium, MediumKind
from kairos_netboot.boot.tokens import BootTokens
from kairos_netboot.boot.urls import Urls
from kairos_netboot.errors import InvalidValue
from kairos_netboot.values import Arch, Firmware, Stage
from tests.unit.boot.sample import IMAGE, MAC, PROFILE, blob, fleet, node

URLS, TOKENS = Urls("http://192.0.2.1"), BootTokens("d" * 32)


def _plan(action: Action, state: State = State.ARMED, boots: int = 0) -> BootPlan:
    order = Order(action=action, disks=("/dev/vdb",)) if action is not Action.INSTALL else None
    profile = replace(PROFILE, ram=Ram(partitions="auto"))
    machine = node(state, order=order, boots=boots)
    decision = decide(fleet(machine, profile=profile), MAC, Firmware.UEFI, Arch.AMD64)
    return make_plan(decision, MAC, URLS, TOKENS)


def test_what_destroys_is_counted() -> None:
    install, wipe = _plan(Action.INSTALL, boots=1), _plan(Action.WIPE, State.WIPING, boots=2)
    assert (install.boot, install.max_boots) == (2, 3)
    assert install.heading == "installer start 2 of at most 3"
    assert install.sentence == "alpha installs debian (2 of at most 3 tries)"
    assert wipe.heading == "eraser start 3 of at most 3"
    assert wipe.sentence == "alpha erases its disks with debian (3 of at most 3 tries)"


@pytest.mark.parametrize("action", [Action.RAM, Action.RESCUE, Action.RECOVERY, Action.SHELL])
def test_what_destroys_nothing_is_not(action: Action) -> None:
    plan = _plan(action, boots=1)
    assert (plan.boot, plan.max_boots) == (0, 0)
    assert plan.heading == action
    assert plan.sentence == f"alpha does '{action}' with debian"
    assert plan.starts == "kernel"


@pytest.mark.parametrize("state", [state for state in State if state is not State.DISCOVERED])
def test_data_partitions_are_made_in_the_state_armed_alone(state: State) -> None:
    line = _plan(Action.RAM, state).command_line
    assert ("kairos.ram.create_partitions" in line) is (state is State.ARMED)


def test_an_image_that_is_one_file_has_no_command_line_and_no_loader() -> None:
    medium = replace(IMAGE, files=Medium(blob=blob("4", 9), kind=MediumKind.EFI))
    decision = decide(fleet(node(), image=medium), MAC, Firmware.UEFI, Arch.AMD64)
    assert make_plan(decision, MAC, URLS, TOKENS, Stage.HTTP).command_line == ""
    with pytest.raises(InvalidValue, match="enable HTTP Boot on alpha"):
        make_plan(decision, MAC, URLS, TOKENS, Stage.IPXE)
