"""Who answers a DHCP request: the proxy, the DHCP server, or a proxy that lends an address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass, replace

from ..boot.advice import needs_our_lease
from ..boot.fleet import Fleet
from ..boot.network import DhcpMode
from ..boot.respond import Asked, Boot, Response, boot_for, recipe_for, respond
from ..boot.select import may_name
from ..dhcp.answer import Reply, Service, with_boot
from ..dhcp.packet import MessageType
from ..dhcp.recipe import Recipes
from ..server.borrower import Borrower
from ..server.journal import facts_heard
from ..server.lessor import Lessor
from ..values import Mac

# Kea offers to the client's card alone, even where it asks for a broadcast.
_UNHEARD = (
    "the offer of the site's DHCP server was not heard, so its signed GRUB will find no files: "
    "reserve an `address` for it, or put HTTP Boot before PXE in its boot order"
)
_TELLS_BOOT = (MessageType.OFFER, MessageType.ACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """`borrower` is None where the site's offers cannot be heard. `met` records what a machine
    tells, at once."""

    fleet: Callable[[], Fleet]
    recipes: Recipes
    loaders: Container[str]
    lessor: Lessor
    borrower: Borrower | None
    mode: DhcpMode
    met: Callable[[Mac, Mapping[str, str]], Awaitable[None]]

    async def answer(self, asked: Asked) -> Response | None:
        fleet = await self._introduced(asked)
        if asked.service is Service.BOOT_SERVER:
            return respond(asked, fleet, self.recipes, self.loaders)
        if self.mode is DhcpMode.SERVER:
            return await self._leased(asked, fleet)
        return await self._lent(asked, fleet) or respond(asked, fleet, self.recipes, self.loaders)

    async def _introduced(self, asked: Asked) -> Fleet:
        """The fleet, with a machine that what it tells may name. This request alone waits for the
        disk: unanswered, OVMF asks again after 8 s, and other firmware may give up."""
        client, fleet = asked.client, self.fleet()
        if client is None:
            return fleet
        node = fleet.by_mac.get(client.mac)
        if may_name(fleet, node, asked.network):
            await self.met(client.mac, facts_heard(asked, client, node))
        return self.fleet()

    async def _leased(self, asked: Asked, fleet: Fleet) -> Response:
        """A lease for whoever asks, with the boot files of those that are to have any."""
        reply, reason = await self.lessor.answer(asked, fleet)
        if asked.client is None:
            return Response(decision=None, reason=reason, reply=reply)
        boot = boot_for(asked.client, fleet, asked.urls, self.loaders, asked.network)
        return self._with_boot(asked, boot, reply, fleet, reason)

    async def _lent(self, asked: Asked, fleet: Fleet) -> Response | None:
        """For a loader that asks nobody but the server of its lease; None for all others, and
        where nothing can be lent."""
        client = asked.client
        if client is None or asked.request.message_type not in (
            MessageType.DISCOVER,
            MessageType.REQUEST,
        ):
            return None
        boot = boot_for(client, fleet, asked.urls, self.loaders, asked.network)
        if not boot.file or boot.chain is None or not needs_our_lease(boot.chain):
            return None
        reply, reason = await self._loan(asked, boot, fleet)
        if reply is not None:
            return self._with_boot(asked, boot, reply, fleet, f"{boot.reason}; {reason}")
        response = respond(asked, fleet, self.recipes, self.loaders)
        return replace(response, remark=reason) if response is not None else None

    async def _loan(self, asked: Asked, boot: Boot, fleet: Fleet) -> tuple[Reply | None, str]:
        node = boot.decision.node
        if node is not None and node.spec is not None and node.spec.address is not None:
            return await self.lessor.answer(asked, fleet)
        if self.borrower is None:
            return None, _UNHEARD
        reply, is_led_here = await self.borrower.answer(asked)
        if reply is not None:
            return reply, "lent the address that the site's DHCP server offers"
        return None, "" if is_led_here else _UNHEARD

    def _with_boot(
        self, asked: Asked, boot: Boot, reply: Reply | None, fleet: Fleet, reason: str
    ) -> Response:
        client = asked.client
        assert client is not None
        if reply is None or not boot.file or reply.packet.message_type not in _TELLS_BOOT:
            said = f"{reason}; {boot.reason}"
            return Response(decision=boot.decision, reason=said, reply=reply)
        recipe = recipe_for(boot.decision, client, self.recipes, fleet.vendor_recipes)
        packet = with_boot(
            reply.packet, asked.request, boot_file=boot.file, recipe=recipe, server=asked.server
        )
        return Response(
            decision=boot.decision,
            reason=reason,
            reply=replace(reply, packet=packet),
            boot_file=boot.file,
        )
