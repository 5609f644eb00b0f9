"""A roll over the real store; what the server and the agents do is played between two looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.fleet import Node
from kairos_netboot.boot.fleetwork import Phase
from kairos_netboot.boot.site import NodeSpec, Site
from kairos_netboot.cli.roll import Roll, RollStopped, roll
from kairos_netboot.store.agents import (
    Agent,
    Command,
    go_on,
    keep,
    open_commands,
    read_agents,
    read_commands,
    register,
)
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.unit.boot.sample import PROFILE
from tests.unit.store.sample import stand_in

NAMES = ("k1", "k2", "k3")
START = 1_000_000.0


@dataclass
class Rack:
    """Three nodes whose agents do at once what they are told. `comes_back`: which system a node
    runs then; `does`: what a node does instead when it has something to do. Seconds pass as the
    roll waits."""

    store: Store
    now: float = START
    comes_back: dict[str, str] = field(default_factory=dict)
    version: str = "v2"
    does: dict[str, Callable[[Command], None]] = field(default_factory=dict)
    each: Callable[[], None] = lambda: None

    def node(self, name: str) -> Node:
        return self.store.fleet().named(name)

    def agent(self, name: str) -> Agent:
        with self.store.reading() as connection:
            return read_agents(connection)[self.node(name).id]

    def tell(self, name: str, **changes: object) -> None:
        told = replace(self.agent(name), **changes)  # type: ignore[arg-type]
        with self.store.writing() as connection:
            keep(connection, told, f"key of {name}", {})

    def connect(self, name: str, boot_state: str = "active", version: str = "v1") -> None:
        self.tell(
            name, connected=self.now, telling=self.now, boot_state=boot_state, version=version
        )

    def leave(self, name: str) -> None:
        self.tell(name, connected=None, telling=None)

    def enrol(self, name: str) -> None:
        node = self.node(name)
        agent = Agent(
            node=node.id,
            machine_id=name,
            registered=0,
            seen=0,
            boot_state="active",
            token="t",
        )
        with self.store.writing() as connection:
            connection.exec_driver_sql(
                "UPDATE nodes SET phone_keys = '[\"t\"]' WHERE id = ?", (node.id,)
            )
            register(connection, node.id, "t", f"key of {name}", agent, {})
        self.connect(name)

    def phase(self, command: Command, phase: Phase, result: str = "") -> None:
        told = replace(command, phase=phase, result=result, changed=int(self.now))
        with self.store.writing() as connection:
            assert go_on(connection, told)

    def obey(self, command: Command, name: str) -> None:
        self.phase(command, Phase.SENT)
        self.phase(command, Phase.COMPLETED, "Upgrade complete. Rebooting in 10s...")
        self.now += 30
        state = self.comes_back.get(name, "active")
        self.connect(name, state, self.version if state == "active" else "v1")

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.each()
        names = {node.id: node.name for node in self.store.fleet().nodes}
        with self.store.reading() as connection:
            waiting = [c for c in open_commands(connection) if c.phase is Phase.PENDING]
        for command in waiting:
            name = names[command.node]
            self.does.get(name, lambda command, name=name: self.obey(command, name))(command)

    def work(self, *names: str, **changes: object) -> Roll:
        usual = Roll(
            nodes=tuple(self.node(name) for name in names or NAMES),
            command="upgrade",
            args={"source": "artifact:abc"},
            max_unavailable=1,
            timeout=600.0,
            restart_delay=10.0,
            clock=lambda: self.now,
            pause=self.pause,
        )
        return replace(usual, **changes)  # type: ignore[arg-type]

    def run(self, *names: str, **changes: object) -> list[str]:
        lines: list[str] = []
        try:
            lines.extend(roll(self.store, self.work(*names, **changes)))
        except RollStopped as stop:
            lines.append(str(stop))
        return lines

    def commands(self, name: str) -> list[Command]:
        with self.store.reading() as connection:
            return read_commands(connection, self.node(name).id)


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    store = Store(tmp_path / "state")
    store.add_image(stand_in(store.blobs))
    nodes = {
        name: NodeSpec(name=name, macs=(Mac(f"52:54:00:00:01:0{n}"),), profile="server")
        for n, name in enumerate(NAMES)
    }
    store.apply(Site(images={}, profiles={"server": PROFILE}, nodes=nodes), datetime.now(UTC))
    made = Rack(store)
    for name in NAMES:
        made.enrol(name)
    yield made
    store.close()


def test_all_are_upgraded_one_after_the_other(rack: Rack) -> None:
    assert rack.run() == [
        *("k1: upgrade ordered", "k1: done"),
        *("k2: upgrade ordered", "k2: done"),
        *("k3: upgrade ordered", "k3: done"),
    ]


def test_a_second_roll_passes_over_those_that_have_it(rack: Rack) -> None:
    rack.run("k1")
    assert rack.run("k1", "k2") == ["k1: has it already", "k2: upgrade ordered", "k2: done"]


def test_one_that_has_fallen_back_since_does_not_have_it(rack: Rack) -> None:
    rack.run("k1")
    rack.connect("k1", "passive")
    assert rack.run("k1") == ["k1: upgrade ordered", "k1: done"]


@pytest.mark.parametrize("state", ["passive", "recovery", "unknown"])
def test_one_that_comes_back_otherwise_stops_it(rack: Rack, state: str) -> None:
    rack.comes_back = {"k2": state}
    lines = rack.run()
    assert lines[-1] == f"stopped: k2 came back {state}: its new system did not start"
    assert rack.commands("k3") == []


def test_who_is_connected_but_has_told_nothing_yet_is_not_back(rack: Rack) -> None:
    def comes_slowly(command: Command) -> None:
        rack.obey(command, "k1")
        rack.tell("k1", telling=None, boot_state="active")  # of before its restart
        rack.each = lambda: rack.connect("k1", "passive") if rack.now > START + 40 else None

    rack.does = {"k1": comes_slowly}
    lines = rack.run("k1", "k2")
    assert lines[-1] == "stopped: k1 came back passive: its new system did not start"
    assert rack.commands("k2") == []


def test_an_agent_that_comes_anew_before_its_machine_restarts_is_not_back(rack: Rack) -> None:
    rack.version = "v1"
    rack.each = lambda: rack.connect("k1", "active", "v2") if rack.now > START + 90 else None
    assert rack.run("k1", version="v2") == ["k1: upgrade ordered", "k1: restarts", "k1: done"]
    assert rack.now > START + 90


def test_an_image_of_the_same_version_needs_no_other(rack: Rack) -> None:
    rack.version = "v1"
    assert rack.run("k1", version="v1")[-1] == "k1: done"


def test_a_recovery_upgrade_restarts_nothing_and_changes_no_version(rack: Rack) -> None:
    rack.version = "v1"
    lines = rack.run(command="upgrade-recovery", version="v2")
    assert [line for line in lines if line.endswith("done")] == [f"{n}: done" for n in NAMES]


def test_one_that_fails_stops_it_with_the_last_line_of_its_result(rack: Rack) -> None:
    rack.does = {"k1": lambda command: rack.phase(command, Phase.FAILED, "a\nno space left")}
    assert rack.run()[-1] == "stopped: k1 failed: no space left"
    assert rack.commands("k2") == []


def test_one_that_does_not_come_back_stops_it(rack: Rack) -> None:
    def vanishes(command: Command) -> None:
        rack.obey(command, "k1")
        rack.leave("k1")

    rack.does = {"k1": vanishes}
    assert rack.run(timeout=45.0)[-1] == "stopped: k1 has not come back within 45 s"


def test_what_was_not_sent_when_it_stops_is_not_carried_out_later(rack: Rack) -> None:
    rack.does = {"k1": lambda command: None}
    assert rack.run(timeout=5.0)[-1] == "stopped: k1 has not gone on from Pending within 5 s"
    (command,) = rack.commands("k1")
    assert (command.phase, command.result) == (Phase.FAILED, "the roll was stopped")


def test_who_interrupts_it_takes_back_what_was_not_sent(rack: Rack) -> None:
    rack.does = {"k1": lambda command: None}
    lines = roll(rack.store, rack.work())
    assert next(lines) == "k1: upgrade ordered"
    lines.close()
    assert rack.commands("k1")[0].phase is Phase.FAILED


def test_a_node_that_is_armed_meanwhile_stops_it(rack: Rack) -> None:
    def is_armed(_: Command) -> None:
        rack.store.rearm("k1", datetime.now(UTC))

    rack.does = {"k1": is_armed}
    assert rack.run()[-1] == "stopped: k1 failed: it was armed again"


def test_another_that_is_away_for_a_moment_is_waited_for(rack: Rack) -> None:
    rack.leave("k2")
    rack.each = lambda: rack.connect("k2") if rack.now == START + 30 else None
    lines = rack.run("k1", "k2", grace=60.0)
    assert lines[0] == ("waiting: k2: not connected, and no more may be away than 1")
    assert lines[1:] == [
        *("k1: upgrade ordered", "k1: done"),
        *("k2: upgrade ordered", "k2: done"),
    ]


def test_another_that_stays_away_stops_it(rack: Rack) -> None:
    rack.leave("k2")
    lines = rack.run("k1", "k2", grace=60.0)
    assert lines[-1] == "stopped: k2: not connected, and no more may be away than 1"
    assert START + 60 <= rack.now < START + 65
    assert rack.commands("k1") == []


def test_with_room_for_one_that_is_away_the_others_go_on(rack: Rack) -> None:
    rack.leave("k2")
    lines = rack.run(max_unavailable=2)
    assert [line for line in lines if line.endswith("done")] == ["k1: done", "k3: done"]
    assert lines[-1] == "stopped: k2 is not connected: its agent does not phone home"
