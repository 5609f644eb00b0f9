"""The HTTP application over loopback, from script to report."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import MAX_BOOTS, Kind, State
from kairos_netboot.boot.site import BootFiles, Site
from kairos_netboot.store.store import Store
from tests.unit.boot.sample import MAC, PROFILE, SPEC, STRANGER
from tests.unit.store.sample import make_image
from tests.wire.served import KERNEL, NOW, SCRIPT, Served, Story, tell

pytestmark = pytest.mark.wire


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Story], None]:
    return lambda story: tell(tmp_path / "state", story)


def test_everything_that_a_script_names_is_there(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        script = await site.script()
        paths = re.findall(r"http://[^/\s]+(/\S+)", script)
        assert len(paths) == 5
        for path in paths:
            response = await site.get(path)
            assert response.status == 200, path

    play(story)


def test_fetching_the_script_begins_a_boot_and_head_does_not(
    play: Callable[[Story], None],
) -> None:
    async def story(site: Served) -> None:
        assert (await site.client.head(SCRIPT)).status == 405
        assert site.node.state is State.ARMED
        await site.script()
        assert (site.node.state, site.node.boots) == (State.BOOTING, 1)

    play(story)


def test_an_install_goes_from_script_to_ready(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        document, report = await site.urls()
        for _ in range(3):  # Kairos fetches it again and again
            assert "hostname: alpha" in await (await site.get(document)).text()
        for path, state in (
            ("install-started", State.INSTALLING),
            ("step/partitioned", State.INSTALLING),
            ("install-finished", State.INSTALLED),
            ("ready", State.READY),
        ):
            answer = await site.client.post(f"{report}/{path}", data={"hostname": "alpha"})
            assert answer.status == 200
            assert site.node.state is state
        assert "exit 1" in await site.script()
        last = [e.text for e in site.store.timeline(site.node.id) if e.kind is Kind.READY]
        assert last == ["the installed system is up, host name 'alpha'"]

    play(story)


def test_a_report_told_twice_is_acknowledged_twice_and_written_once(
    play: Callable[[Story], None],
) -> None:
    async def story(site: Served) -> None:
        _, report = await site.urls()
        for _ in range(2):
            assert (await site.client.post(f"{report}/install-started")).status == 200
        kinds = [e.kind for e in site.store.timeline(site.node.id)]
        assert kinds.count(Kind.INSTALL_STARTED) == 1

    play(story)


def test_a_stale_document_is_loud_valid_and_without_secrets(
    play: Callable[[Story], None],
) -> None:
    async def story(site: Served) -> None:
        stale, _ = await site.urls()
        fresh, report = await site.urls()
        await site.client.post(f"{report}/install-finished")
        for path in (stale, fresh, f"/documents/{'0' * 32}/cloud-config.yaml"):
            response = await site.get(path)
            text = await response.text()
            assert response.status == 200
            assert text.startswith("#cloud-config\n")
            assert "kairos-netboot gave this machine no configuration" in text
            assert "alpha\n" not in text.replace("alpha is installed", "")

    play(story)


def test_a_second_fetch_of_the_script_does_not_silence_the_installer_at_work(
    play: Callable[[Story], None],
) -> None:
    async def story(site: Served) -> None:
        _, report = await site.urls()
        await site.client.post(f"{report}/install-started")
        await site.script()  # somebody else, or iPXE once more
        assert (await site.client.post(f"{report}/install-finished")).status == 200
        assert site.node.state is State.INSTALLED

    play(story)


def test_an_install_whose_last_report_is_lost_is_done_all_the_same(
    play: Callable[[Story], None],
) -> None:
    async def story(site: Served) -> None:
        _, report = await site.urls()
        await site.client.post(f"{report}/step/written")
        assert "kernel --name" not in await site.script()

    play(story)


def test_a_report_of_before_the_arming_changes_nothing(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        _, former = await site.urls()
        await site.client.post(f"{former}/install-finished")
        site.store.rearm("alpha", NOW)
        await site.index.load()
        assert (await site.client.post(f"{former}/ready")).status == 404
        assert site.node.state is State.ARMED

    play(story)


@pytest.mark.parametrize("host", ["a||b${c}", "", "[::1", "xxx y"])
def test_a_strange_host_header_does_not_reach_the_script(
    play: Callable[[Story], None], host: str
) -> None:
    async def story(site: Served) -> None:
        script = await (await site.get(SCRIPT, Host=host)).text()
        assert f"http://127.0.0.1:{site.client.port}/boot/" in script

    play(story)


def test_a_range_of_too_many_digits_is_no_range(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        path = f"/boot/{MAC.hyphens}/{site.files.kernel.digest.hex}/kernel"
        assert (await site.get(path, Range="bytes=0-" + "9" * 5000)).status == 200

    play(story)


def test_an_unknown_report_is_refused(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        _, report = await site.urls()
        for path in ("lunch", "step/../x", "step/UPPER", "step/" + "x" * 50):
            assert (await site.client.post(f"{report}/{path}")).status == 404
        assert (await site.client.get(f"{report}/install-finished")).status == 405

    play(story)


def test_the_brake_holds(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        for _ in range(MAX_BOOTS):
            assert "kernel --name" in await site.script()
        script = await site.script()
        assert "kernel --name" not in script
        assert "exit 1" in script
        await asyncio.sleep(0.5)  # nobody's disk depends on when this is written
        assert site.node.state is State.FAILED

    play(story)


@pytest.mark.parametrize("mac", [STRANGER.hyphens, "nonsense"])
def test_a_machine_nobody_named_gets_no_script(play: Callable[[Story], None], mac: str) -> None:
    async def story(site: Served) -> None:
        response = await site.get(f"/boot/{mac}/script.ipxe")
        assert response.status in (400, 404)
        assert "#!ipxe" not in await response.text()
        # GRUB would take a sentence for commands.
        response = await site.get(f"/boot/{mac}/grub.cfg")
        assert response.status in (400, 404)
        assert (await response.text()).startswith("# ")

    play(story)


def test_a_document_that_would_break_the_install_stops_it_before_it_begins(
    play: Callable[[Story], None],
) -> None:
    async def story(site: Served) -> None:
        broken = replace(PROFILE, templates=(replace(PROFILE.templates[0], text="{{ oops }}"),))
        site.store.apply(Site(images={}, profiles={"server": broken}, nodes={"alpha": SPEC}), NOW)
        await site.index.load()
        response = await site.get(SCRIPT)
        assert response.status == 500
        assert "oops" in await response.text()
        assert site.node.state is State.ARMED

    play(story)


def test_blobs_by_digest(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        digest = site.files.kernel.digest
        path, etag = f"/boot/{MAC.hyphens}/{digest.hex}/kernel", f'"{digest.hex}"'
        whole = await site.get(path)
        assert (whole.status, await whole.read()) == (200, KERNEL)
        assert whole.headers["ETag"] == etag
        assert "immutable" in whole.headers["Cache-Control"]
        head = await site.client.head(path)
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(KERNEL)))
        part = await site.get(path, Range="bytes=6-11")
        assert (part.status, await part.read()) == (206, b"kernel")
        assert part.headers["Content-Range"] == f"bytes 6-11/{len(KERNEL)}"
        assert (await (await site.get(path, Range="bytes=-2")).read()) == b"el"
        assert (await site.get(path, Range=f"bytes={len(KERNEL)}-")).status == 416
        assert (await site.get(path, If_None_Match=etag)).status == 304
        assert (await site.get(path, If_Match='"other"')).status == 412
        other = await site.get(path, Range="bytes=6-11", If_Range='"other"')
        assert (other.status, await other.read()) == (200, KERNEL)
        several = await site.get(path, Range="bytes=0-1,4-5")
        assert (several.status, len(await several.read())) == (200, len(KERNEL))

    play(story)


@pytest.mark.parametrize("digest", ["f" * 64, "..%2f..%2fstate.db", "x"])
def test_no_path_leads_out_of_the_blobs(play: Callable[[Story], None], digest: str) -> None:
    async def story(site: Served) -> None:
        path = f"/boot/{MAC.hyphens}/{digest}/kernel"
        assert (await site.get(path)).status == 404

    play(story)


def test_the_newest_of_two_images_is_installed_however_fast_they_came(
    play: Callable[[Story], None],
) -> None:
    """The server has not read the database again since the updates: its image is no more kept."""

    async def story(served: Served) -> None:
        for version in ("v2", "v3"):
            served.store.add_image(newest := make_image(served.store.blobs, version))
        assert isinstance(newest.files, BootFiles)
        assert newest.files.kernel.digest.hex in await served.script()
        assert served.node.boots == 1

    play(story)


def test_what_a_machine_boots_is_there_after_updates_and_collections(
    play: Callable[[Story], None],
) -> None:
    async def story(served: Served) -> None:
        script = await served.script()
        for version in ("v2", "v3"):
            served.store.add_image(make_image(served.store.blobs, version))
            served.store.collect()
        rootfs = served.files.rootfs.digest.hex
        assert rootfs in script
        response = await served.get(f"/boot/{MAC.hyphens}/{rootfs}/rootfs.squashfs")
        assert await response.read() == b"rootfs"

    play(story)


def test_a_change_by_another_process_is_served_soon(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        await site.script()
        other = Store(site.store.directory)
        other.record([])
        other.rearm("alpha", NOW)
        other.close()
        await asyncio.sleep(1.5)
        assert site.index.fleet.named("alpha").state is State.ARMED

    play(story)
