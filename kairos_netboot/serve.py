"""The composition root: settings in, every socket bound, root dropped, then one TaskGroup."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from .config.resources import Loader, load_loaders, load_recipes, load_scripts
from .config.settings import ServeSettings
from .dhcp.answer import Service
from .dhcp.recipe import Recipes
from .errors import CannotServe
from .server import udp
from .server.dhcp import DhcpSettings, serve_dhcp
from .server.journal import Journal
from .server.tftp import serve_tftp
from .store.index import Index
from .store.store import Store
from .web.app import make_app

log = logging.getLogger(__name__)

# How long running downloads may go on after a stop was asked for.
_SHUTDOWN_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sockets:
    """Everything that is listened on; the DHCP and TFTP ones are missing with --no-dhcp."""

    http: socket.socket
    dhcp: socket.socket | None = None
    pxe: socket.socket | None = None
    tftp: socket.socket | None = None

    def lines(self) -> Iterator[str]:
        """`TFTP on 0.0.0.0:69`, for the start-up message."""
        for name, sock in (
            ("proxy-DHCP", self.dhcp),
            ("PXE boot server", self.pxe),
            ("TFTP", self.tftp),
            ("HTTP", self.http),
        ):
            if sock is not None:
                address, port = sock.getsockname()[:2]
                yield f"{name} on {address}:{port}"


@contextlib.contextmanager
def bound(settings: ServeSettings) -> Iterator[Sockets]:
    """Bind all or none; raises CannotServe naming the port and what to do."""
    with contextlib.ExitStack() as stack:

        def open_udp(port: int, option: str) -> socket.socket | None:
            if not settings.dhcp:
                return None
            return stack.enter_context(udp.bind(settings.listen, port, option=option))

        yield Sockets(
            dhcp=open_udp(settings.dhcp_port, "--dhcp-port"),
            pxe=open_udp(settings.pxe_port, "--pxe-port"),
            tftp=open_udp(settings.tftp_port, "--tftp-port"),
            http=stack.enter_context(_bind_http(settings.listen, settings.http_port)),
        )


def _bind_http(address: str, port: int) -> socket.socket:
    try:
        return socket.create_server((address, port), backlog=128)
    except OSError as error:
        raise udp.cannot_bind(error, address, port, "--http-port", protocol="TCP") from error


def drop_root(user: str) -> None:
    """Become `user` for good; nothing where we are not root. Raises CannotServe."""
    if os.geteuid() != 0:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise CannotServe(f"there is no user '{user}' to work as: name one with --user") from None
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def run(settings: ServeSettings, state: Path, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `say` gets the lines a person should see at the start."""
    recipes = load_recipes()
    loaders = load_loaders(recipes.loaders, settings.loaders) if settings.dhcp else {}
    with bound(settings) as sockets:
        store = Store(state, settings.user)
        try:
            drop_root(store.owner)
            for line in sockets.lines():
                say(line)
            asyncio.run(_serve(settings, sockets, store, recipes, loaders, say))
        finally:
            store.close()


async def _serve(
    settings: ServeSettings,
    sockets: Sockets,
    store: Store,
    recipes: Recipes,
    loaders: Mapping[str, Loader],
    say: Callable[[str], None],
) -> None:
    index = Index(store)
    await index.load()
    journal = Journal(index)
    runner = web.AppRunner(
        make_app(index, store.blobs, load_scripts()),
        access_log=None,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    await web.SockSite(runner, sockets.http).start()
    http_port = sockets.http.getsockname()[1]
    dhcp = DhcpSettings(
        recipes=recipes,
        http_port=http_port,
        advertise=settings.advertise,
        interfaces=settings.interfaces,
    )
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_until_signal(runner))
            group.create_task(index.run())
            for sock, service in (
                (sockets.dhcp, Service.PROXY),
                (sockets.pxe, Service.BOOT_SERVER),
            ):
                if sock is not None:
                    work = serve_dhcp(sock, service, dhcp, lambda: index.fleet, journal.heard)
                    group.create_task(work)
            if sockets.tftp is not None:
                files = _tftp_tree(loaders)
                group.create_task(serve_tftp(sockets.tftp, files, journal.transferred))
            say(f"ready: {len(index.fleet.nodes)} machines known, state in {store.directory}")
    except* _Stopped:
        say("stopped")
    finally:
        await runner.cleanup()


class _Stopped(Exception):
    """Ends the TaskGroup, and with it everything."""


async def _until_signal(runner: web.AppRunner) -> None:
    """HTTP ends first: a report under way is still written before the index closes."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()
    raise _Stopped


def _tftp_tree(loaders: Mapping[str, Loader]) -> Callable[[str], bytes | None]:
    """Each loader by its name, alone or behind the MAC of the machine that was sent to it."""

    def lookup(name: str) -> bytes | None:
        loader = loaders.get(name.rpartition("/")[2])
        return loader.data if loader else None

    return lookup
