"""The HTTP application over loopback, for a story about one armed node."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from kairos_netboot.boot.fleet import Node
from kairos_netboot.boot.site import BootFiles, Image, Medium, MediumKind, Profile, Site
from kairos_netboot.boot.urls import DISK_STARTER
from kairos_netboot.config.resources import load_scripts
from kairos_netboot.store.boots import Boots
from kairos_netboot.store.index import Index
from kairos_netboot.store.store import Store
from kairos_netboot.web.app import make_app
from tests.unit.boot.sample import IMAGE, MAC, PROFILE, SPEC
from tests.unit.store.sample import keep

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KERNEL, INITRD, ROOTFS = b"kernel" * 1000, b"initrd" * 5000, b"rootfs"
MEDIUM = b"an ISO " * 10_000
SCRIPT = f"/boot/{MAC.hyphens}/script.ipxe"


class Served:
    """A served site with one armed node."""

    def __init__(
        self, client: TestClient[Any, Any], index: Index, store: Store, image: Image
    ) -> None:
        self.client, self.index, self.store, self.image = client, index, store, image

    async def get(self, path: str, **headers: str) -> ClientResponse:
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        return await self.client.get(path, headers=names)

    async def script(self) -> str:
        response = await self.get(SCRIPT)
        assert response.status == 200
        return await response.text()

    async def urls(self) -> tuple[str, str]:
        """The document's and the reports' path of a boot that begins now."""
        script = await self.script()
        document = re.search(r"config_url=http://[^/]+(\S+)", script)
        report = re.search(r"http://[^/]+(/reports/\w+)/boot-failed", script)
        assert document
        assert report
        return document[1], report[1]

    @property
    def files(self) -> BootFiles:
        assert isinstance(self.image.files, BootFiles)
        return self.image.files

    @property
    def node(self) -> Node:
        return self.store.fleet().named("alpha")

    async def told(self) -> list[str]:
        """The node's timeline; what only tells is written soon."""
        await asyncio.sleep(0.3)
        return [event.text for event in self.store.timeline(self.node.id)]


Story = Callable[[Served], Awaitable[None]]


def tell(
    state: Path,
    story: Story,
    *,
    loaders: Mapping[str, bytes] | None = None,
    is_medium: bool = False,
    profile: Profile = PROFILE,
) -> None:
    """`is_medium`: the image is one ISO."""
    store = Store(state)
    if is_medium:
        (blob,) = keep(store.blobs, MEDIUM)
        image = replace(IMAGE, files=Medium(blob=blob, kind=MediumKind.ISO))
    else:
        kernel, initrd, rootfs = keep(store.blobs, KERNEL, INITRD, ROOTFS)
        image = replace(IMAGE, files=BootFiles(kernel=kernel, initrd=initrd, rootfs=rootfs))
    store.add_image(image)
    store.apply(Site(images={}, profiles={"server": profile}, nodes={"alpha": SPEC}), NOW)
    try:
        asyncio.run(_play(store, image, loaders or {DISK_STARTER: b"grub"}, story))
    finally:
        store.close()


async def _play(store: Store, image: Image, loaders: Mapping[str, bytes], story: Story) -> None:
    index = Index(store)
    await index.load()
    writer = asyncio.ensure_future(index.run())
    try:
        app = make_app(index, store.blobs, load_scripts(), loaders, Boots(index))
        async with TestClient(TestServer(app)) as client:
            await story(Served(client, index, store, image))
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
