"""The composition root: settings in, every socket bound, root dropped, then one TaskGroup."""

from __future__ import annotations

import asyncio
import contextlib
import encodings
import importlib
import os
import pkgutil
import pwd
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from .boot.script import Scripts
from .boot.urls import DISK_STARTER
from .config.resources import load_loaders, load_recipes, load_scripts, make_disk_starter
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
    there = [name for _, name in socket.if_nameindex()]
    for name in settings.interfaces.difference(there):
        raise CannotServe(
            f"--interface {name}: there is none of that name, only {', '.join(there)}"
        )
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


def load_codecs() -> None:
    """Import every codec now: Python loads them when first used, and the user we become may not be
    able to read an interpreter that lies in root's home (pyenv, pipx)."""
    for module in pkgutil.iter_modules(encodings.__path__, "encodings."):
        with contextlib.suppress(ImportError):  # two are Windows' own
            importlib.import_module(module.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What comes with the program or the system, in memory before root is given away."""

    recipes: Recipes
    scripts: Scripts
    by_tftp: Mapping[str, bytes]
    by_http: Mapping[str, bytes]


def load_shipped(settings: ServeSettings, say: Callable[[str], None]) -> Shipped:
    """Raises CannotServe for a boot loader that is missing; does without the disk starter."""
    recipes = load_recipes()
    starter = make_disk_starter()
    if starter is None:
        say(
            "note: no grub-mkimage for x86_64-efi, so installed UEFI machines leave by iPXE's "
            "exit, which can take minutes: install grub-common and grub-efi-amd64-bin"
        )
    return Shipped(
        recipes=recipes,
        scripts=load_scripts(),
        by_tftp=load_loaders(recipes.loaders, settings.loaders) if settings.dhcp else {},
        by_http={DISK_STARTER: starter} if starter else {},
    )


def run(settings: ServeSettings, state: Path, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `say` gets the lines a person should see at the start."""
    shipped = load_shipped(settings, say)
    with bound(settings) as sockets:
        store = Store(state, settings.user)
        try:
            load_codecs()
            drop_root(store.owner)
            for line in sockets.lines():
                say(line)
            if settings.dhcp and settings.listen != "0.0.0.0":
                say("note: DHCP broadcasts reach 0.0.0.0 only: to limit them, use --interface")
            asyncio.run(_serve(settings, sockets, store, shipped, say))
        finally:
            store.close()


async def _serve(
    settings: ServeSettings,
    sockets: Sockets,
    store: Store,
    shipped: Shipped,
    say: Callable[[str], None],
) -> None:
    index = Index(store)
    await index.load()
    app = make_app(index, store.blobs, shipped.scripts, shipped.by_http)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    await web.SockSite(runner, sockets.http).start()
    stop = _stop_on_signal()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_until(stop, runner))
            group.create_task(index.run())
            for work in _udp_services(settings, sockets, shipped, index):
                group.create_task(work)
            say(f"ready: {len(index.fleet.nodes)} machines known, state in {store.directory}")
    except* _Stopped:
        say("stopped")
    finally:
        await runner.cleanup()


def _udp_services(
    settings: ServeSettings, sockets: Sockets, shipped: Shipped, index: Index
) -> Iterator[Coroutine[None, None, None]]:
    journal = Journal(index)
    dhcp = DhcpSettings(
        recipes=shipped.recipes,
        http_port=sockets.http.getsockname()[1],
        advertise=settings.advertise,
        interfaces=settings.interfaces,
    )
    for sock, service in ((sockets.dhcp, Service.PROXY), (sockets.pxe, Service.BOOT_SERVER)):
        if sock is not None:
            yield serve_dhcp(sock, service, dhcp, lambda: index.fleet, journal.heard)
    if sockets.tftp is not None:
        yield serve_tftp(sockets.tftp, _tftp_tree(shipped.by_tftp), journal.transferred)


class _Stopped(Exception):
    """Ends the TaskGroup, and with it everything."""


def _stop_on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _until(stop: asyncio.Event, runner: web.AppRunner) -> None:
    """HTTP ends first: a report under way is still written before the index closes."""
    await stop.wait()
    await runner.cleanup()
    raise _Stopped


def _tftp_tree(loaders: Mapping[str, bytes]) -> Callable[[str], bytes | None]:
    """Each loader by its name, alone or behind the MAC of the machine that was sent to it."""
    return lambda name: loaders.get(name.rpartition("/")[2])
