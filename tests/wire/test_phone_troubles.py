"""What goes wrong with agents: restarts seen half, keys that come twice, floods. Over loopback."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from kairos_netboot.boot.fleetwork import Phase
from kairos_netboot.boot.lifecycle import Kind
from kairos_netboot.web.phones import Phones
from tests.agent import Agent, Disk, Refused
from tests.wire.served import NOW
from tests.wire.test_phonehome import NAMES, Fleet, Story, play

__all__ = ["play"]
pytestmark = [pytest.mark.wire, pytest.mark.timeout(120)]
_CLOSED = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)


async def registered(fleet: Fleet, name: str) -> Agent:
    agent = await fleet.agent(name)
    await agent.register(fleet.http)
    return agent


async def has_told(fleet: Fleet, name: str) -> None:
    """A heartbeat over its present connection."""

    def is_so() -> bool:
        known = fleet.known(name)
        return known is not None and known.telling is not None

    await fleet.until(is_so)


def test_who_comes_back_has_told_nothing_before_its_first_heartbeat(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await registered(fleet, "k1")
        socket = await agent.connect(fleet.http)
        await fleet.connected("k1")
        known = fleet.known("k1")
        assert known is not None
        assert known.telling is None
        agent.disk.boots = "passive"
        await socket.send_json(agent.heartbeat_message())
        await has_told(fleet, "k1")
        known = fleet.known("k1")
        assert known is not None
        assert known.boot_state == "passive"
        await socket.close()

    play(story)


def test_a_state_that_a_hook_told_first_is_told_by_the_agent_too(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await registered(fleet, "k1")
        socket = await agent.connect(fleet.http)
        await socket.send_json(agent.heartbeat_message())
        await has_told(fleet, "k1")
        node = fleet.index.fleet.named("k1")
        fleet.index.seen(node.macs[0], {"boot-state": "passive"})
        agent.disk.boots = "passive"
        await socket.send_json(agent.heartbeat_message())

        def is_passive() -> bool:
            known = fleet.known("k1")
            return known is not None and known.boot_state == "passive"

        await fleet.until(is_passive)
        assert "passive system" in (await fleet.told("k1", Kind.AGENT))[-1]
        await socket.close()

    play(story)


def test_of_many_connections_at_once_none_outlives_its_key(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await registered(fleet, "k1")
        sockets = await asyncio.gather(*(agent.connect(fleet.http) for _ in range(6)))
        fleet.store.rearm("k1", NOW)
        for socket in sockets:
            async with asyncio.timeout(10):
                while (await socket.receive()).type not in _CLOSED:
                    pass
        assert fleet.known("k1") is None

    play(story)


def test_one_that_does_not_let_go_holds_up_nobody(play: Callable[[Story], None]) -> None:
    """As a machine that lost its power: nothing answers our close."""

    async def story(fleet: Fleet) -> None:
        agent, other = await registered(fleet, "k1"), await fleet.agent("k2")
        fleet.start(other)
        silent = await agent.connect(fleet.http)  # which is not read from
        await fleet.connected("k1", "k2")
        fleet.store.rearm("k1", NOW)
        fleet.order("k2", "reboot")
        async with asyncio.timeout(6):
            await fleet.until(lambda: fleet.commands("k2")[0].phase is Phase.COMPLETED)
        await silent.close()

    play(story)


def test_a_key_that_comes_from_two_addresses_is_recorded_once(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await registered(fleet, "k1")
        here = await agent.connect(fleet.http)
        await fleet.connected("k1")
        elsewhere = aiohttp.TCPConnector(local_addr=("127.0.0.7", 0))
        async with aiohttp.ClientSession(connector=elsewhere) as http:
            there = await agent.connect(http)
            assert (await here.receive(timeout=5)).type in _CLOSED
            here = await agent.connect(fleet.http)
            assert (await there.receive(timeout=5)).type in _CLOSED
            there = await agent.connect(http)
            assert (await here.receive(timeout=5)).type in _CLOSED
            await there.close()
        assert await fleet.told("k1", Kind.REFUSED) == [
            "its agent's key came from 127.0.0.7 while 127.0.0.1 was connected",
            "its agent's key came from 127.0.0.1 while 127.0.0.7 was connected",
        ]

    play(story)


def test_what_a_command_printed_is_on_no_timeline(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1", allowed=("exec",), runs=lambda _: "first\nK10secret-token")
        fleet.start(agent)
        await fleet.connected("k1")
        fleet.order("k1", "exec", command="cat node-token")
        await fleet.until(lambda: fleet.commands("k1")[0].phase is Phase.COMPLETED)
        assert fleet.commands("k1")[0].result.endswith("K10secret-token")
        said = await fleet.told("k1", Kind.COMMAND)
        assert said[-1] == "exec: Completed"
        assert not any("token" in text for text in said)

    play(story)


def test_a_machine_that_was_reset_through_us_comes_back(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1", allowed=("reset",))
        task = fleet.start(agent)
        await fleet.connected("k1")
        fleet.order("k1", "reset")
        await fleet.until(lambda: fleet.commands("k1")[0].phase is Phase.COMPLETED)
        task.cancel()
        agent.disk = Disk(machine_id="machine-k1 anew", hostname="k1")
        await agent.register(fleet.http)
        socket = await agent.connect(fleet.http)
        await socket.close()

    play(story)


def test_an_order_of_the_life_before_is_not_the_next_systems(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        await registered(fleet, "k1")
        fleet.order("k1", "reset")
        fleet.store.rearm("k1", NOW)
        await fleet.index.load()
        agent = await fleet.agent("k1", allowed=("reset",))
        fleet.start(agent)
        await fleet.connected("k1")
        await asyncio.sleep(1.5)
        assert agent.done == []

    play(story)


def test_who_registers_without_end_is_told_to_wait(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agent, other = await fleet.agent("k1"), await fleet.agent("k2")
        statuses = []
        for number in range(14):
            agent.disk.active = f"v{number}"
            try:
                await agent.register(fleet.http)
                statuses.append(201)
            except Refused as refused:
                statuses.append(refused.status)
        assert statuses == [201] * 10 + [429] * 4
        await other.register(fleet.http)
        assert len(await fleet.told("k1", Kind.AGENT)) == 10

    play(story)


def test_who_is_refused_again_and_again_is_recorded_once(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await registered(fleet, "k1")
        recovery = Disk(machine_id="fleeting", hostname="k1", boots="recovery")
        stranger = Agent(url=fleet.url, token=agent.token, disk=recovery)
        for _ in range(3):
            with pytest.raises(Refused):
                await stranger.register(fleet.http)
            await fleet.told("k1", Kind.REFUSED)
        (said,) = await fleet.told("k1", Kind.REFUSED)
        assert said.endswith("(it runs its recovery system)")

    play(story)


def test_an_agent_that_invents_states_fills_no_timeline(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await registered(fleet, "k1")
        socket = await agent.connect(fleet.http)
        for number in range(40):
            agent.disk.boots = f"state {number}"
            await socket.send_json(agent.heartbeat_message())
        await fleet.until(
            lambda: fleet.store.fleet().named("k1").facts.get("boot-state") == "unknown"
        )
        assert len(await fleet.told("k1", Kind.AGENT)) <= 2
        await socket.close()

    play(story)


def test_a_server_that_starts_knows_nobody_as_connected(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await registered(fleet, "k1")
        socket = await agent.connect(fleet.http)
        await fleet.connected("k1")
        started = asyncio.ensure_future(Phones(fleet.index).run())

        def is_forgotten() -> bool:
            known = fleet.known("k1")
            return known is not None and known.connected is None

        await fleet.until(is_forgotten)
        started.cancel()
        await socket.close()

    play(story)


# The command line, in a process of its own


async def said(fleet: Fleet, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("kairos-netboot")), "--state"),
        *(str(fleet.store.directory), "nodes", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "250"},
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def test_the_command_line_reboots_and_tells(play: Callable[[Story], None]) -> None:
    async def story(fleet: Fleet) -> None:
        agents = [await fleet.agent(name) for name in NAMES[:2]]
        for agent in agents:
            fleet.start(agent)
        await fleet.connected("k1", "k2")
        code, output = await said(fleet, "reboot", "k[12]")
        assert (code, output) == (0, "k1: completed: reboot\nk2: completed: reboot\n")
        assert [len(agent.done) for agent in agents] == [1, 1]
        await fleet.connected("k1", "k2")
        _, listed = await said(fleet, "list")
        assert "AGENT" in listed.splitlines()[0]
        assert listed.count("connected") == 2
        _, shown = await said(fleet, "show", "k1")
        assert "connected since" in shown
        assert "what its agent was ordered last:" in shown
        assert json.dumps(agents[0].disk.credentials["apiKey"]) not in shown

    play(story)


def test_the_command_line_refuses_what_the_node_would_not_take(
    play: Callable[[Story], None],
) -> None:
    async def story(fleet: Fleet) -> None:
        agent = await fleet.agent("k1")
        fleet.start(agent)
        await fleet.connected("k1")
        code, output = await said(fleet, "run", "k1", "--", "uptime")
        assert code == 1
        assert "k1 does not take 'exec': add it to `phone-home: {commands: […]}`" in output
        assert agent.done == []

    play(story)


def test_the_command_line_rolls_until_one_comes_back_passive(
    play: Callable[[Story], None],
) -> None:
    """With the ten seconds that a real agent takes before it restarts."""

    async def story(fleet: Fleet) -> None:
        agents = [
            await fleet.agent(name, restart_takes=11.5, starts=starts)
            for name, starts in zip(NAMES, ("active", "passive", "active"), strict=True)
        ]
        for agent in agents:
            agent.heartbeat = 1.0
            fleet.start(agent)
        await fleet.connected(*NAMES)
        code, output = await said(fleet, "upgrade", *NAMES, "--image", fleet.image.name)
        assert code == 1
        assert "k1: done" in output
        assert "stopped: k2 came back passive: its new system did not start" in output
        assert agents[2].done == []
        source = f"artifact:{fleet.image.digest.hex}"
        assert [agent.disk.active for agent in agents[:2]] == [source, source]

    play(story)
