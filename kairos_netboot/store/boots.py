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
from typing import TypeAlias
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
    """`plan` is None where no kernel of ours is started; `is_ordered`: that was a person's order,
    which is over by this."""

    node: Node
    decision: Decision
    plan: BootPlan | None = None
    is_ordered: bool = False


# Who asks, by what, where, and what was chosen.
_Asked: TypeAlias = tuple[Mac, Stage, str, Action | None]
# They show no menu of ours.
_WITHOUT_MENU = (Stage.UBOOT, Stage.RASPBERRY)


class Boots:
    """`clock`: seconds that only grow."""

    def __init__(self, index: Index, clock: Callable[[], float] = time.monotonic) -> None:
        self._index, self._clock = index, clock
        self._recent: OrderedDict[_Asked, tuple[float, Started]] = OrderedDict()
        self._waiting: dict[Mac, str] = {}  # what each machine that waits was told last
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
            asked = (mac, loader, urls.base, chosen)
            known = None if once else self._repeated(asked)
            if known is not None:
                return known
            started = await self._start(mac, urls, loader, chosen)
            if started.plan is not None or started.is_ordered:
                self._remember(asked, started)
            return started

    def _remember(self, asked: _Asked, started: Started) -> None:
        self._recent[asked] = self._clock(), started
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    def _repeated(self, asked: _Asked) -> Started | None:
        """The boot that this request belongs to."""
        recent = self._recent.get(asked)
        if recent is None:
            return None
        at, started = recent
        if self._clock() - at > _SAME_BOOT_SECONDS:
            return None
        node = self._index.fleet.by_mac.get(asked[0])
        if node is None or _has_news(node):
            return None
        if started.plan is not None and not node.opens_document:
            return None
        return started if node.document_key == started.node.document_key else None

    async def _start(self, mac: Mac, urls: Urls, loader: Stage, chosen: Action | None) -> Started:
        decision = self.look(mac, chosen)
        if decision.outcome is Outcome.INVENTORY and decision.node is None:
            await self._index.met(mac)
            decision = self.look(mac, chosen)
        if decision.outcome is Outcome.MENU and loader in _WITHOUT_MENU:
            decision = self.look(mac, decision.menu.default)
        if decision.node is None or decision.outcome is Outcome.NOTHING:
            raise UnknownName(f"no boot script for {mac}: {decision.reason}")
        if not decision.loads:
            return await self._without_plan(mac, decision, decision.node)
        self._waiting.pop(mac, None)
        try:
            return await self._load(mac, urls, loader, decision, decision.node)
        except NetbootError as error:
            self._index.note(decision.node, Kind.REFUSED, f"no boot script: {error}")
            raise

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
            return await self._without_plan(mac, again, node)
        log.info("%s: %s", node.name, said)
        return Started(node=begun, decision=decision, plan=plan)

    async def _without_plan(self, mac: Mac, decision: Decision, node: Node) -> Started:
        """Nothing of ours is started; an order to boot its disk is carried out. One to choose
        stands until something is chosen."""
        if decision.brake:
            self._index.brake(node, decision.reason)
            return Started(node=node, decision=decision)
        if decision.outcome is Outcome.WAIT:
            self._tell_waiting(mac, decision, node)
            return Started(node=node, decision=decision)
        said = f"boot script: {decision.reason}"
        if decision.outcome is Outcome.DISK:
            said = f"boot script: leave for the disk ({decision.exit})"
        self._index.note(node, Kind.LEFT_ALONE, said)
        if decision.action is not Action.LOCAL or not _has_news(node):
            return Started(node=node, decision=decision)
        done = await self._index.order_done(node)
        return Started(node=done, decision=decision, is_ordered=True)

    def _tell_waiting(self, mac: Mac, decision: Decision, node: Node) -> None:
        """It asks every few seconds, for hours: told when the reason is another."""
        if self._waiting.get(mac) == decision.reason:
            return
        if len(self._waiting) >= _REMEMBERED:
            self._waiting.clear()
        self._waiting[mac] = decision.reason
        self._index.note(node, Kind.WAITING, f"boot script: {decision.reason}")


def _has_news(node: Node) -> bool:
    """Whether it has an order that its present boot is not the answer to."""
    return node.order is not None and node.order.action is not Action.WIPE


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
