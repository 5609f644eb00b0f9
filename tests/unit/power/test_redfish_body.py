from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.errors import PowerProblem
from kairos_netboot.power import redfish_body as body
from kairos_netboot.power.switch import NetworkBoot, Supply

PATHS = ("/redfish/v1/Systems/1", "/redfish/v1/Systems/2/")


@pytest.mark.parametrize("wanted", ["2", "/redfish/v1/Systems/2/"])
def test_a_system_is_named_by_its_last_word_or_whole(wanted: str) -> None:
    assert body.choose_system(PATHS, wanted) == PATHS[1]


def test_the_only_system_needs_no_name() -> None:
    assert body.choose_system(PATHS[:1], "") == PATHS[0]


@pytest.mark.parametrize(
    ("paths", "wanted", "told"),
    [
        (PATHS, "", "several systems: name one of them as `system`: 1, 2"),
        (PATHS, "3", "no system '3', but 1, 2"),
        ((), "", "has no systems"),
        ((), "1", "no system '1', but none"),
    ],
)
def test_what_cannot_be_chosen_is_told(paths: tuple[str, ...], wanted: str, told: str) -> None:
    with pytest.raises(PowerProblem, match=told):
        body.choose_system(paths, wanted)


def test_orders_for_the_next_boot_tell_the_mode_first() -> None:
    known = {"Boot": {"BootSourceOverrideMode": "Legacy"}}
    plain = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}
    with_mode = {"Boot": {**plain, "BootSourceOverrideMode": "Legacy"}}
    assert body.boot_orders("Pxe", known) == [with_mode, {"Boot": plain}]
    assert body.boot_orders("Pxe", {}) == [{"Boot": plain}]


def test_a_bios_gets_no_http_boot() -> None:
    offered = {"Boot": {"BootSourceOverrideTarget@Redfish.AllowableValues": ["UefiHttp"]}}
    assert body.boot_target(offered, NetworkBoot.PXE) == "UefiHttp"
    with pytest.raises(PowerProblem, match="does not offer Pxe for"):
        body.boot_target(offered, NetworkBoot.BIOS)


def test_tags_are_tried_as_they_came_then_strong_then_not() -> None:
    assert body.matches('W/"1"') == ['W/"1"', '"1"', ""]
    assert body.matches('"1"') == ['"1"', ""]
    assert body.matches("") == [""]


def test_a_message_is_one_short_line() -> None:
    said = {"error": {"@Message.ExtendedInfo": [{"Message": "a\nb\x1b[0m " + "x" * 900}]}}
    told = body.message(said)
    assert told.startswith("a b [0m xxx")
    assert (len(told), told.isprintable()) == (200, True)
    assert body.message({"error": {"message": "general"}}) == "general"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "Actions",
                        "#ComputerSystem.Reset",
                        "target",
                        "Boot",
                        "PowerState",
                        "Members",
                    ),
                    *(
                        "BootSourceOverrideTarget@Redfish.AllowableValues",
                        "@odata.id",
                        "Parameters",
                    ),
                    *(
                        "error",
                        "@Message.ExtendedInfo",
                        "Message",
                        "Messages",
                        "TaskState",
                        "Systems",
                    ),
                    *(
                        "ResetType@Redfish.AllowableValues",
                        "@Redfish.ActionInfo",
                        "Links",
                        "Sessions",
                    ),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["Actions", "Boot", "Members", "error"]), JSON, max_size=3))
def test_any_body_is_read_or_refused(said: dict[str, Any]) -> None:
    assert body.supply(said) in Supply
    body.members(said), body.sessions_of(said), body.reset_types(said), body.reset_info(said)
    body.reset_types_in(said), body.settings_of(said), body.message(said), body.task_runs(said)
    for read in (body.reset_target, lambda b: body.boot_target(b, NetworkBoot.PXE)):
        try:
            read(said)
        except PowerProblem:
            continue
