"""`nodes power`, `power login` and `nodes reinstall --now`, without a controller."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.power import Power, PowerKind
from kairos_netboot.boot.site import NodeSpec, Profile, Site
from kairos_netboot.cli.main import app
from kairos_netboot.cli.restart import network_boot
from kairos_netboot.errors import InvalidValue, NetbootError, PowerProblem, UnknownName
from kairos_netboot.power.switch import NetworkBoot
from kairos_netboot.store.logins import Login, read_login
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac

QEMU = Power(kind=PowerKind.QEMU, address="/nowhere/alpha.qmp")
WAKE = Power(kind=PowerKind.WAKE, address="127.0.0.1")
IPMI = Power(kind=PowerKind.IPMI, address="127.0.0.1:1", login="bmc")
Run = Callable[..., Result]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    kinds = {"alpha": QEMU, "beta": WAKE, "gamma": None, "delta": IPMI}
    nodes = {
        name: NodeSpec(
            name=name, macs=(Mac(f"52:54:00:00:00:0{number}"),), profile="p", power=power
        )
        for number, (name, power) in enumerate(kinds.items())
    }
    store = Store(tmp_path / "state")
    profiles = {"p": Profile(name="p", image="debian")}
    store.apply(Site(images={}, profiles=profiles, nodes=nodes), datetime.now(UTC))
    store.close()
    return tmp_path / "state"


@pytest.fixture
def run(state: Path) -> Run:
    def call(*arguments: str, given: str = "") -> Result:
        result = CliRunner().invoke(app, ["--state", str(state), *arguments], input=given)
        if isinstance(result.exception, NetbootError):
            raise result.exception
        return result

    return call


def told(state: Path, name: str) -> list[str]:
    store = Store(state)
    try:
        events = store.timeline(store.fleet().named(name).id)
    finally:
        store.close()
    return [event.text for event in events if event.kind is Kind.POWER]


def state_of(state: Path, name: str) -> State:
    store = Store(state)
    try:
        return store.fleet().named(name).state
    finally:
        store.close()


def test_each_node_has_its_line_and_one_failure_fails_the_command(run: Run, state: Path) -> None:
    result = run("nodes", "power", "off", "alpha", "beta", "gamma", "delta")
    assert result.exit_code == 1
    assert sorted(result.output.splitlines()) == [
        "alpha: was off already",
        "beta: wake-on-lan only switches on: switch it off by hand",
        "delta: no login 'bmc': `kairos-netboot power login bmc --user USER`",
        "gamma: has no `power` in the site file, which says how it is switched",
    ]
    assert told(state, "alpha") == ["power: was off already"]
    assert told(state, "gamma") == []


def test_a_state_is_told_and_not_written_down(run: Run, state: Path) -> None:
    result = run("nodes", "power", "status", "alpha", "beta")
    assert result.exit_code == 0
    assert sorted(result.stdout.splitlines()) == [
        "alpha: off (no QEMU listens at /nowhere/alpha.qmp)",
        "beta: unknown (wake-on-lan does not tell)",
    ]
    assert told(state, "alpha") == []


def test_who_is_meant_may_be_a_pattern(run: Run) -> None:
    assert run("nodes", "power", "status", "al*").stdout.startswith("alpha: off")
    with pytest.raises(UnknownName, match="no node fits 'x\\*'"):
        run("nodes", "power", "status", "x*")


def test_a_restart_that_fails_leaves_the_node_armed_and_says_so(run: Run, state: Path) -> None:
    with pytest.raises(PowerProblem) as caught:
        run("nodes", "reinstall", "alpha", "--now")
    assert str(caught.value) == (
        "alpha is armed, but was not restarted: no QEMU listens at /nowhere/alpha.qmp: start the"
        " machine with what started it before. It installs when it next boots from the network"
    )
    assert state_of(state, "alpha") is State.ARMED
    assert len(told(state, "alpha")) == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("beta", "beta has wake-on-lan, which restarts nothing"),
        ("gamma", "gamma has no `power`"),
        ("delta", "no login 'bmc'"),
    ],
)
def test_a_restart_that_cannot_work_arms_nothing(
    run: Run, state: Path, name: str, why: str
) -> None:
    store = Store(state)
    before = store.timeline(store.fleet().named(name).id)
    with pytest.raises(NetbootError, match=why):
        run("nodes", "reinstall", name, "--now")
    assert store.timeline(store.fleet().named(name).id) == before
    store.close()


def test_a_password_comes_from_the_input_and_is_not_shown(run: Run, state: Path) -> None:
    result = run("power", "login", "bmc", "-", "--user", "root", given="hunter2\n")
    assert result.output == "login bmc: kept, for user root\n"
    store = Store(state)
    assert read_login(store, "bmc") == Login(user="root", password="hunter2")
    store.close()
    assert run("power", "logins").stdout.split() == [
        "NAME",
        "USER",
        "NODES",
        "bmc",
        "root",
        "delta",
    ]
    assert run("power", "logout", "bmc").stdout == (
        "login bmc: forgotten, and delta cannot do without it\n"
    )


def test_a_password_is_asked_for_and_not_echoed(run: Run) -> None:
    result = run("power", "login", "bmc", "--user", "root", given="hunter2\n")
    assert "hunter2" not in result.output
    assert "login bmc: kept" in result.output


@pytest.mark.parametrize(
    ("arguments", "given", "why"),
    [
        (("bmc", "hunter2", "--user", "root"), "", "does not belong into a command"),
        (("bmc", "-", "--user", "root"), "", "a password is one line"),
        (("bmc", "-", "--user", "a:b"), "x\n", "no colon"),
        (("bmc", "-", "--user", ""), "x\n", "a user is one line"),
        (("b/c", "-", "--user", "root"), "x\n", "no name for a login"),
    ],
)
def test_what_is_no_login_is_refused(
    run: Run, arguments: tuple[str, ...], given: str, why: str
) -> None:
    with pytest.raises(InvalidValue, match=why) as caught:
        run("power", "login", *arguments, given=given)
    assert "hunter2" not in str(caught.value)


def test_a_lost_key_is_told_in_the_list(run: Run, state: Path) -> None:
    run("power", "login", "bmc", "-", "--user", "root", given="x\n")
    (state / "secret.key").unlink()
    assert "cannot be read: its key is lost" in run("power", "logins").stdout


@pytest.mark.parametrize(
    ("facts", "how"),
    [
        ({"firmware": "bios"}, NetworkBoot.BIOS),
        ({"firmware": "uefi"}, NetworkBoot.PXE),
        ({}, NetworkBoot.PXE),
    ],
)
def test_how_it_boots_is_its_firmwares_affair(facts: dict[str, str], how: NetworkBoot) -> None:
    spec = NodeSpec(name="alpha", profile="p")
    node = Node(id=1, macs=(), state=State.ARMED, spec=spec, facts=facts)
    assert network_boot(node, Fleet((node,))) is how
