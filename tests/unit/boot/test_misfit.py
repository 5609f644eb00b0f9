"""Whether an order could be carried out; test_decide.py has what a boot goes by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kairos_netboot.boot.actions import Action
from kairos_netboot.boot.misfit import why_no_order
from tests.unit.boot.sample import IMAGE, PROFILE, fleet, node


@pytest.mark.parametrize("action", Action)
def test_an_image_of_today_can_do_all(action: Action) -> None:
    assert why_no_order(fleet(node()), node(), action) == ""


def test_what_needs_an_image_is_not_ordered_where_there_is_none() -> None:
    bare = fleet(node(), profile=replace(PROFILE, image=""))
    assert "'rescue' needs an image, and profile 'server'" in why_no_order(
        bare, node(), Action.RESCUE
    )
    assert why_no_order(bare, node(), Action.LOCAL) == ""


def test_an_old_image_is_not_ordered_into_memory() -> None:
    old = replace(IMAGE, facts=replace(IMAGE.facts, version="v3.6.0"))
    assert "v4.2" in why_no_order(fleet(node(), image=old), node(), Action.RAM)
    assert why_no_order(fleet(node(), image=old), node(), Action.RESCUE) == ""


def test_a_machine_of_another_architecture_is_told_so() -> None:
    other = node(facts={"arch": "arm64"})
    assert "is arm64" in why_no_order(fleet(other), other, Action.RESCUE)
