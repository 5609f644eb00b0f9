"""The DHCP server without a socket, a disk or a clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.network import DhcpMode, DhcpOptions, DhcpSite, Subnet
from kairos_netboot.boot.respond import Asked
from kairos_netboot.boot.site import NodeSpec
from kairos_netboot.dhcp.answer import Reply, Service
from kairos_netboot.dhcp.leasebook import Hold, Lease
from kairos_netboot.dhcp.packet import MessageType, Packet
from kairos_netboot.errors import StoreProblem
from kairos_netboot.server.lessor import Keeper, Lessor
from kairos_netboot.values import Mac
from tests.unit.dhcp.lease_sample import CARD, NOW, OTHER, POOL, SERVER, address, lease, request

TYPES = MessageType
OPTIONS = DhcpOptions(routers=(address(12),), dns=(address(53),), lease_seconds=3600)
SITE = DhcpSite(
    mode=DhcpMode.SERVER,
    subnets=(Subnet(network=POOL.network, ranges=POOL.ranges, options=OPTIONS),),
)
FLEET = Fleet(dhcp=SITE)


def node(**changes: object) -> Node:
    macs = (Mac.from_bytes(CARD), Mac.from_bytes(OTHER))
    spec = NodeSpec(name="alpha.rack", macs=macs, profile="server")
    return Node(id=1, macs=macs, state=State.READY, spec=replace(spec, **changes))  # type: ignore[arg-type]


def asked(packet: Packet) -> Asked:
    return Asked(
        request=packet,
        client=None,
        service=Service.PROXY,
        source=("0.0.0.0", 68),
        server=SERVER,
        http_port=80,
        interface="eth0",
    )


class Place:
    """A server with a disk that may fail, and addresses that somebody uses."""

    def __init__(
        self,
        *leases: Lease,
        fleet: Fleet = FLEET,
        used: Sequence[int] = (),
        is_ours: Callable[[IPv4Address], bool] = lambda _: False,
    ) -> None:
        self.fleet, self.used = fleet, {address(last) for last in used}
        self.disk: dict[IPv4Address, Lease] = {}
        self.tried: list[tuple[IPv4Address, str, bytes]] = []
        self.full = False
        self.now = NOW
        self.pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)
        self.lessor = Lessor(
            leases,
            keep=self._keep,
            is_used=self._is_used,
            clock=lambda: self.now,
            is_ours=is_ours,
        )

    async def _keep(self, leases: Sequence[Lease]) -> None:
        if self.full:
            raise StoreProblem("the disk is full")
        self.disk |= {lease.address: lease for lease in leases}

    async def _is_used(self, tried: IPv4Address, interface: str, client: bytes) -> bool:
        self.tried.append((tried, interface, client))
        await self.pause()
        return tried in self.used

    async def send(self, packet: Packet) -> Reply | None:
        return (await self.lessor.answer(asked(packet), self.fleet))[0]

    async def reason(self, packet: Packet) -> str:
        return (await self.lessor.answer(asked(packet), self.fleet))[1]


def discover(card: bytes = CARD) -> Packet:
    return request(TYPES.DISCOVER, card=card)


def take(last: int, card: bytes = CARD) -> Packet:
    return request(TYPES.REQUEST, card=card, wants=address(last), chosen=SERVER)


def given(reply: Reply | None) -> IPv4Address:
    assert reply is not None
    return reply.packet.your_address


def test_a_lease_is_on_the_disk_before_it_is_acknowledged() -> None:
    async def scene() -> None:
        place = Place()
        assert given(await place.send(discover())) == address(10)
        assert place.disk == {}  # an offer is only remembered
        assert given(await place.send(take(10))) == address(10)
        assert place.disk == {address(10): lease(10, left=3600)}

    asyncio.run(scene())


def test_a_lease_that_cannot_be_written_is_not_given() -> None:
    async def scene() -> None:
        place = Place()
        place.full = True
        with pytest.raises(StoreProblem):
            await place.send(take(10))
        place.full = False
        assert given(await place.send(request(TYPES.DISCOVER, card=OTHER, wants=address(10)))) == (
            address(10)
        )

    asyncio.run(scene())


def test_a_renewal_that_cannot_be_written_leaves_the_lease_as_it_was() -> None:
    async def scene() -> None:
        place = Place(lease(10))
        place.full = True
        with pytest.raises(StoreProblem):
            await place.send(request(TYPES.REQUEST, has=address(10)))
        place.now += 1900  # by now it has ended
        offer = await place.send(request(TYPES.DISCOVER, card=OTHER, wants=address(10)))
        assert given(offer) == address(10)

    asyncio.run(scene())


def test_an_address_in_use_is_set_aside_and_another_one_offered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> None:
        place = Place(used=[10])
        assert given(await place.send(discover())) == address(11)
        assert place.tried == [(address(10), "eth0", CARD), (address(11), "eth0", CARD)]
        assert place.disk[address(10)].hold is Hold.DECLINED

    asyncio.run(scene())
    assert caplog.messages == ["192.0.2.10 is in use by somebody without a lease: set aside"]


def test_nothing_is_tried_where_the_site_does_not_want_it() -> None:
    async def scene() -> None:
        place = Place(used=[10], fleet=Fleet(dhcp=replace(SITE, check_address=False)))
        assert given(await place.send(discover())) == address(10)
        assert place.tried == []

    asyncio.run(scene())


def test_a_client_behind_a_relay_is_not_looked_for_on_our_own_network() -> None:
    async def scene() -> None:
        place = Place()
        await place.send(replace(discover(), relay=address(254)))
        assert place.tried == [(address(10), "", CARD)]

    asyncio.run(scene())


def test_while_one_waits_for_its_try_others_are_answered() -> None:
    async def scene() -> None:
        place, go = Place(lease(11, OTHER)), asyncio.Event()

        async def pause() -> None:
            await go.wait()

        place.pause = pause
        slow = asyncio.ensure_future(place.send(discover()))
        await asyncio.sleep(0)
        renewal = request(TYPES.REQUEST, card=OTHER, has=address(11))
        assert given(await place.send(renewal)) == address(11)
        go.set()
        assert given(await slow) == address(10)

    asyncio.run(scene())


def test_two_at_once_are_offered_an_address_each() -> None:
    async def scene() -> None:
        place = Place()
        offers = await asyncio.gather(place.send(discover()), place.send(discover(OTHER)))
        assert {given(offer) for offer in offers} == {address(10), address(11)}

    asyncio.run(scene())


def test_a_lease_that_was_given_during_a_try_stays() -> None:
    """A second DISCOVER of a hasty client does not overtake the first: both wait for one try, and
    what is leased then is not turned back into an offer."""

    async def scene() -> None:
        place, go = Place(), asyncio.Event()

        async def pause() -> None:
            await go.wait()

        place.pause = pause
        sends = [asyncio.ensure_future(place.send(discover())) for _ in range(2)]
        await asyncio.sleep(0.01)
        assert len(place.tried) == 1
        go.set()
        assert [given(offer) for offer in await asyncio.gather(*sends)] == [address(10)] * 2
        await place.send(take(10))
        place.now += 3599
        assert given(await place.send(request(TYPES.DISCOVER, card=OTHER, wants=address(10)))) == (
            address(11)
        )

    asyncio.run(scene())


def test_a_node_has_its_reserved_address_by_any_of_its_cards() -> None:
    async def scene() -> None:
        reserved = address(50)
        place = Place(lease(50), fleet=Fleet((node(address=reserved),), dhcp=SITE))
        assert given(await place.send(discover(OTHER))) == reserved
        place = Place(lease(50), fleet=place.fleet, used=[50])  # the first card is running
        assert given(await place.send(discover(OTHER))) == address(10)
        assert given(await place.send(request(TYPES.REQUEST, has=reserved))) == reserved
        assert place.disk[reserved] == lease(50, left=3600)

    asyncio.run(scene())


def test_a_reserved_address_is_nobody_elses() -> None:
    async def scene() -> None:
        stranger = bytes.fromhex("525400000009")
        place = Place(fleet=Fleet((node(address=address(10)),), dhcp=SITE))
        assert given(await place.send(discover(stranger))) == address(11)

    asyncio.run(scene())


def test_neither_a_router_nor_an_address_of_ours_is_given_away() -> None:
    async def scene() -> None:
        place = Place(is_ours=lambda a: a == address(10))
        assert given(await place.send(discover())) == address(11)
        reason = await place.reason(discover(OTHER))  # 12 is the router
        assert reason.startswith("no address is left in 192.0.2.0/24")

    asyncio.run(scene())


def test_an_address_of_ours_that_is_kept_for_a_node_is_not_given_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No try would find it: we do not answer ourselves."""

    async def scene() -> None:
        place = Place(fleet=Fleet((node(address=SERVER),), dhcp=SITE))
        for _ in range(2):
            assert given(await place.send(discover())) == address(10)

    asyncio.run(scene())
    assert caplog.messages == [
        "192.0.2.2, which is kept for alpha.rack, is this server's own address"
    ]


