"""What iPXE tells of machines that nobody named, over loopback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.site import Profile, Site
from kairos_netboot.boot.unknown import INVENTORY, Selector, Unknown
from kairos_netboot.web import inventory
from kairos_netboot.web.inventory import told_by
from tests.unit.boot.sample import MAC, PROFILE, SPEC, STRANGER
from tests.wire.served import NOW, SCRIPT, Served, Story, tell

pytestmark = pytest.mark.wire

RACK = Profile(
    name="rack",
    image="debian",
    templates=PROFILE.templates,
    match=(Selector(facts={"manufacturer": "Dell*"}),),
    hostname="r7-{{ index }}",
)
TOLD = (
    "?manufacturer=Dell%20Inc.&product=PowerEdge%20R650&serial=7XK2&asset=&"
    "uuid=4c4c4544-0042-3510-8052-b4c04f4e4d31&platform=efi&arch=x86_64&memory=2048"
)
URL = f"/inventory/{STRANGER.hyphens}"
Play = Callable[[Story], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return lambda story: tell(tmp_path / "state", story)


async def site(served: Served, *profiles: Profile, unknown: Unknown) -> None:
    made = {profile.name: profile for profile in (PROFILE, *profiles)}
    whole = Site(images={}, profiles=made, nodes={"alpha": SPEC}, unknown=unknown)
    await served.index.call(served.store.apply, whole, NOW)


async def get(served: Served, path: str) -> str:
    response = await served.get(path)
    assert response.status == 200
    return await response.text()


async def told(served: Served) -> list[str]:
    await served.told()  # what only tells is written soon
    node = served.store.fleet().by_mac[STRANGER]
    timeline = served.store.timeline(node.id)
    return [event.text for event in timeline if event.kind is Kind.INVENTORY]


def test_what_a_machine_tells_is_recorded_and_told(play: Play) -> None:
    async def story(served: Served) -> None:
        assert await get(served, URL + TOLD) == "#!ipxe\n"
        stranger = served.store.fleet().by_mac[STRANGER]
        assert stranger.state is State.DISCOVERED
        assert stranger.facts == {
            "manufacturer": "Dell Inc.",
            "product": "PowerEdge R650",
            "serial": "7XK2",
            "uuid": "4c4c4544-0042-3510-8052-b4c04f4e4d31",
            "firmware": "uefi",
            "arch": "amd64",
            "memory": "2048 MiB",
        }
        assert await told(served) == [
            "inventory: manufacturer Dell Inc., product PowerEdge R650, serial 7XK2, "
            "memory 2048 MiB"
        ]

    play(story)


def test_an_unnamed_machine_is_asked_and_sent_to_its_disk(play: Play) -> None:
    async def story(served: Served) -> None:
        await site(served, unknown=Unknown(others=INVENTORY))
        script = await get(served, SCRIPT.replace(MAC.hyphens, STRANGER.hyphens))
        assert f"/inventory/{STRANGER.hyphens}?manufacturer=${{manufacturer:uristring}}" in script
        assert script.endswith("exit 1\n")

    play(story)


def test_a_machine_that_a_selector_fits_goes_on_with_its_installer(play: Play) -> None:
    async def story(served: Served) -> None:
        await site(served, RACK, unknown=Unknown(others=INVENTORY))
        answer = await get(served, URL + TOLD)
        assert answer.splitlines()[1].startswith("chain --replace http://127.0.0.1:")
        node = served.store.fleet().named("r7-1")
        assert (node.state, node.macs) == (State.ARMED, (STRANGER,))
        script = await get(served, SCRIPT.replace(MAC.hyphens, STRANGER.hyphens))
        assert "installs 'debian'" in script or "rootfs.squashfs" in script
        assert served.store.fleet().named("r7-1").state is State.BOOTING

    play(story)


def test_one_that_waits_for_approval_goes_on_to_its_disk(play: Play) -> None:
    async def story(served: Served) -> None:
        await site(served, RACK, unknown=Unknown(others=INVENTORY, approval=True))
        assert await get(served, URL + TOLD) == "#!ipxe\n"
        assert served.store.fleet().by_mac[STRANGER].spec is None

    play(story)


def test_whoever_asks_again_and_again_is_heard_once(play: Play) -> None:
    async def story(served: Served) -> None:
        for number in range(50):
            assert await get(served, f"{URL}?serial=S{number}") == "#!ipxe\n"
        assert await told(served) == ["inventory: serial S0"]
        assert served.store.fleet().by_mac[STRANGER].facts == {"serial": "S0"}

    play(story)


def test_there_is_an_end_to_what_one_machine_may_tell(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "_SECONDS", 0.0)
    monkeypatch.setattr(inventory, "_MOST", 3)

    async def story(served: Served) -> None:
        for number in range(5):
            await get(served, f"{URL}?serial=S{number}")
        assert served.store.fleet().by_mac[STRANGER].facts == {"serial": "S2"}

    play(story)


def test_a_named_machine_completes_what_is_known_of_it_and_changes_nothing(play: Play) -> None:
    async def story(served: Served) -> None:
        await served.index.met(MAC, {"serial": "7XK2"})
        await get(served, f"/inventory/{MAC.hyphens}?serial=other&product=R650")
        assert served.node.facts == {"serial": "7XK2", "product": "R650"}
        assert served.node.state is State.ARMED

    play(story)


def test_what_is_no_mac_is_refused(play: Play) -> None:
    async def story(served: Served) -> None:
        assert (await served.get("/inventory/nonsense")).status == 400
        assert (await served.client.head(URL)).status == 405
        assert len(served.store.fleet().nodes) == 1

    play(story)


def test_only_known_words_count_and_none_is_long() -> None:
    odd = {
        "product": "a\x1b[31m\n" + "x" * 500,
        "uuid": "00000000-0000-0000-0000-000000000000",
        "memory": "lots",
        "platform": "riscv",
        "arch": "vax",
        "network": "10.0.0.1",
        "switch-port": "1",
    }
    facts = told_by(odd)
    assert facts.keys() == {"product"}
    assert len(facts["product"]) == 64
    assert facts["product"].isprintable()
