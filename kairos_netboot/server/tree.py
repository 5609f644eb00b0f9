"""What TFTP serves: boot loaders by name, and the boot plan in each loader's own language.

Nothing here is a path on our disk: names are read, and what they mean is looked up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from ..boot import raspberry
from ..boot.actions import action_named
from ..boot.extlinux import boot_script, extlinux_config, extlinux_disk_config
from ..boot.grub import (
    Where,
    addressed,
    generic_config,
    grub_config,
    grub_without_plan,
    why_failed,
)
from ..boot.lifecycle import Kind
from ..boot.script import Scripts
from ..boot.site import BootFiles, KernelFiles
from ..boot.tokens import key_of
from ..boot.urls import Urls
from ..errors import NetbootError, UnknownName
from ..images.inside import Inside
from ..store.blobs import BlobStore
from ..store.boots import Boots, Started
from ..store.index import Index
from ..tftp.names import Ask, Name, read_name
from ..tftp.transfer import Content
from ..values import Digest, Mac, Stage, printable
from .content import OpenFile
from .tftp import Wanted

log = logging.getLogger(__name__)

# What a report is answered with: GRUB reads it as a script.
_THANKS = b"# noted\n"
_LOADER_OF = {
    Ask.IPXE: Stage.IPXE,
    Ask.GRUB: Stage.GRUB,
    Ask.EXTLINUX: Stage.UBOOT,
    Ask.BOOT_SCRIPT: Stage.UBOOT,
}
_OF_BOOT = (raspberry.CONFIG, raspberry.COMMAND_LINE, raspberry.KERNEL, raspberry.INITRD)


class Tree:
    """`lookup` is what `serve_tftp` asks. `urls` of the address that was asked; `mac_at` knows the
    card behind a client's address and interface, for names that do not say it."""

    def __init__(
        self,
        *,
        loaders: Mapping[str, bytes],
        scripts: Scripts,
        index: Index,
        boots: Boots,
        blobs: BlobStore,
        urls: Callable[[str], Urls],
        mac_at: Callable[[str, str], Mac | None],
    ) -> None:
        self._loaders, self._scripts = loaders, scripts
        self._index, self._boots, self._blobs = index, boots, blobs
        self._urls, self._mac_at = urls, mac_at
        self._inside = Inside(blobs.path)
        self._reading = asyncio.Lock()

    async def lookup(self, wanted: Wanted) -> Content | None:
        try:
            return await self._find(read_name(wanted.name), wanted)
        except UnknownName as error:
            log.debug("nothing for %s: %s", wanted.client, error)
        except NetbootError as error:
            name = printable(wanted.name)
            log.warning("%s gets no %s by TFTP: %s", wanted.client, name, error)
        return None

    async def _find(self, name: Name, wanted: Wanted) -> Content | None:
        match name.ask:
            case Ask.LOADER:
                return self._loader(name, wanted) or await self._of_raspberry(name, wanted)
            case Ask.GRUB_ANY:
                return generic_config(self._scripts).encode()
            case Ask.IPXE | Ask.GRUB | Ask.EXTLINUX | Ask.BOOT_SCRIPT:
                return await self._configuration(name, wanted)
            case Ask.DEVICE_TREE:
                files = self._installing(self._machine(name, wanted))
                return await self._in_image(files, name.rest)
            case Ask.BLOB:
                return self._open(name.digest)
            case Ask.REPORT:
                return await self._reported(name)
            case Ask.NOTHING:
                return None

    # Boot loaders and boot files

    def _loader(self, name: Name, wanted: Wanted) -> Content | None:
        found = self._loaders.get(name.rest.rpartition("/")[2])
        return addressed(found, self._urls(wanted.local), name.mac) if found else None

    def _open(self, digest: Digest | None) -> Content | None:
        try:
            return OpenFile.at(self._blobs.path(digest)) if digest else None
        except FileNotFoundError:
            raise UnknownName(f"no blob {digest} here") from None

    # What begins a boot

    async def _begun(self, name: Name, wanted: Wanted, loader: Stage) -> Started:
        mac, urls = self._machine(name, wanted), self._urls(wanted.local)
        return await self._boots.start(mac, urls, loader, chosen=action_named(name.rest))

    def _machine(self, name: Name, wanted: Wanted) -> Mac:
        """Whom the request is of; raises UnknownName."""
        mac = name.mac or self._mac_at(wanted.client, wanted.interface)
        if mac is None:
            raise UnknownName(f"nobody knows whose address {wanted.client} is")
        return mac

    async def _configuration(self, name: Name, wanted: Wanted) -> Content | None:
        """A script or configuration; what keeps it from being made is told on the timeline."""
        started = await self._begun(name, wanted, _LOADER_OF[name.ask])
        try:
            has_trees = name.ask is Ask.EXTLINUX and await self._has_trees(started)
            return self._written(name, started, wanted, has_trees)
        except NetbootError as error:
            self._index.note(started.node, Kind.REFUSED, f"no boot configuration: {error}")
            raise

    def _written(
        self, name: Name, started: Started, wanted: Wanted, has_trees: bool
    ) -> bytes | None:
        scripts, plan, decision = self._scripts, started.plan, started.decision
        mac, urls = self._machine(name, wanted), self._urls(wanted.local)
        match name.ask:
            case Ask.IPXE if plan:
                return scripts.install(plan).encode()
            case Ask.IPXE:
                return scripts.without_plan(decision, mac, urls).encode()
            case Ask.GRUB if plan:
                return grub_config(scripts, plan, where=Where.TFTP).encode()
            case Ask.GRUB:
                arch = started.node.arch
                return grub_without_plan(scripts, decision, mac, urls, Where.TFTP, arch).encode()
            case Ask.EXTLINUX if plan:
                return extlinux_config(scripts, plan, device_trees=has_trees).encode()
            case Ask.EXTLINUX:
                return extlinux_disk_config(scripts, decision).encode()
            case Ask.BOOT_SCRIPT if plan:
                return boot_script(scripts, plan)
        return None  # U-Boot goes on in its order where there is no script

    # Raspberry Pis, and other boards' device trees

    async def _of_raspberry(self, name: Name, wanted: Wanted) -> Content | None:
        """A Pi asks below its serial number or its MAC, and a few names without either."""
        rest = name.rest.rpartition("/")[2]
        is_own = rest in _OF_BOOT and rest == name.rest
        if not is_own and not raspberry.is_firmware(rest):
            return None
        mac = self._by_serial(name.folder) or self._machine(name, wanted)
        files = self._installing(mac)
        match rest:
            case raspberry.CONFIG:
                return raspberry.config_text(self._scripts, mac).encode()
            case raspberry.KERNEL:
                return self._open(files.kernel.digest)
            case raspberry.INITRD:
                return self._open(files.initrd.digest)
            case raspberry.COMMAND_LINE:
                started = await self._boots.start(mac, self._urls(wanted.local), Stage.RASPBERRY)
                return raspberry.command_line_text(started.plan).encode() if started.plan else None
        return await self._in_image(files, name.rest)

    def _by_serial(self, folder: str) -> Mac | None:
        if not folder:
            return None
        nodes = (n for n in self._index.fleet.nodes if n.facts.get("serial") == folder.lower())
        return next((mac for node in nodes for mac in node.macs[:1]), None)

    def _installing(self, mac: Mac) -> KernelFiles:
        """The files of a machine that may be installed; starts nothing. Raises UnknownName."""
        decision = self._boots.look(mac)
        files = decision.image.files if decision.image else None
        if decision.loads and isinstance(files, KernelFiles):
            return files
        raise UnknownName(f"{mac} has no boot files: {decision.reason}")

    async def _in_image(self, files: KernelFiles, name: str) -> bytes | None:
        if not isinstance(files, BootFiles):
            return None
        async with self._reading:
            return await asyncio.to_thread(self._inside.file, files.rootfs.digest, name)

    async def _has_trees(self, started: Started) -> bool:
        if started.plan is None or started.plan.rootfs is None:
            return False
        rootfs = started.plan.rootfs.digest
        async with self._reading:
            return await asyncio.to_thread(self._inside.has_device_trees, rootfs)

    # What a loader tells

    async def _reported(self, name: Name) -> bytes:
        key = key_of(name.token)
        node = self._index.fleet.by_report_key(key)
        if node is None:
            raise UnknownName("this report's address belongs to no present boot")
        once = f"report:{key[:16]}:boot-failed-{name.rest}"
        await self._index.report(node, Kind.BOOT_FAILED, why_failed(name.rest), once)
        log.info("%s: %s", node.name, why_failed(name.rest))
        return _THANKS
