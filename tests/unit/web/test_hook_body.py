from __future__ import annotations

import json
from datetime import UTC, datetime

from kairos_netboot.boot.fleet import Event
from kairos_netboot.boot.hooks import Webhook
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.store.events import Change, Entry
from kairos_netboot.web.hook_body import body_of, is_wanted, signature
from tests.unit.boot.sample import MAC, node

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENTRY = Entry(id=7, event=Event(node=1, at=AT, kind=Kind.READY, text="it is up"))
UP = Change(before=State.INSTALLED, after=State.READY)
SAME = Change(before=State.READY, after=State.READY)


def test_the_body_says_what_happened_to_whom() -> None:
    owner = node(State.READY, facts={"address": "192.0.2.7", "memory": "64 GB"})
    assert json.loads(body_of(ENTRY, UP, owner)) == {
        "id": 7,
        "at": "2026-11-23T12:00:00+00:00",
        "node": "alpha",
        "macs": [MAC],
        "profile": "server",
        "state": "ready",
        "before": "installed",
        "event": "ready",
        "text": "it is up",
        "facts": {"address": "192.0.2.7"},
    }


def test_the_state_is_the_one_that_the_event_left() -> None:
    assert json.loads(body_of(ENTRY, UP, node(State.ARMED)))["state"] == "ready"


def test_a_node_that_has_gone_is_told_by_its_number() -> None:
    assert json.loads(body_of(ENTRY, UP, None))["node"] == "#1"


def test_variables_do_not_leave() -> None:
    owner = node(facts={"secret-fact": "hunter2"})
    assert b"hunter2" not in body_of(ENTRY, UP, owner)


def test_without_a_list_a_hook_wants_changes_of_state() -> None:
    hook = Webhook(url="http://x/")
    assert is_wanted(hook, ENTRY, UP)
    assert not is_wanted(hook, ENTRY, SAME)


def test_with_a_list_a_hook_wants_those_kinds() -> None:
    assert is_wanted(Webhook(url="http://x/", kinds=("ready",)), ENTRY, SAME)
    assert not is_wanted(Webhook(url="http://x/", kinds=("file",)), ENTRY, UP)


def test_the_signature_is_the_usual_one() -> None:
    # RFC 4231, test case 2.
    assert signature("Jefe", b"what do ya want for nothing?") == (
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
