"""Whatever happens, in whatever order, however often: no machine is installed a second time unless
somebody armed it again, and no secret gets into the wrong hands.

The model is the table of boot/lifecycle.py and what is written here; the machine is the real
store behind the real web application, which may be started anew at any moment.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kairos_netboot.boot.actions import LIVE, Action, Order, Ram
from kairos_netboot.boot.lifecycle import MAX_BOOTS, MAY_INSTALL, MAY_WIPE, TABLE, Kind, State
from kairos_netboot.boot.site import BootFiles, NodeSpec, Profile, Site, Template
from kairos_netboot.config.resources import load_scripts
from kairos_netboot.store.boots import Boots
from kairos_netboot.store.index import Index
from kairos_netboot.store.orders import cancel, order_wipe
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from kairos_netboot.web.app import make_app
from tests.unit.boot.sample import DOCUMENT, IMAGE
from tests.unit.store.sample import keep

pytestmark = [pytest.mark.wire, pytest.mark.timeout(300)]
T = TypeVar("T")

MACS = {"alpha": Mac("52:54:00:00:00:01"), "beta": Mac("52:54:00:00:00:02")}
NAMES = sorted(MACS)
# Most of the time, what everything turns on.
ACTIONS = (*(3 * (Action.INSTALL,)), Action.RAM, Action.RESCUE, Action.LOCAL)
REPORTS = {
    "install-started": Kind.INSTALL_STARTED,
    "step/partitioned": Kind.INSTALL_STEP,
    "step/written": Kind.INSTALL_FINISHED,
    "install-finished": Kind.INSTALL_FINISHED,
    "ready": Kind.READY,
    "boot-failed": Kind.BOOT_FAILED,
    "wiped": Kind.WIPE_FINISHED,
}
# Said here once more, and not by the table: after these only a hand can bring an installer.
ENDS = (
    *(Kind.INSTALL_FINISHED, Kind.READY, Kind.BRAKED, Kind.DISARMED),
    *(Kind.RAM_STARTED, Kind.WIPE_ORDERED),
)
OPEN = (State.ARMED, State.BOOTING, State.INSTALLING)
_TEMPLATE = Template(name="base.yaml", text=DOCUMENT + "secret_of_its_own: {{ secret }}\n")
_ADDRESSES = re.compile(r"http://[^/\s]+(/(documents|reports)/([0-9a-f]+))")


@dataclass
class Boot:
    """One that was handed out: whose, what for, and what it lets its machine do."""

    node: str
    action: Action
    document: str = ""
    report: str = ""
    is_heard: bool = True  # until the node is armed again


@dataclass
class Model:
    """A node as it must be."""

    state: State = State.DISCOVERED
    boots: int = 0
    action: Action = Action.INSTALL
    named: bool = True
    order: Order | None = None
    newest: Boot | None = None
    may_install: bool = False  # somebody armed it, and no end was heard since
    reported: set[tuple[str, str]] = field(default_factory=set)

    def happens(self, kind: Kind) -> None:
        if (self.state, kind) not in TABLE:
            return
        self.state = TABLE[self.state, kind]
        if kind in (Kind.NAMED, Kind.REARMED, Kind.WIPE_ORDERED):
            self.boots = 0
        if kind in (Kind.BOOT_STARTED, Kind.WIPE_STARTED):
            self.boots += 1
        if kind in (Kind.NAMED, Kind.REARMED):
            self.may_install = True
        elif kind in ENDS:
            self.may_install = False


class Life(RuleBasedStateMachine):
    """Two machines, their people, and a server that is started anew now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.store = Store(self.folder / "state")
        self.models = {name: Model() for name in NAMES}
        self.boots: list[Boot] = []
        kernel, initrd, rootfs = keep(self.store.blobs, b"kernel", b"initrd", b"rootfs")
        files = BootFiles(kernel=kernel, initrd=initrd, rootfs=rootfs)
        self.store.add_image(replace(IMAGE, files=files))

    def teardown(self) -> None:
        self.do(self.stop())
        self.store.close()
        self.loop.close()
        shutil.rmtree(self.folder)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def start(self) -> None:
        self.index = Index(self.store)
        await self.index.load()
        self.writer = asyncio.ensure_future(self.index.run())
        app = make_app(self.index, self.store.blobs, load_scripts(), {}, Boots(self.index))
        self.client: TestClient[Any, Any] = TestClient(TestServer(app))
        await self.client.start_server()

    async def stop(self) -> None:
        await self.client.close()
        self.writer.cancel()
        await asyncio.gather(self.writer, return_exceptions=True)

    # What people do

    @initialize()
    def the_site_is_applied(self) -> None:
        self.apply()
        self.do(self.start())

    def apply(self) -> None:
        profiles = {
            name: Profile(
                name=name,
                image=IMAGE.name,
                action=model.action,
                templates=(_TEMPLATE,),
                variables={"secret": f"secret-of-{name}"},
                ram=Ram(),
            )
            for name, model in self.models.items()
        }
        nodes = {
            name: NodeSpec(name=name, macs=(MACS[name],), profile=name)
            for name, model in self.models.items()
            if model.named
        }
        self.store.apply(Site(images={}, profiles=profiles, nodes=nodes), datetime.now(UTC))
        for model in self.models.values():
            if model.named and model.state is State.DISCOVERED:
                arms = model.action is Action.INSTALL
                model.happens(Kind.NAMED if arms else Kind.LISTED)

    async def noticed(self) -> None:
        await self.index.load()

    @rule(name=st.sampled_from(NAMES), action=st.sampled_from(ACTIONS))
    def the_profile_does_something_else(self, name: str, action: Action) -> None:
        model = self.models[name]
        before, model.action = model.action, action
        if before is not action and model.named and model.state in (*MAY_INSTALL, *MAY_WIPE):
            model.happens(Kind.DISARMED)
        self.apply()
        self.do(self.noticed())

    @rule(name=st.sampled_from(NAMES))
    def it_is_taken_out_of_the_site_or_put_back(self, name: str) -> None:
        model = self.models[name]
        model.named = not model.named
        if not model.named:
            model.newest = None
        self.apply()
        self.do(self.noticed())

    @precondition(lambda self: any(model.named for model in self.models.values()))
    @rule(name=st.sampled_from(NAMES))
    def it_is_armed_again(self, name: str) -> None:
        model = self.models[name]
        if not model.named:
            return
        self.store.rearm(name, datetime.now(UTC))
        self._happens_by_hand(name, Kind.REARMED)

    def _happens_by_hand(self, name: str, kind: Kind) -> None:
        """Nobody is at work on it after that."""
        model = self.models[name]
        model.happens(kind)
        model.order = model.newest = None
        for boot in self.boots:
            if boot.node == name:
                boot.is_heard = False
        self.do(self.noticed())

    @rule(name=st.sampled_from(NAMES))
    def its_disk_is_to_be_wiped(self, name: str) -> None:
        if self.models[name].named:
            with self.store.writing() as connection:
                order_wipe(connection, name, ("/dev/vda",), datetime.now(UTC))
            self._happens_by_hand(name, Kind.WIPE_ORDERED)

    @rule(name=st.sampled_from(NAMES))
    def that_is_taken_back(self, name: str) -> None:
        if self.models[name].named and self.models[name].state in MAY_WIPE:
            with self.store.writing() as connection:
                cancel(connection, name, datetime.now(UTC))
            self._happens_by_hand(name, Kind.DISARMED)

    @rule(name=st.sampled_from(NAMES), action=st.sampled_from([Action.RESCUE, Action.LOCAL]))
    def something_else_is_ordered_once(self, name: str, action: Action) -> None:
        model = self.models[name]
        if not model.named or model.state in MAY_WIPE:
            return
        model.order = Order(action=action)
        self.store.set_order(name, model.order, datetime.now(UTC))
        self.do(self.noticed())

    # What machines do

    @rule(name=st.sampled_from(NAMES))
    def it_boots_from_the_network(self, name: str) -> None:
        model = self.models[name]
        text = self.do(self._script(name))
        boot = self._read_script(name, text)
        wanted = self._expected(model)
        assert (boot.action if boot else None) == wanted, text
        if boot is None:
            return
        if boot.action is Action.INSTALL:
            # What this test is for.
            assert model.may_install
            assert model.boots < MAX_BOOTS
            model.happens(Kind.BOOT_STARTED)
        elif boot.action is Action.WIPE:
            assert model.state in MAY_WIPE
            model.happens(Kind.WIPE_STARTED)
        elif boot.action is Action.RAM:
            model.happens(Kind.RAM_STARTED)
        model.order, model.newest = None, boot
        self.boots.append(boot)

    def _expected(self, model: Model) -> Action | None:
        """What is started, by the rules that people are told; None: its disk, or nothing."""
        if not model.named:
            return None
        action = model.order.action if model.order else model.action
        if model.state in MAY_WIPE:
            return self._unless_braked(model, Action.WIPE)
        if action is Action.LOCAL:
            model.order = None
            return None
        if action is not Action.INSTALL:
            return action
        if model.state not in OPEN:
            return None
        return self._unless_braked(model, action)

    def _unless_braked(self, model: Model, action: Action) -> Action | None:
        if model.boots < MAX_BOOTS:
            return action
        model.happens(Kind.BRAKED)
        return None

    async def _script(self, name: str) -> str:
        answer = await self.client.get(f"/boot/{MACS[name].hyphens}/script.ipxe")
        return await answer.text()

    def _read_script(self, name: str, text: str) -> Boot | None:
        paths = {what: path for path, what, _ in _ADDRESSES.findall(text)}
        if "documents" not in paths:
            return None
        words = text.split()
        action = Action.RESCUE
        if "install-mode" in words:
            action = Action.INSTALL
        elif "erases" in text:
            action = Action.WIPE
        elif any(word.startswith("kairos.ram") for word in words):
            action = Action.RAM
        return Boot(
            node=name,
            action=action,
            document=f"{paths['documents']}/cloud-config.yaml",
            report=paths.get("reports", ""),
        )

    @rule(name=st.sampled_from(NAMES), event=st.sampled_from(sorted(REPORTS)))
    def it_boots_reports_and_boots_again(self, name: str, event: str) -> None:
        self.it_boots_from_the_network(name)
        newest = self.models[name].newest
        if newest is not None:
            self._told(newest, event)
            self.every_state_is_the_tables()
        self.it_boots_from_the_network(name)

    @precondition(lambda self: self.boots)
    @rule(data=st.data(), event=st.sampled_from(sorted(REPORTS)))
    def a_machine_reports(self, data: st.DataObject, event: str) -> None:
        """From whichever boot, late and twice as well."""
        self._told(data.draw(st.sampled_from(self.boots)), event)

    def _told(self, boot: Boot, event: str) -> None:
        model = self.models[boot.node]
        status = self.do(self._report(boot, event))
        if not boot.is_heard:
            assert status == 404
            return
        if status == 200 and (boot.report, event) not in model.reported:
            model.reported.add((boot.report, event))
            model.happens(REPORTS[event])

    async def _report(self, boot: Boot, event: str) -> int:
        return (await self.client.post(f"{boot.report}/{event}")).status

    @precondition(lambda self: self.boots)
    @rule(data=st.data())
    def somebody_asks_for_a_document(self, data: st.DataObject) -> None:
        boot = data.draw(st.sampled_from(self.boots))
        model = self.models[boot.node]
        answer = self.do(self._document(boot.document))
        others = [name for name in NAMES if name != boot.node]
        assert not any(f"secret-of-{name}" in answer for name in others)
        is_open = model.newest is boot and self._opens(model, boot)
        if not is_open:
            assert "secret-of-" not in answer
        elif boot.action in (Action.INSTALL, Action.RAM):  # the others' documents hold none
            assert f"secret-of-{boot.node}" in answer

    def _opens(self, model: Model, boot: Boot) -> bool:
        if boot.action in LIVE:
            return model.named
        if boot.action is Action.WIPE:
            return model.named and model.state in MAY_WIPE
        return model.named and model.state in OPEN

    async def _document(self, path: str) -> str:
        answer = await self.client.get(path)
        assert answer.status == 200
        return await answer.text()

    @rule(guess=st.text(alphabet="0123456789abcdef", min_size=32, max_size=32))
    def somebody_guesses_an_address(self, guess: str) -> None:
        path = f"/documents/{guess}/cloud-config.yaml"
        assert "secret-of-" not in self.do(self._document(path))

    # What servers do

    @rule()
    def the_server_is_started_anew(self) -> None:
        self.do(self.stop())
        self.do(self.start())

    @invariant()
    def every_state_is_the_tables(self) -> None:
        if hasattr(self, "index"):
            self.do(self._settled())

    async def _settled(self) -> None:
        """What only tells, a brake too, is written soon."""
        for _ in range(100):
            states = {node.macs[0]: node.state for node in self.store.fleet().nodes}
            wanted = {MACS[name]: model.state for name, model in self.models.items()}
            wrong = {mac for mac in wanted if states.get(mac, State.DISCOVERED) is not wanted[mac]}
            if not wrong:
                return
            await asyncio.sleep(0.02)
        raise AssertionError((states, wanted))


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