def test_a_server_that_advertises_another_address_serves_the_network_it_hears() -> None:
    async def scene() -> None:
        place = Place()
        far = replace(asked(discover()), server=IPv4Address("203.0.113.9"))
        assert (await place.lessor.answer(far, FLEET))[0] is None
        heard = replace(far, broadcast_on=SERVER)
        assert given((await place.lessor.answer(heard, FLEET))[0]) == address(10)
        assert place.tried == [(address(10), "eth0", CARD)]

    asyncio.run(scene())


def test_a_nodes_options_go_before_its_subnets() -> None:
    async def scene() -> None:
        own = DhcpOptions(dns=(address(99),), mtu=9000)
        place = Place(fleet=Fleet((node(dhcp=own),), dhcp=SITE))
        reply = await place.send(discover())
        assert reply is not None
        options = reply.packet.options
        assert (options[6], options[26]) == (address(99).packed, b"\x23\x28")
        assert options[3] == address(12).packed
        assert options[12] == b"alpha"

    asyncio.run(scene())


def test_a_network_that_the_site_file_does_not_name_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> None:
        place = Place()
        packet = replace(discover(), relay=IPv4Address("198.51.100.1"))
        for _ in range(3):
            assert await place.reason(packet) == (
                "198.51.100.1 is in none of the site's `dhcp.subnets`"
            )
        place.now += 600
        await place.send(packet)

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())
    assert len(caplog.messages) == 2


