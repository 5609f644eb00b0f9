"""DHCPv6 on loopback: the codec, the decision and the sockets together."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network

import pytest

from kairos_netboot.boot.fleet import Fleet
from kairos_netboot.boot.respond6 import Asked6, Response6
from kairos_netboot.dhcp import v6
from kairos_netboot.dhcp.v6 import Kind, Message, Option6, Relayed
from kairos_netboot.dhcp.v6answer import server_duid
from kairos_netboot.dhcp.v6router import Advertisement, Prefix
from kairos_netboot.errors import CannotServe
from kairos_netboot.server import udp6
from kairos_netboot.server.dhcp6 import Dhcp6Settings, Sockets6, bind6, serve_dhcp6
from kairos_netboot.server.router6 import Routers
from tests.unit.boot.sample import MAC, fleet, node
from tests.unit.dhcp.v6sample import EDK2_PXE_SOLICIT, changed

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not udp6.is_available(), reason="this kernel has no IPv6 on loopback"),
]

OURS = server_duid("test")
# The cards of loopback have none; this one tells its MAC by its identifier.
DUID = bytes.fromhex("00030001") + bytes.fromhex(MAC.replace(":", ""))
SOLICIT = changed(EDK2_PXE_SOLICIT, option_1=DUID)
GRUB = "tftp://[::1]/52-54-00-00-00-01/grub-x64.efi"


@dataclass
class Server:
    """The shell on ports that the kernel chose; `heard` is what it told of."""

    sockets: Sockets6
    heard: list[tuple[Asked6, Response6]] = field(default_factory=list)

    async def ask(self, data: bytes, *, again: bool = False) -> bytes | None:
        """The answer to one datagram, on 547 or on 4011; None for silence."""
        port = (self.sockets.pxe if again else self.sockets.dhcp).getsockname()[1]
        loop = asyncio.get_running_loop()
        with closing(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as client:
            client.setblocking(False)
            client.connect(("::1", port))
            await loop.sock_sendall(client, data)
            try:
                return await asyncio.wait_for(loop.sock_recv(client, 4096), 0.5)
            except TimeoutError:
                return None

    async def message(self, request: Message, *, again: bool = False) -> Message | None:
        data = await self.ask(v6.encode(request), again=again)
        found = v6.decode(data) if data else None
        assert not isinstance(found, Relayed)
        return found


def serving(
    talk: Callable[[Server], Coroutine[None, None, None]],
    of: Fleet | None = None,
    interfaces: frozenset[str] = frozenset(),
) -> Server:
    settings = Dhcp6Settings(
        loaders={"grub-x64.efi"}, http_port=8080, duid=OURS, interfaces=interfaces
    )

    async def run(server: Server) -> None:
        work = serve_dhcp6(
            server.sockets,
            settings,
            lambda: of or fleet(node()),
            lambda asked, response: server.heard.append((asked, response)),
        )
        task = asyncio.create_task(work)  # cancelled below
        try:
            await talk(server)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    with bind6("::", dhcp_port=0, pxe_port=0) as sockets:
        server = Server(sockets)
        asyncio.run(run(server))
    return server


def test_a_solicit_is_answered_with_the_boot_file_and_told_of() -> None:
    async def talk(server: Server) -> None:
        reply = await server.message(SOLICIT)
        assert reply is not None
        assert (reply.kind, reply.xid) == (Kind.ADVERTISE, SOLICIT.xid)
        assert reply.first(Option6.BOOT_FILE_URL) == GRUB.encode()

    server = serving(talk)
    [(asked, response)] = server.heard
    assert (asked.interface, asked.server) == ("lo", IPv6Address("::1"))
    assert response.boot_file == GRUB


def test_a_second_request_is_known_by_the_identifier_of_the_first() -> None:
    # As EDK2 does it: the first request tells its card by the address it comes from, here by a
    # relay, the second comes from a leased address.
    duid = bytes.fromhex("0004") + bytes(16)
    first = changed(EDK2_PXE_SOLICIT, option_1=duid)
    second = changed(EDK2_PXE_SOLICIT, kind=Kind.REQUEST, option_1=duid, option_2=OURS)
    told = bytes.fromhex("0001") + bytes.fromhex(MAC.replace(":", ""))
    envelope = Relayed(
        kind=Kind.RELAY_FORWARD,
        hops=0,
        link=IPv6Address("2001:db8::1"),
        peer=IPv6Address("fe80::1"),
        options=((79, told), (9, v6.encode(first))),
    )

    async def talk(server: Server) -> None:
        assert await server.message(second, again=True) is None
        await server.ask(v6.encode(envelope))  # answered to port 547, where nobody is
        reply = await server.message(second, again=True)
        assert reply is not None
        assert reply.first(Option6.BOOT_FILE_URL) == GRUB.encode()

    serving(talk)


def test_a_machine_that_nobody_named_is_told_of_and_hears_nothing() -> None:
    async def talk(server: Server) -> None:
        assert await server.message(SOLICIT) is None

    server = serving(talk, Fleet())
    [(asked, response)] = server.heard
    assert asked.client is not None
    assert asked.client.mac == MAC
    assert response.reason.startswith("nobody named")


def test_nothing_that_comes_in_ends_the_server() -> None:
    async def talk(server: Server) -> None:
        for data in (
            b"",
            b"\1",
            b"\1\2\3\4\0",
            bytes(34),
            bytes((12,)) + bytes(33),
            os.urandom(90),
        ):
            assert await server.ask(data) is None
        assert await server.message(SOLICIT) is not None

    serving(talk)


def test_an_interface_that_was_not_named_is_not_answered() -> None:
    async def talk(server: Server) -> None:
        assert await server.message(SOLICIT) is None

    assert serving(talk, interfaces=frozenset({"eth7"})).heard == []


def test_a_port_that_is_taken_is_named() -> None:
    with closing(udp6.bind("::1", 0, option="--dhcp6-port")) as first:
        port = first.getsockname()[1]
        with pytest.raises(CannotServe, match=f"UDP port {port} on ::1 is taken by .*--dhcp6-port"):
            udp6.bind("::1", port, option="--dhcp6-port")


def test_an_ipv4_socket_may_have_the_same_port() -> None:
    with (
        closing(udp6.bind("::", 0, option="--port")) as sock,
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other,
    ):
        other.bind(("0.0.0.0", sock.getsockname()[1]))


def test_the_servers_group_is_joined_once_on_each_interface() -> None:
    with closing(udp6.bind("::", 0, option="--port")) as sock:
        joined = udp6.join(sock)
        assert socket.if_nametoindex("lo") in joined
        assert udp6.join(sock) == []
        assert udp6.join(sock, frozenset({"eth7"})) == []


def test_loopback_has_no_address_for_others() -> None:
    assert udp6.own_address(socket.if_nametoindex("lo")) is None


def test_this_host_has_a_name_of_its_own() -> None:
    assert udp6.own_seed() == udp6.own_seed() != ""


PREFIX = Prefix(network=IPv6Network("fd00:77::/64"), preferred=600, valid=600)
OPEN, MANAGED = Advertisement(managed=False, prefixes=(PREFIX,)), Advertisement(managed=True)


def test_where_no_router_was_heard_no_address_is_lent() -> None:
    assert Routers().lendable(2, 0.0) is None


def test_a_prefix_without_dhcpv6_is_lent_from_until_its_router_is_silent_for_an_hour() -> None:
    routers = Routers()
    routers.take(2, "fe80::1", OPEN, 100.0)
    assert routers.lendable(2, 3699.0) == PREFIX
    assert routers.lendable(2, 3700.0) is None
    assert routers.lendable(3, 100.0) is None
    assert routers.networks(2, 100.0) == (PREFIX.network,)


def test_one_router_that_speaks_of_dhcpv6_is_enough_to_lend_nothing() -> None:
    routers = Routers()
    routers.take(2, "fe80::1", OPEN, 0.0)
    routers.take(2, "fe80::2", MANAGED, 0.0)
    assert routers.lendable(2, 1.0) is None


def test_a_routers_last_word_counts() -> None:
    routers = Routers()
    routers.take(2, "fe80::1", MANAGED, 0.0)
    routers.take(2, "fe80::1", OPEN, 1.0)
    assert routers.lendable(2, 2.0) == PREFIX
