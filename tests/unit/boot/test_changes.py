"""What armed nodes are said to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kairos_netboot.boot.actions import Action, Menu, Ram
from kairos_netboot.boot.changes import armed_sentence
from kairos_netboot.boot.site import Profile
from tests.unit.boot.sample import PROFILE

RAM = replace(PROFILE, action=Action.RAM)


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (PROFILE, "installs when"),
        (None, "installs when"),
        (replace(RAM, ram=Ram(partitions="auto")), "prepares its disk"),
        (RAM, "to no effect: profile 'server' does 'ram'"),
        (replace(PROFILE, action=Action.LOCAL), "to no effect: profile 'server' does 'local'"),
        (replace(PROFILE, action=Action.MENU), "to no effect"),
        (
            replace(PROFILE, action=Action.MENU, menu=Menu(items=(Action.LOCAL, Action.INSTALL))),
            "its menu offers the installer",
        ),
    ],
)
def test_an_armed_node_is_said_to_do_what_its_profile_does(
    profile: Profile | None, said: str
) -> None:
    assert said in armed_sentence(profile)
