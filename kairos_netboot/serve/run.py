"""One run of the server, from its settings to its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web

from ..boot.chains import rows_in_use
from ..boot.fleet import Fleet
from ..boot.network import DhcpMode
from ..boot.urls import DISK_STARTER
from ..config.grub import make_disk_starter
from ..config.resources import load_recipes, load_scripts
from ..config.settings import ServeSettings
from ..config.shelf import Shelf, look_on_shelf
from ..store.boots import Boots
from ..store.index import Index
from ..store.store import Store
from ..web.app import make_app
from ..web.phonehome import PHONES
from .others import refuse_rivals
from .root import drop_root, load_codecs
from .services import Services, Shipped
from .sockets import Sockets, bound

# How long running downloads may go on after a stop was asked for.
_SHUTDOWN_SECONDS = 2.0
Say = Callable[[str], None]


def run(settings: ServeSettings, state: Path, say: Say) -> None:
    """Serve until SIGINT or SIGTERM. `say` gets the lines a person should see at the start."""
    fleet = _known(state, settings.user)
    shipped = _load_shipped(settings, state, fleet, say)
    if settings.dhcp and fleet.dhcp.mode is DhcpMode.SERVER and not fleet.dhcp.despite_others:
        refuse_rivals(settings.interfaces, fleet.dhcp, say)
    with bound(settings, fleet.dhcp, say) as sockets:
        store = Store(state, settings.user)
        try:
            load_codecs()
            drop_root(store.owner)
            if settings.dhcp and settings.listen != "0.0.0.0":
                say("note: DHCP broadcasts reach 0.0.0.0 only: to limit them, use --interface")
            asyncio.run(_serve(settings, sockets, store, shipped, fleet.dhcp.mode, say))
        finally:
            store.close()


def _known(state: Path, user: str) -> Fleet:
    """The site, which says what is to be bound. A state that is not there yet is not made before
    everything else has come out well."""
    if not state.exists():
        return Fleet()
    store = Store(state, user)
    try:
        return store.fleet()
    finally:
        store.close()


def _load_shipped(settings: ServeSettings, state: Path, fleet: Fleet, say: Say) -> Shipped:
    """A boot loader that is missing is told, and does without."""
    shelf = look_on_shelf(settings.loaders, state)
    files = shelf.make()
    starter = make_disk_starter()
    if starter is not None:
        files[DISK_STARTER] = starter
    else:
        say(
            "note: no grub-mkimage for x86_64-efi, so installed UEFI machines leave by iPXE's "
            "exit, which can take minutes: install grub-common and grub-efi-amd64-bin"
        )
    for line in _missing(shelf, fleet) if settings.dhcp else ():
        say(line)
    return Shipped(recipes=load_recipes(), scripts=load_scripts(), loaders=files, names=shelf.names)


# What most racks have: without these their machines get no answer.
_USUAL = {"bios": "ipxe", "uefi-amd64": "ipxe"}


def _missing(shelf: Shelf, fleet: Fleet) -> list[str]:
    """A line for each first file that the site's machines may be sent to and that is not here."""
    tables: dict[str, Mapping[str, str]] = {"the usual machines": {**_USUAL, **fleet.boot}}
    tables |= {f"profile '{p.name}'": p.boot for p in fleet.profiles.values()}
    tables |= {n.name: n.spec.boot for n in fleet.nodes if n.spec}
    return [
        f"note: {file} is not here, for {min(who)}: {shelf.missing.get(file, _BRING)}"
        for file, who in rows_in_use(tables).items()
        if file not in shelf.names
    ]


_BRING = "put it into a folder that is given with --loaders"


async def _serve(
    settings: ServeSettings,
    sockets: Sockets,
    store: Store,
    shipped: Shipped,
    mode: DhcpMode,
    say: Say,
) -> None:
    index = Index(store)
    await index.load()
    boots = Boots(index)
    services = Services(
        settings=settings,
        sockets=sockets,
        shipped=shipped,
        store=store,
        index=index,
        boots=boots,
        mode=mode,
        leases=store.leases(),
    )
    app = make_app(index, store.blobs, shipped.scripts, shipped.loaders, boots)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    for sock in sockets.http:
        await web.SockSite(runner, sock).start()
    stop = _stop_on_signal()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_until(stop, runner))
            group.create_task(index.run())
            group.create_task(app[PHONES].run())
            for work in services.run():
                group.create_task(work)
            say(f"ready: {len(index.fleet.nodes)} machines known, state in {store.directory}")
    except* _Stopped:
        say("stopped")
    finally:
        await runner.cleanup()


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
