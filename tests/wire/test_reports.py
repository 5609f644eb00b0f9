"""Reports of an install over loopback: progress, a failure's last words, what is up and where."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.store.logs import lines_after
from tests.unit.boot.sample import PROFILE
from tests.wire.served import Served, Story, tell

pytestmark = pytest.mark.wire
SECRET = "correct-horse-battery"


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Story], None]:
    profile = replace(PROFILE, variables={"password": SECRET})
    return lambda story: tell(tmp_path / "state", story, profile=profile)


async def post(site: Served, path: str, **fields: str) -> int:
    return (await site.client.post(path, data=fields)).status


def words(site: Served) -> list[str]:
    with site.store.reading() as connection:
        return [line.text for line in lines_after(connection, site.node.id, 0)]


def test_steps_are_told_once_and_their_percentage_moves_on(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        _, report = await site.urls()
        for percent in ("0", "33", "66"):
            assert await post(site, f"{report}/step/active", percent=percent) == 200
        assert site.node.facts["progress"] == "active (2 of 6, 66 %)"
        steps = [e.text for e in site.store.timeline(1) if e.kind is Kind.INSTALL_STEP]
        assert steps == ["installer: active (2 of 6, 0 %)"]
        await post(site, f"{report}/install-finished")
        assert site.node.facts["progress"] == ""

    play(story)


def test_a_failure_is_on_the_disk_with_its_last_words(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        _, report = await site.urls()
        said = "one\ntwo\n"
        for _ in range(2):
            status = await post(site, f"{report}/install-failed", reason="no disk", lines=said)
            assert status == 200
        assert site.node.state is State.FAILED
        assert site.store.timeline(1)[-1].text == "installer: failed: no disk"
        assert words(site) == ["one", "two"]

    play(story)


def test_what_the_node_was_given_in_confidence_is_masked(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        _, report = await site.urls()
        said = f"useradd {SECRET}\npasswd: hunter2hunter2\n"
        await post(site, f"{report}/install-failed", reason=f"bad {SECRET}", lines=said)
        assert SECRET not in str(site.store.timeline(1))
        assert not any(SECRET in line or "hunter2" in line for line in words(site))
        assert len(words(site)) == 2

    play(story)


def test_a_report_that_is_too_large_is_refused(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        _, report = await site.urls()
        assert await post(site, f"{report}/install-failed", lines="x" * 70_000) == 413
        assert site.node.state is State.BOOTING

    play(story)


def test_words_as_long_as_the_hook_sends_fit_however_they_are_written(
    play: Callable[[Story], None],
) -> None:
    async def story(site: Served) -> None:
        _, report = await site.urls()
        assert await post(site, f"{report}/log", lines="é\n" * 5333) == 200

    play(story)


def test_what_is_up_and_where_is_on_the_disk_when_it_is_acknowledged(
    play: Callable[[Story], None],
) -> None:
    async def story(site: Served) -> None:
        _, report = await site.urls()
        fields = {"addresses": "192.0.2.7,10.42.0.0", "version": "v4.2.0", "boot": "active"}
        assert await post(site, f"{report}/ready", hostname="alpha", **fields) == 200
        facts = site.node.facts
        assert (facts["address"], facts["version"]) == ("192.0.2.7", "v4.2.0")
        assert facts["boot-state"] == "active"
        assert site.node.seen is not None

    play(story)


def test_an_unknown_report_is_not_found(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        _, report = await site.urls()
        assert await post(site, f"{report}/install-eaten") == 404

    play(story)


def test_a_download_is_a_sign_of_life(play: Callable[[Story], None]) -> None:
    async def story(site: Served) -> None:
        script = await site.script()
        kernel = next(word for word in script.split() if word.endswith("/kernel"))
        await asyncio.sleep(0.2)
        assert site.index.signs.silence(1, time.monotonic()) >= 0.2
        async with site.client.get("/" + kernel.split("/", 3)[3]) as response:
            await response.read()
        assert site.index.signs.silence(1, time.monotonic()) < 0.2

    play(story)
