"""What agents send, as values."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.boot.fleetwork import Phase
from kairos_netboot.errors import InvalidValue
from kairos_netboot.web.phone_wire import (
    Registration,
    Status,
    Told,
    read_message,
    read_registration,
)

HEARTBEAT = {
    "agentVersion": "v2.31.4",
    "osRelease": {"KAIROS_VERSION": "v4.2.0", "NAME": "Debian", "MEM_TOTAL": "16 GB"},
    "labels": {"node": "alpha"},
    "addresses": [
        {"type": "InternalIP", "address": "192.0.2.7"},
        {"type": "InternalIP", "address": "2001:db8::7"},
        {"type": "Hostname", "address": "alpha"},
    ],
    "bootState": "active",
}


def message(kind: str, data: object) -> str:
    return json.dumps({"type": kind, "data": data})


def heartbeat(**changes: object) -> Told:
    told = read_message(message("heartbeat", {**HEARTBEAT, **changes}))
    assert isinstance(told, Told)
    return told


def status(**changes: object) -> Status:
    told = read_message(message("command_status", {"id": "a1", "phase": "Running", **changes}))
    assert isinstance(told, Status)
    return told


def test_a_heartbeat_tells_how_the_machine_is() -> None:
    assert heartbeat() == Told(
        boot_state="active",
        version="v4.2.0",
        agent_version="v2.31.4",
        addresses=("192.0.2.7", "2001:db8::7"),
    )


def test_its_facts_are_those_that_it_told() -> None:
    assert heartbeat().facts == {
        "boot-state": "active",
        "version": "v4.2.0",
        "addresses": "192.0.2.7,2001:db8::7",
    }
    assert Told().facts == {}


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        *((s, s) for s in ("active", "passive", "recovery", "autoreset", "livecd", "unknown")),
        ("ACTIVE", "unknown"),  # whatever is not sure to be active is not
        ("active_boot", "unknown"),
        ("x" * 5000, "unknown"),
        ("", ""),
        (None, ""),
        (["active"], ""),
    ],
)
def test_boot_states_are_a_closed_set(state: object, kept: str) -> None:
    assert heartbeat(bootState=state).boot_state == kept


def test_an_older_agent_without_boot_state_and_addresses_is_heard() -> None:
    told = read_message(message("heartbeat", {"agentVersion": "v2.28.0"}))
    assert told == Told(agent_version="v2.28.0")


@pytest.mark.parametrize(
    "addresses",
    [
        *(None, "192.0.2.7", {"address": "192.0.2.7"}, [7], [None], [["192.0.2.7"]]),
        *([{"address": "127.0.0.1"}], [{"address": "::1"}], [{"address": 7}], [{}]),
    ],
)
def test_what_is_no_address_of_the_machine_is_left_out(addresses: object) -> None:
    assert heartbeat(addresses=addresses).addresses == ()


def test_addresses_are_bounded() -> None:
    many = [{"address": f"10.0.{n // 256}.{n % 256}"} for n in range(5000)]
    assert len(heartbeat(addresses=many).addresses) == 32


def test_texts_are_bounded_and_printable() -> None:
    told = heartbeat(agentVersion="v1\x1b[31m\n" + "y" * 9000)
    assert told.agent_version.isprintable()
    assert len(told.agent_version) <= 256


@pytest.mark.parametrize("phase", ["Running", "Completed", "Failed"])
def test_a_status_has_one_of_three_phases(phase: str) -> None:
    assert status(phase=phase, result="ok") == Status(id="a1", phase=Phase(phase), result="ok")


@pytest.mark.parametrize("phase", ["Pending", "Sent", "running", "", None, 1])
def test_phases_that_only_we_give_are_refused(phase: object) -> None:
    with pytest.raises(InvalidValue, match="is no phase of a command"):
        status(phase=phase)


def test_of_a_long_result_the_end_is_kept() -> None:
    told = status(phase="Completed", result="x" * 100_000 + "\nthe end\x07\n")
    assert len(told.result) <= 4000
    assert told.result.endswith("\nthe end")


@pytest.mark.parametrize("result", [None, 7, ["a"], {}])
def test_a_result_that_is_no_text_is_none(result: object) -> None:
    assert status(result=result).result == ""


def test_half_of_a_surrogate_pair_is_no_letter() -> None:
    data = '{"id": "a\\ud800", "phase": "Failed", "result": "\\ud800x"}'
    told = read_message(f'{{"type": "command_status", "data": {data}}}')
    assert isinstance(told, Status)
    assert (told.id + told.result).encode() == b"ax"


def test_a_message_of_another_type_is_passed_over() -> None:
    assert read_message(message("metrics", {"load": 1})) is None
    assert read_message('{"data": 1}') is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "7", "null", '"heartbeat"', "[" * 100_000, "9" * 5000),
        '{"type": "heartbeat"}',
        '{"type": "heartbeat", "data": []}',
        '{"type": "command_status", "data": "Running"}',
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        read_message(text)


def test_a_registration() -> None:
    body = {**HEARTBEAT, "machineID": "m1", "hostname": "alpha", "registrationToken": "t"}
    read = read_registration(json.dumps(body).encode())
    told = Told(
        boot_state="active",
        version="v4.2.0",
        agent_version="v2.31.4",
        addresses=("192.0.2.7", "2001:db8::7"),
    )
    assert read == Registration(token="t", machine_id="m1", hostname="alpha", told=told)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"\xff\xfe", b"null", b"[]", b"{}", b'{"machineID": "m"}'),
        b'{"registrationToken": "t"}',
        b'{"machineID": 1, "registrationToken": "t"}',
        b'{"machineID": "m", "registrationToken": ["t"]}',
        b'{"machineID": "\\u0000", "registrationToken": "t"}',
    ],
)
def test_a_registration_needs_a_token_and_a_machine(body: bytes) -> None:
    with pytest.raises(InvalidValue):
        read_registration(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b'{"type": "heartbeat", "data": {"osRelease": 7, "addresses": [{"address": "\\ud800"}]}}')
@example(b'{"type": ["heartbeat"], "data": null}')
def test_whatever_comes_is_a_value_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidValue):
        read_registration(body)
    with contextlib.suppress(InvalidValue):
        read_message(body.decode(errors="replace"))


@given(JSON)
def test_whatever_a_heartbeat_holds_its_facts_can_be_stored(data: object) -> None:
    with contextlib.suppress(InvalidValue):
        told = read_message(message("heartbeat", data))
        assert isinstance(told, Told)
        for text in told.facts.values():
            assert text.encode()
