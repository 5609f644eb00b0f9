"""Agents, their keys and their commands, in the real store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kairos_netboot.boot.actions import Action
from kairos_netboot.boot.fleet import Event, Node
from kairos_netboot.boot.fleetwork import Phase
from kairos_netboot.boot.lifecycle import MAX_BOOTS, Kind
from kairos_netboot.boot.site import NodeSpec, Site
from kairos_netboot.boot.tokens import BootTokens, key_of
from kairos_netboot.errors import InvalidValue
from kairos_netboot.store.agents import (
    Agent,
    Command,
    add_command,
    forget_connections,
    go_on,
    keep,
    node_of_key,
    open_commands,
    read_agents,
    read_commands,
    read_keys,
    register,
    withdraw,
)
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.unit.boot.sample import IMAGE, PROFILE
from tests.unit.store.sample import stand_in

NOW = datetime(2026, 11, 23, tzinfo=UTC)
NAMES = ("alpha", "beta")


def site() -> Site:
    nodes = {
        name: NodeSpec(name=name, macs=(Mac(f"52:54:00:00:00:0{number}"),), profile="server")
        for number, name in enumerate(NAMES)
    }
    return Site(images={}, profiles={"server": PROFILE}, nodes=nodes)


def make_store(directory: Path) -> Store:
    store = Store(directory)
    store.add_image(stand_in(store.blobs))
    store.apply(site(), NOW)
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = make_store(tmp_path / "state")
    yield made
    made.close()


def install(store: Store, name: str, number: int = 0) -> str:
    """Boot a node that is armed; the token that its document holds."""
    node = store.fleet().named(name)
    tokens = BootTokens.from_random(f"{name[:8]:8}{number:8}".encode())
    event = Event(node=node.id, at=NOW, kind=Kind.BOOT_STARTED, text="boots")
    assert store.begin_boot(node, tokens, event, IMAGE, Action.INSTALL) is not None
    return tokens.phone


def agent_of(node: int, **changes: object) -> Agent:
    fields: dict[str, object] = {
        "node": node,
        "machine_id": "m",
        "registered": 1,
        "seen": 1,
        "boot_state": "active",
        "token": "",
    }
    return Agent(**{**fields, **changes})  # type: ignore[arg-type]


def enrol(
    store: Store, name: str, token: str, key: str = "key", machine: str = "m", state: str = "active"
) -> None:
    """As the web does; raises InvalidValue."""
    node = store.fleet().named(name)
    told = agent_of(node.id, machine_id=machine, boot_state=state, token=key_of(token))
    with store.writing() as connection:
        register(connection, node.id, key_of(token), key_of(key), told, {"version": "v4.2.0"})


def owner(store: Store, key: str) -> str | None:
    with store.reading() as connection:
        number = node_of_key(connection, key_of(key))
    return next((n.name for n in store.fleet().nodes if n.id == number), None)


def alpha(store: Store) -> Node:
    return store.fleet().named("alpha")


def agents(store: Store) -> dict[int, Agent]:
    with store.reading() as connection:
        return read_agents(connection)


# Registration


def test_whoever_has_the_boots_token_gets_the_nodes_key(store: Store) -> None:
    enrol(store, "alpha", install(store, "alpha"))
    assert owner(store, "key") == "alpha"
    assert owner(store, "other") is None
    assert alpha(store).facts["version"] == "v4.2.0"


def test_no_key_is_nobodys(store: Store) -> None:
    enrol(store, "alpha", install(store, "alpha"))
    with store.reading() as connection:
        assert node_of_key(connection, "") is None


def test_a_token_of_another_node_is_none_of_this_one(store: Store) -> None:
    token = install(store, "beta")
    with pytest.raises(InvalidValue, match="no present boot"):
        enrol(store, "alpha", token)


def test_who_registers_again_has_one_key_the_newer(store: Store) -> None:
    token = install(store, "alpha")
    enrol(store, "alpha", token, "old")
    enrol(store, "alpha", token, "new")
    assert (owner(store, "old"), owner(store, "new")) == (None, "alpha")


def test_another_machine_with_the_same_token_changes_nothing(store: Store) -> None:
    token = install(store, "alpha")
    enrol(store, "alpha", token, "key")
    with pytest.raises(InvalidValue, match="another machine"):
        enrol(store, "alpha", token, "stolen", machine="thief")
    assert (owner(store, "key"), owner(store, "stolen")) == ("alpha", None)


def test_a_later_boot_takes_the_key_and_an_earlier_does_not(store: Store) -> None:
    first, second = install(store, "alpha", 1), install(store, "alpha", 2)
    enrol(store, "alpha", first, "first")
    enrol(store, "alpha", second, "second", machine="another disk")
    assert owner(store, "first") is None
    with pytest.raises(InvalidValue, match="an earlier boot"):
        enrol(store, "alpha", first, "again")
    assert owner(store, "second") == "alpha"


def test_a_node_that_is_armed_again_has_neither_agent_nor_orders(store: Store) -> None:
    token = install(store, "alpha")
    enrol(store, "alpha", token)
    order(store, "alpha", "reset")
    store.rearm("alpha", NOW)
    assert owner(store, "key") is None
    assert commands(store) == []
    with pytest.raises(InvalidValue, match="no present boot"):
        enrol(store, "alpha", token)


def test_what_comes_over_a_key_that_was_taken_back_is_not_kept(store: Store) -> None:
    token = install(store, "alpha")
    enrol(store, "alpha", token, "old")
    enrol(store, "alpha", token, "new")
    late = agent_of(alpha(store).id, boot_state="passive", token="stale", connected=1.0)
    with store.writing() as connection:
        keep(connection, late, key_of("old"), {"version": "v0"})
    known = agents(store)[late.node]
    assert (known.boot_state, known.connected) == ("active", None)
    assert known.token == key_of(token)
    assert alpha(store).facts["version"] == "v4.2.0"


def test_what_an_agent_told_is_there_again(store: Store) -> None:
    token = install(store, "alpha")
    enrol(store, "alpha", token)
    told = agent_of(
        alpha(store).id,
        seen=9,
        boot_state="passive",
        token=key_of(token),
        connected=5.5,
        telling=6.5,
        version="v4.2.1",
        agent_version="v2.31.4",
    )
    with store.writing() as connection:
        keep(connection, told, key_of("key"), {"version": "v4.2.1"})
    assert agents(store)[told.node] == told
    assert alpha(store).facts["version"] == "v4.2.1"
    with store.writing() as connection:
        forget_connections(connection)
    assert agents(store)[told.node] == replace(told, connected=None, telling=None)


def test_keys_are_read_by_node(store: Store) -> None:
    enrol(store, "alpha", install(store, "alpha"))
    with store.reading() as connection:
        assert read_keys(connection) == {alpha(store).id: key_of("key")}


# A reset takes the machine id away


def reset(store: Store) -> None:
    number = order(store, "alpha", "reset")
    for phase in (Phase.SENT, Phase.COMPLETED):
        assert told(store, number, phase)


def test_a_machine_that_we_had_reset_registers_with_its_new_id(store: Store) -> None:
    token = install(store, "alpha")
    enrol(store, "alpha", token, "old")
    reset(store)
    enrol(store, "alpha", token, "new", machine="m after reset")
    assert (owner(store, "old"), owner(store, "new")) == (None, "alpha")
    with pytest.raises(InvalidValue, match="another machine"):
        enrol(store, "alpha", token, "stolen", machine="thief")


def test_the_system_that_resets_does_not_take_the_place_of_the_one_after_it(store: Store) -> None:
    token = install(store, "alpha")
    enrol(store, "alpha", token, "old")
    reset(store)
    enrol(store, "alpha", token, "during", machine="fleeting", state="autoreset")
    enrol(store, "alpha", token, "after", machine="lasting")
    assert owner(store, "after") == "alpha"


def test_a_reset_that_failed_lets_nobody_in(store: Store) -> None:
    token = install(store, "alpha")
    enrol(store, "alpha", token)
    number = order(store, "alpha", "reset")
    assert told(store, number, Phase.FAILED)
    with pytest.raises(InvalidValue, match="another machine"):
        enrol(store, "alpha", token, "stolen", machine="thief")


def test_a_recovery_system_of_a_bound_node_is_another_machine(store: Store) -> None:
    token = install(store, "alpha")
    enrol(store, "alpha", token)
    with pytest.raises(InvalidValue, match="another machine"):
        enrol(store, "alpha", token, "stolen", machine="thief", state="recovery")


# Commands


def order(store: Store, name: str, what: str, number: str = "", at: int = 0) -> str:
    node = store.fleet().named(name)
    command = Command(
        id=number or f"{what}-{name}-{at}",
        node=node.id,
        command=what,
        args={"a": "b"},
        phase=Phase.PENDING,
        at=at,
        changed=at,
    )
    with store.writing() as connection:
        add_command(connection, command)
    return command.id


def commands(store: Store, name: str = "alpha") -> list[Command]:
    with store.reading() as connection:
        return read_commands(connection, store.fleet().named(name).id)


def told(store: Store, number: str, phase: Phase, name: str = "alpha", result: str = "") -> bool:
    node = store.fleet().named(name)
    status = Command(
        id=number, node=node.id, command="", phase=phase, result=result, at=0, changed=7
    )
    with store.writing() as connection:
        return go_on(connection, status)


def test_a_command_goes_from_phase_to_phase(store: Store) -> None:
    number = order(store, "alpha", "upgrade")
    for phase in (Phase.SENT, Phase.RUNNING, Phase.COMPLETED):
        assert told(store, number, phase, result=f"it is {phase}")
    (command,) = commands(store)
    assert (command.phase, command.result) == (Phase.COMPLETED, "it is Completed")
    assert (command.command, command.args, command.changed) == ("upgrade", {"a": "b"}, 7)


LEGAL = {
    *((Phase.PENDING, Phase.SENT), (Phase.PENDING, Phase.FAILED)),
    *((Phase.SENT, phase) for phase in (Phase.RUNNING, Phase.COMPLETED, Phase.FAILED)),
    *((Phase.RUNNING, phase) for phase in (Phase.COMPLETED, Phase.FAILED)),
}


@pytest.mark.parametrize("after", Phase)
@pytest.mark.parametrize("before", Phase)
def test_a_phase_follows_its_own_or_changes_nothing(
    store: Store, before: Phase, after: Phase
) -> None:
    ways: dict[Phase, tuple[Phase, ...]] = {
        Phase.PENDING: (),
        Phase.SENT: (Phase.SENT,),
        Phase.RUNNING: (Phase.SENT, Phase.RUNNING),
        Phase.COMPLETED: (Phase.SENT, Phase.COMPLETED),
        Phase.FAILED: (Phase.FAILED,),
    }
    number = order(store, "alpha", "reboot")
    for phase in ways[before]:
        assert told(store, number, phase)
    assert told(store, number, after) is ((before, after) in LEGAL)
    assert commands(store)[0].phase is (after if (before, after) in LEGAL else before)


def test_another_nodes_agent_tells_nothing_of_it(store: Store) -> None:
    number = order(store, "alpha", "reboot")
    assert not told(store, number, Phase.FAILED, name="beta")
    assert not told(store, "no such", Phase.FAILED)
    assert commands(store)[0].phase is Phase.PENDING


def test_what_was_not_sent_yet_can_be_withdrawn(store: Store) -> None:
    waiting, sent = order(store, "alpha", "upgrade", at=1), order(store, "alpha", "reboot", at=2)
    other = order(store, "beta", "upgrade")
    told(store, sent, Phase.SENT)
    with store.writing() as connection:
        withdraw(connection, [waiting, sent], "stopped", 9)
    assert [(c.phase, c.result) for c in commands(store)] == [
        (Phase.FAILED, "stopped"),
        (Phase.SENT, ""),
    ]
    with store.reading() as connection:
        assert [c.id for c in open_commands(connection)] == [other, sent]


def test_of_a_nodes_commands_the_newest_are_kept_and_all_that_are_open(store: Store) -> None:
    first = order(store, "alpha", "reboot", "open", at=0)
    for number in range(130):
        ended = order(store, "alpha", "exec", f"n{number:03}", at=number + 1)
        told(store, ended, Phase.FAILED)
    kept = [command.id for command in commands(store)]
    assert kept[0] == first
    assert len(kept) <= 102
    assert kept[-1] == "n129"


# Whatever happens, in whatever order


@dataclass
class World:
    """What is true, as against what the store believes. `tokens` of each node's present life, with
    the machine that has them; thieves have them all, but always come after the machine."""

    tokens: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in NAMES})
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)  # key → node, machine
    bound: dict[str, tuple[str, str]] = field(default_factory=dict)  # node → token, machine
    serial: int = 0


STEPS = st.tuples(
    st.sampled_from(
        ["install", "rearm", "register", "steal", "wrong", "order", "status", "strange-status"]
    ),
    st.sampled_from(NAMES),
    st.integers(0, 3),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_no_order_of_events_gives_a_key_to_who_was_not_installed_nor_a_command_to_another_node(
    steps: list[tuple[str, str, int]],
) -> None:
    with TemporaryDirectory() as folder:
        store = make_store(Path(folder) / "state")
        try:
            world = World()
            for what, name, number in steps:
                _happens(store, world, what, name, number)
                _holds(store, world)
        finally:
            store.close()


def _happens(store: Store, world: World, what: str, name: str, number: int) -> None:
    world.serial += 1
    other = next(n for n in NAMES if n != name)
    own = world.tokens[name]
    token = own[number % len(own)] if own else "no token"
    match what:
        case "install" if _may_install(store, name):
            own.append(install(store, name, world.serial))
        case "rearm":
            store.rearm(name, NOW)
            own.clear()
            world.bound.pop(name, None)
        case "register":
            _registers(store, world, name, token, f"machine of {name}")
        case "steal" if name in world.bound:
            _registers(store, world, name, world.bound[name][0], "thief")
        case "wrong":
            _registers(store, world, other, token, "thief")
        case "order":
            order(store, name, "reboot", f"c{world.serial}")
        case "status" | "strange-status":
            _tells(store, name, other if what == "status" else name, number)


def _may_install(store: Store, name: str) -> bool:
    node = store.fleet().named(name)
    return node.state not in ("installed", "ready") and node.boots < MAX_BOOTS


def _registers(store: Store, world: World, name: str, token: str, machine: str) -> None:
    key = f"key {world.serial}"
    try:
        enrol(store, name, token, key, machine)
    except InvalidValue:
        return
    world.keys[key] = (name, machine)
    world.bound[name] = (token, machine)
    assert token in world.tokens[name]
    assert machine == f"machine of {name}"


def _tells(store: Store, about: str, by: str, number: int) -> None:
    """The status of one node's command, told by a node that may be another."""
    for command in commands(store, about)[:1]:
        went = told(store, command.id, list(Phase)[number], name=by)
        assert not went or about == by


def _holds(store: Store, world: World) -> None:
    for key, (name, machine) in world.keys.items():
        assert machine == f"machine of {name}"
        assert owner(store, key) in (None, name)
    for name in NAMES:
        good = [key for key in world.keys if owner(store, key) == name]
        assert len(good) <= 1
        assert not good or world.tokens[name]
        node = store.fleet().named(name)
        with store.reading() as connection:
            assert all(c.node == node.id for c in read_commands(connection, node.id))
