"""What machines that nobody named tell of themselves, by iPXE."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TypeAlias

from aiohttp import web

from ..boot.decide import Outcome
from ..boot.identity import is_uuid
from ..boot.lifecycle import Kind, State
from ..values import Arch, Firmware, Mac, printable
from .keys import BOOTS, INDEX, urls_of

log = logging.getLogger(__name__)
routes = web.RouteTableDef()

_LONGEST = 64
_TEXTS = ("manufacturer", "product", "serial", "asset")
_PLATFORMS = {"efi": Firmware.UEFI, "pcbios": Firmware.BIOS}
_ARCHES = {"x86_64": Arch.AMD64, "arm64": Arch.ARM64, "riscv64": Arch.RISCV64}
# Once in a boot is enough; whoever plays a machine must not fill the disk.
_SECONDS, _MOST = 20.0, 100
_REMEMBERED = 10_000
_Heard: TypeAlias = "OrderedDict[Mac, tuple[float, int]]"  # when each told last, and how often
_HEARD: web.AppKey[_Heard] = web.AppKey("heard", OrderedDict)
# What an adopted machine goes on with. All others go on with the script they came from.
_HAS_MORE = (Outcome.INSTALL, Outcome.LIVE, Outcome.WAIT, Outcome.MENU)


def told_by(query: Mapping[str, str]) -> dict[str, str]:
    """The facts of an inventory: those known here, fit for a terminal, bounded."""
    facts = {name: printable(query.get(name, ""), _LONGEST) for name in _TEXTS}
    uuid = query.get("uuid", "").lower()
    facts["uuid"] = uuid if is_uuid(uuid) else ""
    memory = query.get("memory", "")
    facts["memory"] = f"{memory} MiB" if memory.isascii() and memory.isdigit() else ""
    firmware, arch = _PLATFORMS.get(query.get("platform", "")), _ARCHES.get(query.get("arch", ""))
    if firmware is Firmware.BIOS:
        arch = Arch.AMD64  # iPXE for BIOS is built for 32 bits always
    facts |= {"firmware": firmware or "", "arch": arch or ""}
    return {name: str(text)[:_LONGEST] for name, text in facts.items() if text}


@routes.get("/inventory/{mac}", allow_head=False)
async def inventory(request: web.Request) -> web.Response:
    """Recorded when it is answered; the answer is a script for the machine to go on with."""
    index, mac = request.app[INDEX], Mac(request.match_info["mac"])
    if _is_new(request.app[_HEARD], mac):
        facts, before = told_by(request.query), index.fleet.by_mac.get(mac)
        if before is not None and before.spec is not None and before.state is not State.DISCOVERED:
            facts |= before.facts  # a named machine may complete what is known of it
        await index.met(mac, facts)
        if node := index.fleet.by_mac.get(mac):
            sentence = _sentence(facts)
            index.note(node, Kind.INVENTORY, sentence, sentence)
            log.info("%s: %s", node.name, sentence)
    return _go_on(request, mac)


def _is_new(heard: _Heard, mac: Mac) -> bool:
    now = time.monotonic()
    last, times = heard.pop(mac, (-_SECONDS, 0))
    is_new = now - last >= _SECONDS and times < _MOST
    heard[mac] = (now, times + 1) if is_new else (last, times)
    while len(heard) > _REMEMBERED:
        heard.popitem(last=False)
    return is_new


def _sentence(facts: Mapping[str, str]) -> str:
    told = [f"{name} {facts[name]}" for name in (*_TEXTS, "memory") if name in facts]
    return f"inventory: {', '.join(told) or 'its firmware tells nothing of itself'}"


def _go_on(request: web.Request, mac: Mac) -> web.Response:
    decision = request.app[BOOTS].look(mac)
    lines = ["#!ipxe"]
    if decision.outcome in _HAS_MORE:
        lines.append(f"chain --replace {urls_of(request).script(mac)}")
    text = "\n".join([*lines, ""])
    return web.Response(text=text, headers={"Cache-Control": "no-store"})


def add_inventory(app: web.Application) -> None:
    app[_HEARD] = OrderedDict()
    app.add_routes(routes)
