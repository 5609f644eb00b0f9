"""Where boots begin: the one place that hands out an installer, whoever asks and in which language.

The brake and the count are on the disk before a machine gets anything to start.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from ..boot.actions import Action
from ..boot.decide import Decision, Outcome, decide
from ..boot.fleet import Fleet, Node
from ..boot.lifecycle import Kind
from ..boot.plan import BootPlan, make_plan
from ..boot.tokens import BootTokens
from ..boot.urls import Urls
from ..cloudconfig.for_node import document_for
from ..errors import NetbootError, UnknownName
from ..values import Mac, Stage
from .index import Index

log = logging.getLogger(__name__)

# Boot loaders other than iPXE read their configuration more than once: for its size, in pieces,
# and again after a lost packet. Within this time that is one boot.
_SAME_BOOT_SECONDS = 30.0
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """`plan` is None where the machine is sent to its disk."""

    node: Node
    decision: Decision
    plan: BootPlan | None = None


class Boots:
    """`clock`: seconds that only grow."""

    def __init__(self, index: Index, clock: Callable[[], float] = time.monotonic) -> None:
        self._index, self._clock = index, clock
        self._recent: OrderedDict[tuple[Mac, Stage, str], tuple[float, Started]] = OrderedDict()
        self._locks: WeakValueDictionary[Mac, asyncio.Lock] = WeakValueDictionary()

    def look(self, mac: Mac, chosen: Action | None = None) -> Decision:
        """What `start` would go by; nothing is started. The firmware is the one DHCP heard last:
        a file's name does not say it."""
        return _decide(self._index.fleet, mac, chosen)

    async def start(
        self,
        mac: Mac,
        urls: Urls,
        loader: Stage,
        *,
        once: bool = False,
        chosen: Action | None = None,
    ) -> Started:
        """Begin a boot, or send to the disk. A repeat is in the boot before, unless what asks does
        so `once`. `chosen`: of the node's menu. Raises UnknownName where the machine gets
        nothing, and NetbootError, told on the timeline, where its plan or document cannot be made.
        """
        async with self._locks.setdefault(mac, asyncio.Lock()):
            known = None if once else self._repeated(mac, urls, loader)
            return known or await self._start(mac, urls, loader, chosen)

    def _repeated(self, mac: Mac, urls: Urls, loader: Stage) -> Started | None:
        """The boot that this request belongs to."""
        recent = self._recent.get((mac, loader, urls.base))
        if recent is None:
            return None
        at, started = recent
        if self._clock() - at > _SAME_BOOT_SECONDS:
            return None
        node = self._index.fleet.by_mac.get(mac)
        if node is None or not node.opens_document or node.order is not None:
            return None
        return started if node.document_key == started.node.document_key else None

    async def _start(self, mac: Mac, urls: Urls, loader: Stage, chosen: Action | None) -> Started:
        decision = self.look(mac, chosen)
        if decision.node is None or decision.outcome is Outcome.NOTHING:
            raise UnknownName(f"no boot script for {mac}: {decision.reason}")
        if not decision.loads:
            return await self._without_plan(decision, decision.node)
        try:
            started = await self._load(mac, urls, loader, decision, decision.node)
        except NetbootError as error:
            self._index.note(decision.node, Kind.REFUSED, f"no boot script: {error}")
            raise
        if started.plan is not None:
            self._recent[mac, loader, urls.base] = self._clock(), started
            while len(self._recent) > _REMEMBERED:
                self._recent.popitem(last=False)
        return started

    async def _load(
        self, mac: Mac, urls: Urls, loader: Stage, decision: Decision, node: Node
    ) -> Started:
        index = self._index
        index.reached_at(urls.base)
        tokens = BootTokens.from_random(secrets.token_bytes(16))
        plan = make_plan(decision, mac, urls, tokens, loader)
        # Raises before anything is started.
        document_for(index.fleet, node, urls, tokens.report, plan.action)
        said = _said(plan)
        assert decision.image is not None  # make_plan has looked
        begun = await index.begin_boot(node, tokens, said, decision.image, plan.action)
        if begun is None:
            again = self.look(mac, plan.action)
            if again.loads and again.node:  # of another image, since a moment
                return await self._load(mac, urls, loader, again, again.node)
            return await self._without_plan(again, node)
        log.info("%s: %s", node.name, said)
        return Started(node=begun, decision=decision, plan=plan)

    async def _without_plan(self, decision: Decision, node: Node) -> Started:
        """Nothing of ours is started; an order to boot its disk, or to choose, is carried out."""
        if decision.brake:
            self._index.brake(node, decision.reason)
            return Started(node=node, decision=decision)
        said = f"boot script: {decision.reason}"
        if decision.outcome is Outcome.DISK:
            said = f"boot script: leave for the disk ({decision.exit})"
        kind = Kind.WAITING if decision.outcome is Outcome.WAIT else Kind.LEFT_ALONE
        self._index.note(node, kind, said)
        if node.order is not None and decision.outcome in (Outcome.DISK, Outcome.MENU):
            node = await self._index.order_done(node)
        return Started(node=node, decision=decision)


def _said(plan: BootPlan) -> str:
    if plan.action is Action.INSTALL:
        return (
            f"boot script: installs '{plan.image}', start {plan.boot} of at most {plan.max_boots}"
        )
    return f"boot script: {plan.action} with '{plan.image}'"


def _decide(fleet: Fleet, mac: Mac, chosen: Action | None) -> Decision:
    node = fleet.by_mac.get(mac)
    firmware, arch = (node.firmware, node.arch) if node else (None, None)
    return decide(fleet, mac, firmware, arch, chosen=chosen)
