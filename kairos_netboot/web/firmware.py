"""What firmware and boot loaders fetch: loaders, scripts and configurations, boot files.

Every file of a machine is in the folder of its MAC: what a loader asks for beside itself is too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from ..boot.actions import Action, action_named
from ..boot.chains import MEDIUM
from ..boot.grub import Where, addressed
from ..boot.lifecycle import Kind
from ..boot.urls import BOOT_FILES
from ..errors import InvalidValue, UnknownName
from ..values import Arch, Digest, Firmware, Mac, Stage, printable
from .blobs import send_blob
from .keys import BLOBS, BOOTS, INDEX, LOADERS, SCRIPTS, urls_of
from .medium import MEDIUM_NAMES, begin_medium, rendered, send_medium, type_of

log = logging.getLogger(__name__)
routes = web.RouteTableDef()
Answer: TypeAlias = Callable[[web.Request, Mac], Awaitable[web.StreamResponse]]

# What was chosen of a machine's menu, by GRUB.
_OF_MENU = re.compile(r"grub-([a-z]+)\.cfg")
# shim puts a slash behind the folder it came from, and another before what it wants of it; this
# takes any number of them.
_SLASHES, _MORE_SLASHES = "{_:/*}", "{__:/*}"


@routes.get("/boot/{mac}/" + _SLASHES + "{name}")
async def first_file(request: web.Request) -> web.StreamResponse:
    """What a machine starts with. Fetching a script, a configuration or the medium begins a boot;
    `explain`, and a HEAD, only look."""
    mac, name = Mac(request.match_info["mac"]), request.match_info["name"]
    if chosen := _OF_MENU.fullmatch(name):
        return await _grub(request, mac, action_named(chosen[1]))
    return await _ANSWERS.get(name, _loader_of)(request, mac)


async def _script(request: web.Request, mac: Mac) -> web.StreamResponse:
    _only_get(request)
    _note_facts(request, mac)
    boots, scripts, urls = request.app[BOOTS], request.app[SCRIPTS], urls_of(request)
    chosen = action_named(request.query.get("choice"))
    # Over HTTP, iPXE asks once.
    started = await boots.start(mac, urls, Stage.IPXE, once=True, chosen=chosen)
    if started.plan is None:
        return _text(scripts.without_plan(started.decision, mac, urls))
    return _text(scripts.install(started.plan))


async def _grub(request: web.Request, mac: Mac, chosen: Action | None = None) -> web.StreamResponse:
    _only_get(request)
    started = await request.app[BOOTS].start(mac, urls_of(request), Stage.GRUB, chosen=chosen)
    return _text(rendered(request, mac, started, Where.HTTP))


async def _loader_of(request: web.Request, mac: Mac) -> web.StreamResponse:
    """A boot loader's file, or 404 at once: shim asks for several that nobody has to have."""
    name = request.match_info["name"]
    body = addressed(_loader(request, name), urls_of(request), mac)
    node = request.app[INDEX].fleet.by_mac.get(mac)
    if node and request.method == "GET":
        said = f"HTTP: fetched {name} ({len(body) / 1e3:.0f} kB)"
        request.app[INDEX].note(node, Kind.LOADER, said)
    return _file(name, body)


_ANSWERS: dict[str, Answer] = {
    "script.ipxe": _script,
    "autoexec.ipxe": _script,
    "grub.cfg": _grub,
    MEDIUM: send_medium,
}


@routes.get("/loaders/" + _SLASHES + "{name}")
async def loader(request: web.Request) -> web.Response:
    """A boot loader that a script chains to."""
    name = request.match_info["name"]
    return _file(name, addressed(_loader(request, name), urls_of(request)))


@routes.get("/start.ipxe", allow_head=False)
async def start(request: web.Request) -> web.Response:
    """For an iPXE that no DHCP answer of ours has reached: which machine it runs on, only it
    knows. The first card that is known here decides; there is no more than one script for all."""
    base, query = urls_of(request).base, "platform=${platform}&arch=${buildarch}"
    lines = ["#!ipxe"]
    for card in ("net0", "net1", "net2", "net3"):
        script = f"{base}/boot/${{{card}/mac:hexhyp}}/script.ipxe?{query}"
        lines.append(f"isset ${{{card}/mac}} && chain --replace {script} ||")
    lines += ["echo kairos-netboot: nobody named this machine, or it has nothing to boot"]
    return _text("\n".join([*lines, "exit 1", ""]))


@routes.get("/boot/{mac}/" + _SLASHES + "{digest}/" + _MORE_SLASHES + "{name}")
async def boot_file(request: web.Request) -> web.StreamResponse:
    """A boot file of the image; the MAC says on whose timeline the download is told."""
    index, name = request.app[INDEX], request.match_info["name"]
    mac, digest = Mac(request.match_info["mac"]), _digest(request.match_info["digest"])
    if name in MEDIUM_NAMES:
        await begin_medium(request, mac, digest)
    node = index.fleet.by_mac.get(mac)
    told = node if name in (*BOOT_FILES, *MEDIUM_NAMES) and request.method == "GET" else None
    try:
        path, headers = request.app[BLOBS].path(digest), {"Content-Type": type_of(name)}
        with index.sending(node):
            response = await send_blob(request, path, digest, headers)
    except FileNotFoundError:
        raise UnknownName(f"no blob {digest} here") from None
    except (ConnectionError, RuntimeError) as error:
        # Firmware that is reset in the middle of a download: asyncio tells it in several ways.
        log.info("%s broke off its download of %s: %s", request.remote, printable(name), error)
        if told:
            index.note(told, Kind.FILE, f"broke off its download of {name}")
        return web.Response(status=499)  # nobody is there to read it
    if told and response.status == 200:
        size = (response.content_length or 0) / 1e6
        index.note(told, Kind.FILE, f"fetched {name} ({size:.1f} MB)")
    return response


def _digest(hex_digits: str) -> Digest:
    try:
        return Digest(f"sha256:{hex_digits}")
    except InvalidValue:
        raise UnknownName(f"no blob sha256:{hex_digits[:64]} here") from None


def _loader(request: web.Request, name: str) -> bytes:
    if name not in request.app[LOADERS]:
        raise UnknownName(f"no boot loader {printable(name, 40)} here")
    return request.app[LOADERS][name]


def _only_get(request: web.Request) -> None:
    if request.method != "GET":
        raise web.HTTPMethodNotAllowed(request.method, ["GET"])


def _note_facts(request: web.Request, mac: Mac) -> None:
    """What an iPXE that came by no DHCP answer of ours says of its machine; one that nobody named
    is recorded."""
    index, facts = request.app[INDEX], dict[str, str]()
    match request.query.get("platform"):
        case "efi":
            facts["firmware"] = Firmware.UEFI
            known = {"x86_64": Arch.AMD64, "arm64": Arch.ARM64, "riscv64": Arch.RISCV64}
            if arch := known.get(request.query.get("arch", "")):
                facts["arch"] = arch
        case "pcbios":  # built for 32 bits always
            facts |= {"firmware": Firmware.BIOS, "arch": Arch.AMD64}
    if facts or mac not in index.fleet.by_mac:
        index.seen(mac, facts)


def _text(text: str) -> web.Response:
    return web.Response(text=text, headers={"Cache-Control": "no-store"})


def _file(name: str, body: bytes) -> web.Response:
    return web.Response(body=body, content_type=type_of(name))
