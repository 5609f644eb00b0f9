"""What UEFI HTTP Boot starts as a disk: our own medium, and images that are one file.

Firmware asks for the size by HEAD, then GETs, and resumes with Range. Only the GET begins a boot.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import BinaryIO

from aiohttp import web

from ..boot.decide import Decision, Outcome
from ..boot.grub import Where, grub_config, grub_without_plan
from ..boot.lifecycle import MAY_INSTALL, Kind
from ..boot.medium import Disk, boot_disk
from ..boot.plan import BootPlan
from ..boot.site import KernelFiles, Medium, MediumKind
from ..errors import InvalidValue, NetbootError, UnknownName
from ..store.boots import Started
from ..values import Arch, Blob, Digest, Mac, Stage
from .blobs import FilePart, send
from .keys import BLOBS, BOOTS, INDEX, LOADERS, RUNNING, SCRIPTS, urls_of
from .ranges import byte_range
from .running import Run

log = logging.getLogger(__name__)

# What an image that is one file is called in addresses.
MEDIUM_NAMES = tuple(f"kairos.{kind}" for kind in MediumKind)

# EDK2 goes by these where an address has no ending that it knows.
_TYPES = {
    ".efi": "application/efi",
    ".iso": "application/vnd.efi-iso",
    ".img": "application/vnd.efi-img",
}
# Larger than any file: to read a Range by, before there is one.
_ENDLESS = 1 << 62


def type_of(name: str) -> str:
    return _TYPES.get(name[-4:].lower(), "application/octet-stream")


def began_at(request: web.Request) -> bool:
    """Whether the first byte is asked for: a download that begins, and goes on with no other."""
    part = byte_range(request.headers.get("Range", ""), _ENDLESS)
    return part is None or part.start == 0


async def send_medium(request: web.Request, mac: Mac) -> web.StreamResponse:
    """The disk of one boot; its GET begins the boot."""
    if request.method == "HEAD":
        return await _send(request, _preview(request, mac), "")
    if not began_at(request):
        return await _resume(request, mac)
    _preview(request, mac)  # raises before anything is started
    started = await request.app[BOOTS].start(mac, urls_of(request), Stage.HTTP)
    disk, version = _disk_of(request, mac, started)
    request.app[RUNNING].keep(mac, Run(started=started, disk=disk))
    index, node = request.app[INDEX], started.node
    try:
        with index.sending(node):
            response = await _send(request, disk, version)
    except (ConnectionError, RuntimeError) as error:
        log.info("%s broke off its download of the boot medium: %s", request.remote, error)
        index.note(node, Kind.FILE, "broke off its download of the boot medium")
        return web.Response(status=499)
    what = "shim, GRUB, kernel and initrd" if started.plan else "shim and GRUB"
    size = disk.volume.size / 1e6
    index.note(node, Kind.FILE, f"fetched the boot medium with {what} ({size:.1f} MB)")
    return response


async def begin_medium(request: web.Request, mac: Mac, digest: Digest) -> None:
    """Before an image that is one file is sent. It installs by itself: nobody gets it whose disk
    it is not meant for. Raises UnknownName."""
    boots = request.app[BOOTS]
    if request.method == "GET" and not began_at(request):
        node = request.app[INDEX].fleet.by_mac.get(mac)
        if node is None or node.state not in MAY_INSTALL:
            raise UnknownName(f"{mac} has nothing to go on with: it is not being installed")
        return
    decision = boots.look(mac)
    image = decision.image
    files = image.files if image and decision.outcome is Outcome.INSTALL else None
    # An address of an earlier image may be written into the firmware's settings.
    if not isinstance(files, Medium) or files.blob.digest != digest:
        why = decision.reason if files is None else "its image is another by now"
        raise UnknownName(f"no medium for {mac}: {why}")
    if request.method == "GET":
        started = await boots.start(mac, urls_of(request), Stage.HTTP)
        if started.plan is None or tuple(started.plan.files) != (files.blob,):
            raise UnknownName(f"no medium for {mac}: {started.decision.reason}")
        request.app[RUNNING].keep(mac, Run(started=started))


def _preview(request: web.Request, mac: Mac) -> Disk:
    """As large as the one that a GET would get now."""
    decision = request.app[BOOTS].look(mac)
    if decision.outcome is Outcome.NOTHING:
        raise UnknownName(f"no boot medium for {mac}: {decision.reason}")
    image = decision.image
    if image is None:
        return boot_disk(_arch(decision), request.app[LOADERS])
    if isinstance(image.files, Medium):
        raise InvalidValue(f"image '{image.name}' is a medium itself: there is none around it")
    return boot_disk(image.facts.arch, request.app[LOADERS], files=image.files)


def rendered(request: web.Request, mac: Mac, started: Started, where: Where) -> str:
    """GRUB's configuration of a boot that has begun; what stops it is told on the timeline."""
    scripts, plan, decision = request.app[SCRIPTS], started.plan, started.decision
    if plan is None:
        urls = urls_of(request)
        return grub_without_plan(scripts, decision, mac, urls, where, _arch(decision))
    try:
        return grub_config(scripts, plan, where=where)
    except NetbootError as error:
        request.app[INDEX].note(started.node, Kind.REFUSED, f"no GRUB configuration: {error}")
        raise


def _disk_of(request: web.Request, mac: Mac, started: Started) -> tuple[Disk, str]:
    """The disk, and what names these very bytes."""
    arch, files = _made_for(started.decision, started.plan)
    config = rendered(request, mac, started, Where.MEDIUM)
    disk = boot_disk(arch, request.app[LOADERS], config, files)
    return disk, Digest.of(config.encode()).hex


def _made_for(decision: Decision, plan: BootPlan | None) -> tuple[Arch, KernelFiles | None]:
    return (plan.arch, plan.kernel_files) if plan else (_arch(decision), None)


def _arch(decision: Decision) -> Arch:
    """Of a machine that goes to its disk: what it said when it asked by DHCP."""
    return (decision.node.arch if decision.node else None) or Arch.AMD64


async def _resume(request: web.Request, mac: Mac) -> web.StreamResponse:
    run = request.app[RUNNING].of(mac, request.app[INDEX].fleet)
    if run is None or run.disk is None:
        # The boot it was part of is over, or the server is another: it has to begin again.
        return web.Response(status=412)
    _, version = _disk_of(request, mac, run.started)
    with request.app[INDEX].sending(run.started.node):
        return await _send(request, run.disk, version)


async def _send(request: web.Request, disk: Disk, version: str) -> web.StreamResponse:
    blobs = request.app[BLOBS]
    with ExitStack() as stack:
        files = {
            path: stack.enter_context(blobs.path(content.digest).open("rb"))
            for path, content in disk.contents.items()
            if isinstance(content, Blob)
        }

        def cut(start: int, count: int) -> Iterator[bytes | FilePart]:
            return _cut(disk, files, start, count)

        headers = {"Content-Type": _TYPES[".img"], "Cache-Control": "no-store"}
        return await send(request, disk.volume.size, version, cut, headers)


def _cut(
    disk: Disk, files: Mapping[str, BinaryIO], start: int, count: int
) -> Iterator[bytes | FilePart]:
    for piece in disk.volume.cut(start, count):
        if isinstance(piece, bytes):
            yield piece
        elif piece.path in files:
            yield FilePart(file=files[piece.path], offset=piece.offset, count=piece.count)
        else:
            content = disk.contents[piece.path]
            assert isinstance(content, bytes)  # what is in the store is open
            yield content[piece.offset : piece.offset + piece.count]
