"""The boots that HTTP Boot began."""

from __future__ import annotations

from dataclasses import replace

from kairos_netboot.boot.decide import Decision, Outcome
from kairos_netboot.store.boots import Started
from kairos_netboot.values import Mac
from kairos_netboot.web import running
from kairos_netboot.web.running import Run, Running
from tests.unit.boot.sample import MAC, STRANGER, fleet, node

NODE = node(document_key="first")
STARTED = Started(node=NODE, decision=Decision(outcome=Outcome.INSTALL, reason="armed"))


def test_a_boot_is_known_until_the_next_one_begins() -> None:
    boots, run = Running(), Run(started=STARTED)
    boots.keep(MAC, run)
    assert boots.of(MAC, fleet(NODE)) is run
    assert boots.of(MAC, fleet(replace(NODE, document_key="second"))) is None
    assert boots.of(STRANGER, fleet(NODE)) is None


def test_a_machine_that_is_gone_has_none() -> None:
    boots = Running()
    boots.keep(MAC, Run(started=STARTED))
    assert boots.of(MAC, fleet()) is None


def test_only_so_many_are_remembered() -> None:
    boots = Running()
    boots.keep(MAC, Run(started=STARTED))
    for number in range(running._KEPT):
        boots.keep(Mac(f"02{number:010x}"), Run(started=STARTED))
    assert boots.of(MAC, fleet(NODE)) is None
