"""Who waits for the disk before it is answered: machines that what they tell may name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.network import DhcpMode
from kairos_netboot.boot.respond import Response
from kairos_netboot.boot.unknown import Unknown
from kairos_netboot.serve.answers import Answers
from kairos_netboot.values import Mac
from tests.unit.boot.sample import MAC, SPEC, STRANGER, fleet, node
from tests.unit.boot.test_respond import EVERYTHING, RECIPES, asked

NAMES_ALL = replace(fleet(node()), unknown=Unknown(others="server"))


class Met:
    """A fleet that names whoever is met."""

    def __init__(self, before: Fleet) -> None:
        self.fleet = before
        self.told: list[tuple[Mac, Mapping[str, str]]] = []

    async def met(self, mac: Mac, facts: Mapping[str, str]) -> None:
        self.told.append((mac, facts))
        spec = replace(SPEC, name="beta", macs=(mac,))
        beta = Node(id=2, macs=(mac,), state=node().state, spec=spec)
        self.fleet = self.fleet.with_node(beta)


def answered(met: Met, mac: Mac) -> Response:
    answers = Answers(
        fleet=lambda: met.fleet,
        recipes=RECIPES,
        loaders=EVERYTHING,
        lessor=cast(Any, None),
        borrower=None,
        mode=DhcpMode.PROXY,
        met=met.met,
    )
    response = asyncio.run(answers.answer(asked(mac=mac)))
    assert response is not None
    return response


def test_a_machine_that_is_named_by_its_first_request_is_answered_at_once() -> None:
    met = Met(NAMES_ALL)
    assert answered(met, STRANGER).reply is not None
    ((mac, facts),) = met.told
    assert (mac, facts["firmware"]) == (STRANGER, "uefi")


def test_a_machine_that_has_a_name_waits_for_nothing() -> None:
    met = Met(NAMES_ALL)
    assert answered(met, MAC).reply is not None
    assert met.told == []


def test_a_machine_that_nothing_could_name_waits_for_nothing() -> None:
    met = Met(fleet(node()))
    assert answered(met, STRANGER).reply is None
    assert met.told == []