def test_a_full_range_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        place = Place(*(lease(last, OTHER) for last in (10, 11, 12)))
        for _ in range(3):
            assert await place.send(discover()) is None

    asyncio.run(scene())
    assert len(caplog.messages) == 1


def test_after_a_few_addresses_in_use_a_client_has_to_ask_again() -> None:
    async def scene() -> None:
        network = IPv4Network("192.0.2.0/24")
        wide = Subnet(network=network, ranges=((address(10), address(40)),))
        fleet = Fleet(dhcp=DhcpSite(subnets=(wide,)))
        place = Place(fleet=fleet, used=range(10, 14))
        assert "are all in use" in await place.reason(discover())
        assert given(await place.send(discover())) == address(14)

    asyncio.run(scene())


# The disk


def test_leases_that_come_during_a_write_are_written_together() -> None:
    async def scene() -> None:
        batches: list[list[Lease]] = []

        async def write(leases: Sequence[Lease]) -> None:
            batches.append(list(leases))
            await asyncio.sleep(0.001)

        keeper = Keeper(write)
        await asyncio.gather(*(keeper.keep([lease(last)]) for last in range(10, 20)))
        assert sum(map(len, batches)) == 10
        assert len(batches) <= 2

    asyncio.run(scene())


def test_all_of_a_batch_that_failed_are_told() -> None:
    async def scene() -> None:
        async def write(leases: Sequence[Lease]) -> None:
            await asyncio.sleep(0)
            raise StoreProblem("full")

        keeper = Keeper(write)
        sends = (keeper.keep([lease(last)]) for last in range(10, 20))
        results = await asyncio.gather(*sends, return_exceptions=True)
        assert all(isinstance(result, StoreProblem) for result in results)

    asyncio.run(scene())
