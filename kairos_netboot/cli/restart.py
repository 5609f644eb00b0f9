"""A machine's switch as commands use it; `nodes reinstall --now`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import TypeAlias

from ..boot.fleet import Event, Fleet, Node
from ..boot.lifecycle import Kind
from ..boot.power import BROADCAST, Power, PowerKind
from ..boot.site import Medium
from ..errors import NetbootError, PowerProblem
from ..power.open import Target, open_switch
from ..power.switch import NetworkBoot, Switch
from ..server.addresses import read_addresses
from ..store.logins import read_login
from ..store.store import Store
from ..values import Firmware
from .app import say

Act: TypeAlias = Callable[[Switch], Awaitable[str]]


def network_boot(node: Node, fleet: Fleet) -> NetworkBoot:
    """How its firmware gets what its profile boots."""
    profile = fleet.profile_of(node)
    image = fleet.images.get(profile.image) if profile else None
    if image is not None and isinstance(image.files, Medium):
        return NetworkBoot.HTTP
    return NetworkBoot.BIOS if node.firmware is Firmware.BIOS else NetworkBoot.PXE


def write(store: Store, node: Node, words: str) -> None:
    event = Event(node=node.id, at=datetime.now(UTC), kind=Kind.POWER, text=f"power: {words}")
    store.record([(event, None)])


async def run(target: Target, act: Act) -> str:
    async with open_switch(target) as switch:
        return await act(switch)


def target_of(store: Store, node: Node) -> Target:
    """Raises PowerProblem for a node without `power`, and as read_login does."""
    power = node.spec.power if node.spec else None
    if power is None:
        raise PowerProblem("has no `power` in the site file, which says how it is switched")
    login = read_login(store, power.login) if power.login else None
    return Target(power=power, login=login, macs=node.macs, broadcasts=_broadcasts(power))


def _broadcasts(power: Power) -> list[IPv4Address]:
    """Of the networks that this host is in: the limited broadcast leaves by one interface only."""
    if power.kind is not PowerKind.WAKE or power.address:
        return []
    networks = [own.network for _, own in read_addresses() if not own.is_loopback]
    found = [net.broadcast_address for net in networks if net.prefixlen < 31]
    return list(dict.fromkeys([*found, IPv4Address(BROADCAST)]))


@dataclass(frozen=True, slots=True)
class Restart:
    """Into the network, once: prepared before the node is armed, so that what cannot work at all
    arms nothing."""

    target: Target
    how: NetworkBoot

    async def act(self, switch: Switch) -> str:
        ordered = await switch.boot_from_network_once(self.how)
        return f"{ordered}; {await switch.cycle()}"


def prepare_restart(store: Store, name: str) -> Restart:
    """Raises NetbootError for a node whose machine we cannot restart."""
    fleet = store.fleet()
    node = fleet.named(name)
    target = target_of_named(store, node)
    if target.power.kind is PowerKind.WAKE:
        raise PowerProblem(
            f"{node.name} has wake-on-lan, which restarts nothing: leave --now out and restart it"
            " by hand"
        )
    return Restart(target, network_boot(node, fleet))


def target_of_named(store: Store, node: Node) -> Target:
    try:
        return target_of(store, node)
    except PowerProblem as error:
        raise PowerProblem(f"{node.name} {error}") from None


def restart(store: Store, node: Node, prepared: Restart) -> None:
    """Raises PowerProblem; the node stays as it is."""
    try:
        words = asyncio.run(run(prepared.target, prepared.act))
    except NetbootError as error:
        write(store, node, str(error))
        raise PowerProblem(
            f"{node.name} is {node.state}, but was not restarted: {error}. It installs when it next"
            " boots from the network"
        ) from None
    write(store, node, words)
    say(f"{node.name}: {words}")
