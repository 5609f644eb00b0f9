"""Phone-home over loopback: the real application and store, and a stand-in agent that knows nothing
but the description of the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tarfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from kairos_netboot.boot.fleetwork import Phase
from kairos_netboot.boot.lifecycle import Kind
from kairos_netboot.boot.phone import PhoneHome
from kairos_netboot.boot.site import Content, Image, NodeSpec, Profile, Site, Template
from kairos_netboot.boot.tokens import phone_token
from kairos_netboot.cli.roll import Roll, RollStopped, order, roll
from kairos_netboot.config.resources import load_scripts
from kairos_netboot.store.agents import Agent as Known
from kairos_netboot.store.agents import Command, read_agents, read_commands
from kairos_netboot.store.boots import Boots
from kairos_netboot.store.index import Index
from kairos_netboot.store.store import Store
from kairos_netboot.values import Digest, Mac
from kairos_netboot.web.app import make_app
from kairos_netboot.web.phonehome import PHONES
from tests.agent import Agent, Disk, Refused
from tests.unit.boot.sample import DOCUMENT
from tests.unit.store.sample import keep, make_image
from tests.wire.served import NOW

pytestmark = [pytest.mark.wire, pytest.mark.timeout(120)]
NAMES = ("k1", "k2", "k3")


@dataclass
class Fleet:
    """Three nodes that are installed from here, and their agents."""

    store: Store
    index: Index
    http: aiohttp.ClientSession
    url: str
    image: Image
    running: list[asyncio.Task[None]] = field(default_factory=list)

    async def install(self, name: str) -> str:
        """Boot and finish; what its document says to register with."""
        mac = self.index.fleet.named(name).macs[0]
        script = await self._get(f"/boot/{mac.hyphens}/script.ipxe")
        token = script.partition("/reports/")[2][:32]
        for event in ("install-finished", "ready"):
            async with self.http.post(f"{self.url}/reports/{token}/{event}") as answer:
                assert answer.status == 200
        return phone_token(token)

    async def _get(self, path: str) -> str:
        async with self.http.get(self.url + path) as answer:
            return await answer.text()

    async def agent(self, name: str, **more: Any) -> Agent:
        """One that is not running yet."""
        token = await self.install(name)
        disk = Disk(machine_id=f"machine-{name}", hostname=name)
        return Agent(url=self.url, token=token, disk=disk, heartbeat=0.1, **more)

    def start(self, agent: Agent) -> asyncio.Task[None]:
        task = asyncio.ensure_future(agent.run())
        self.running.append(task)
        return task

    def known(self, name: str) -> Known | None:
        node = self.store.fleet().named(name)
        with self.store.reading() as connection:
            return read_agents(connection).get(node.id)

    def commands(self, name: str) -> list[Command]:
        node = self.store.fleet().named(name)
        with self.store.reading() as connection:
            return read_commands(connection, node.id)

    def order(self, name: str, what: str, **args: str) -> str:
        return order(self.store, self.store.fleet().named(name), what, args)

    async def told(self, name: str, kind: Kind) -> list[str]:
        await asyncio.sleep(0.2)
        node = self.store.fleet().named(name)
        return [e.text for e in self.store.timeline(node.id) if e.kind is kind]

    async def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(400):
            if holds():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("that did not happen")

    async def connected(self, *names: str) -> None:
        def all_are() -> bool:
            known = [self.known(name) for name in names]
            return all(k is not None and k.connected is not None for k in known)

        await self.until(all_are)

    async def upgrade(self, *names: str, most: int = 1) -> list[str]:
        """What `nodes upgrade` says, up to its end or its stop."""
        nodes = tuple(self.store.fleet().named(name) for name in names)
        work = Roll(
            nodes=nodes,
            command="upgrade",
            args={"source": f"artifact:{self.image.digest.hex}"},
            max_unavailable=most,
            timeout=20.0,
            restart_delay=0.0,
            pause=lambda _: time.sleep(0.05),
        )
        lines: list[str] = []

        def work_through() -> None:
            try:
                lines.extend(roll(self.store, work))
            except RollStopped as stop:
                lines.append(str(stop))

        await asyncio.to_thread(work_through)
        return lines


Story = Callable[[Fleet], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Story], None]:
    def play(story: Story) -> None:
        async def whole() -> None:
            async with served(tmp_path / "state") as fleet:
                await story(fleet)

        asyncio.run(whole())

    return play


@contextlib.asynccontextmanager
async def served(state: Path) -> AsyncIterator[Fleet]:
    store = Store(state)
    image = make_image(store.blobs, "v4.2.0", layers=2)
    config, layer = keep(store.blobs, b'{"config": 1}', b"a layer")
    manifest = {
        "schemaVersion": 2,
        "config": {"digest": config.digest, "size": config.size},
        "layers": [{"digest": layer.digest, "size": layer.size}],
    }
    (kept,) = keep(store.blobs, json.dumps(manifest).encode())
    content = Content(media_type="application/test", manifest=kept, blobs=(config, layer))
    image = Image(
        name=image.name,
        source=image.source,
        digest=kept.digest,
        facts=image.facts,
        files=image.files,
        content=content,
    )
    store.add_image(image)
    store.apply(site(), NOW)
    index = Index(store)
    await index.load()
    app = make_app(index, store.blobs, load_scripts(), {}, Boots(index))
    tasks = [asyncio.ensure_future(index.run()), asyncio.ensure_future(app[PHONES].run())]
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        url = str(server.make_url("")).rstrip("/")
        fleet = Fleet(store, index, http, url, image)
        try:
            yield fleet
        finally:
            for task in fleet.running:
                task.cancel()
            await asyncio.gather(*fleet.running, return_exceptions=True)
    for task in reversed(tasks):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    store.close()


def site(*, names: tuple[str, ...] = NAMES) -> Site:
    profile = Profile(
        name="server", image="debian", templates=(Template(name="base.yaml", text=DOCUMENT),)
    )
    nodes = {
        name: NodeSpec(
            name=name, macs=(Mac(f"52:54:00:00:01:0{NAMES.index(name)}"),), profile="server"
        )
        for name in names
    }
    return Site(
        images={}, profiles={"server": profile}, nodes=nodes, phone_home=PhoneHome(enabled=True)
    )


# Registration


def test_the_document_says_where_and_with_what_to_register(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        mac = fleet.index.fleet.named("k1").macs[0]
        script = await fleet._get(f"/boot/{mac.hyphens}/script.ipxe")
        document = await fleet._get("/documents/" + script.partition("/documents/")[2].split()[0])
        report = script.partition("/reports/")[2][:32]
        assert "phonehome:" in document
        assert fleet.url in document.partition("phonehome:")[2]
        assert phone_token(report) in document
        assert "heartbeat_interval" in document

    play(story)


def test_an_agent_registers_and_its_node_says_how_it_is(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        fleet.start(await fleet.agent("k1"))
        await fleet.connected("k1")
        await fleet.until(lambda: fleet.store.fleet().named("k1").facts.get("version") == "v4.2.0")
        facts = fleet.store.fleet().named("k1").facts
        assert (facts["boot-state"], facts["addresses"]) == ("active", "192.0.2.7")
        assert await fleet.told("k1", Kind.AGENT) == ["its agent registered: v4.2.0, active"]

    play(story)


def test_the_store_has_no_key_that_opens_anything(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        await agent.register(fleet.http)
        fleet.store.close()
        database = (fleet.store.directory / "state.db").read_bytes()
        wal = fleet.store.directory / "state.db-wal"
        database += wal.read_bytes() if wal.exists() else b""
        assert agent.disk.credentials["apiKey"].encode() not in database
        assert agent.token.encode() not in database

    play(story)


@pytest.mark.parametrize("token", ["", "0" * 32, "x" * 5000, "ü"])
def test_a_token_that_we_did_not_give_opens_nothing(
    play: Callable[[Story], None], token: str
) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        agent.token = token
        with pytest.raises(Refused) as refused:
            await agent.register(fleet.http)
        assert refused.value.status in (400, 401)
        assert fleet.known("k1") is None

    play(story)


def test_the_reports_token_is_no_registration_token(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        mac = fleet.index.fleet.named("k1").macs[0]
        script = await fleet._get(f"/boot/{mac.hyphens}/script.ipxe")
        agent = await fleet.agent("k2")
        agent.token = script.partition("/reports/")[2][:32]
        with pytest.raises(Refused):
            await agent.register(fleet.http)

    play(story)


def test_another_machine_with_the_same_token_is_refused_and_recorded(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        await agent.register(fleet.http)
        thief = Agent(url=fleet.url, token=agent.token, disk=Disk("another", "thief"))
        with pytest.raises(Refused) as refused:
            await thief.register(fleet.http)
        assert refused.value.status == 401
        (said,) = await fleet.told("k1", Kind.REFUSED)
        assert "used by another machine" in said
        socket = await agent.connect(fleet.http)  # whose key is still good
        await socket.close()

    play(story)


def test_an_agent_that_lost_its_credentials_gets_a_new_key_and_the_old_is_void(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        await agent.register(fleet.http)
        old = dict(agent.disk.credentials)
        await agent.register(fleet.http)
        assert agent.disk.credentials["apiKey"] != old["apiKey"]
        agent.disk.credentials = old
        with pytest.raises(Refused) as refused:
            await agent.connect(fleet.http)
        assert refused.value.status == 401

    play(story)


def test_arming_a_node_again_takes_its_agents_key_back_at_once(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        await agent.register(fleet.http)
        socket = await agent.connect(fleet.http)
        fleet.store.rearm("k1", NOW)
        message = await socket.receive(timeout=10)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        for again in (agent.connect, agent.register):
            with pytest.raises(Refused):
                await again(fleet.http)

    play(story)


def test_a_node_that_is_taken_out_of_the_site_has_no_agent(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        await agent.register(fleet.http)
        fleet.store.apply(site(names=("k2", "k3")), NOW)
        await fleet.index.load()
        with pytest.raises(Refused):
            await agent.connect(fleet.http)

    play(story)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'"a"', b"{", b"\xff", b'{"machineID": 1}', b"[" * 60_000]
)
def test_what_is_no_registration_is_a_bad_request(
    play: Callable[[Story], None], body: bytes
) -> None:
    async def story(fleet: Fleet) -> None:
        async with fleet.http.post(f"{fleet.url}/api/v1/nodes/register", data=body) as answer:
            assert answer.status == 400
            assert "error" in await answer.json()

    play(story)


# The connection


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"type": "heartbeat", "data": 7}',
        '{"type": "command_status", "data": {"id": "x", "phase": "Sideways"}}',
        "[" * 50_000,
    ],
)
def test_an_agent_that_talks_nonsense_is_hung_up_on(
    play: Callable[[Story], None], text: str
) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        await agent.register(fleet.http)
        socket = await agent.connect(fleet.http)
        await socket.send_str(text)
        message = await socket.receive(timeout=5)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        again = await agent.connect(fleet.http)
        await again.send_json(agent.heartbeat_message())
        await fleet.connected("k1")
        await again.close()

    play(story)


def test_a_message_of_a_newer_agent_is_passed_over(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        await agent.register(fleet.http)
        socket = await agent.connect(fleet.http)
        await socket.send_json({"type": "metrics", "data": {"load": 1}})
        agent.disk.boots = "passive"
        await socket.send_json(agent.heartbeat_message())
        await fleet.until(
            lambda: fleet.store.fleet().named("k1").facts.get("boot-state") == "passive"
        )
        await socket.close()

    play(story)


def test_a_flood_ends_the_connection(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        await agent.register(fleet.http)
        socket = await agent.connect(fleet.http)
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                await socket.send_json(agent.heartbeat_message())
        message = await socket.receive(timeout=5)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)

    play(story)


def test_a_key_that_comes_twice_has_one_connection_the_newer(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        await agent.register(fleet.http)
        old = await agent.connect(fleet.http)
        await fleet.connected("k1")
        new = await agent.connect(fleet.http)
        message = await old.receive(timeout=5)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        await new.send_json(agent.heartbeat_message())
        fleet.order("k1", "reboot")
        told = await new.receive_json(timeout=5)
        assert told["data"]["command"] == "reboot"
        await new.close()

    play(story)


def test_another_boot_state_is_told_on_the_timeline(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        fleet.start(agent)
        await fleet.connected("k1")
        agent.disk.boots = "passive"
        await fleet.until(
            lambda: fleet.store.fleet().named("k1").facts.get("boot-state") == "passive"
        )
        assert "passive system" in (await fleet.told("k1", Kind.AGENT))[-1]

    play(story)


# Orders


def test_an_order_goes_to_its_node_and_its_end_comes_back(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        first, other = await fleet.agent("k1", allowed=("exec",)), await fleet.agent("k2")
        fleet.start(first)
        fleet.start(other)
        await fleet.connected("k1", "k2")
        fleet.order("k1", "exec", command="uptime")
        await fleet.until(lambda: fleet.commands("k1")[0].phase is Phase.COMPLETED)
        assert fleet.commands("k1")[0].result == "ran uptime"
        assert [command["args"] for command in first.done] == [{"command": "uptime"}]
        assert other.done == []

    play(story)


def test_an_order_waits_for_an_agent_that_is_away(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        fleet.order("k1", "reboot")
        await asyncio.sleep(1.5)
        assert fleet.commands("k1")[0].phase is Phase.PENDING
        fleet.start(agent)
        await fleet.until(lambda: fleet.commands("k1")[0].phase is Phase.COMPLETED)
        assert len(agent.done) == 1

    play(story)


def test_what_the_agent_does_not_take_fails_with_its_reason(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        fleet.start(await fleet.agent("k1"))
        fleet.order("k1", "exec", command="rm -rf /")
        await fleet.until(lambda: fleet.commands("k1")[0].phase is Phase.FAILED)
        assert "not allowed" in fleet.commands("k1")[0].result

    play(story)


def test_statuses_of_others_commands_and_replays_change_nothing(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        agent, other = await fleet.agent("k1"), await fleet.agent("k2")
        await agent.register(fleet.http)
        await other.register(fleet.http)
        mine = await agent.connect(fleet.http)
        theirs = await other.connect(fleet.http)
        number = fleet.order("k1", "reboot")
        assert (await mine.receive_json(timeout=5))["data"]["id"] == number

        async def tell(socket: aiohttp.ClientWebSocketResponse, phase: str) -> None:
            data = {"id": number, "phase": phase, "result": "x"}
            await socket.send_json({"type": "command_status", "data": data})

        await tell(theirs, "Failed")
        await tell(mine, "Completed")
        await fleet.until(lambda: fleet.commands("k1")[0].phase is Phase.COMPLETED)
        for phase in ("Running", "Failed", "Completed"):
            await tell(mine, phase)
        assert "ignored" in (await fleet.told("k2", Kind.REFUSED))[0]
        assert "ignored" in (await fleet.told("k1", Kind.REFUSED))[0]
        assert fleet.commands("k1")[0].phase is Phase.COMPLETED
        await mine.close()
        await theirs.close()

    play(story)


# Upgrades


def test_an_upgrade_rolls_through_all_one_at_a_time(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agents = [await fleet.agent(name, restart_takes=0.2) for name in NAMES]
        for agent in agents:
            fleet.start(agent)
        await fleet.connected(*NAMES)
        lines = await fleet.upgrade(*NAMES)
        ordered = [line for line in lines if line.endswith("ordered")]
        assert ordered == [f"{name}: upgrade ordered" for name in NAMES]
        done = [line for line in lines if line.endswith(": done")]
        assert lines.index("k2: upgrade ordered") > lines.index("k1: done")
        assert len(done) == 3
        assert all(a.disk.active == f"artifact:{fleet.image.digest.hex}" for a in agents)
        assert await fleet.upgrade(*NAMES) == [f"{name}: has it already" for name in NAMES]

    play(story)


def test_one_that_comes_back_passive_stops_the_roll(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agents = [
            await fleet.agent(name, restart_takes=0.2, starts=starts)
            for name, starts in zip(NAMES, ("active", "passive", "active"), strict=True)
        ]
        for agent in agents:
            fleet.start(agent)
        await fleet.connected(*NAMES)
        lines = await fleet.upgrade(*NAMES)
        assert lines[-1] == "stopped: k2 came back passive: its new system did not start"
        assert agents[2].done == []

    play(story)


def test_nobody_is_upgraded_while_too_many_are_away(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        first, away = await fleet.agent("k1"), await fleet.agent("k2")
        fleet.start(first)
        await away.register(fleet.http)
        await fleet.connected("k1")
        lines = await fleet.upgrade("k1", "k2")
        assert lines[-1].startswith("stopped: k2: not connected")
        assert first.done == []

    play(story)


def test_the_image_comes_as_one_tar_for_the_agents_key_alone(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        await agent.register(fleet.http)
        path = f"{fleet.url}/api/v1/artifacts/{fleet.image.digest.hex}/image"
        key = agent.disk.credentials["apiKey"]
        async with fleet.http.get(path, params={"token": key}) as answer:
            assert answer.status == 200
            body = await answer.read()
            assert len(body) == answer.content_length
        with tarfile.open(fileobj=BytesIO(body)) as tar:
            names = tar.getnames()
            (entry,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
            layer = tar.extractfile(entry["Layers"][0])
            assert layer is not None
            assert layer.read() == b"a layer"
            (listed,) = json.load(tar.extractfile("index.json"))["manifests"]  # type: ignore[arg-type]
        assert listed["digest"] == fleet.image.digest
        for name in names:
            if name.startswith("blobs/"):
                with tarfile.open(fileobj=BytesIO(body)) as tar:
                    file = tar.extractfile(name)
                    assert file is not None
                    assert Digest.of(file.read()).hex == name.rpartition("/")[2]
        for wrong in ("", "0" * 64):
            async with fleet.http.get(path, params={"token": wrong}) as answer:
                assert answer.status == 401
        async with fleet.http.get(
            path.replace(fleet.image.digest.hex, "0" * 64), params={"token": key}
        ) as answer:
            assert answer.status == 404

    play(story)
