"""Nodes of other systems, by HTTP: script, document, reports, and how their install ends."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kairos_netboot.boot.actions import Action
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.site import BootFiles, ImageFacts, KernelFiles, Profile, Site, Template
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch
from tests.unit.boot.sample import IMAGE, PROFILE, SPEC
from tests.unit.store.sample import keep
from tests.wire.served import INITRD, KERNEL, NOW, Served, Story, _play

pytestmark = pytest.mark.wire

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FILES = {
    "talos": "machine-config.yaml",
    "flatcar": "config.ign",
    "fedora-coreos": "config.ign",
    "k3os": "config.yaml",
    "generic": "settings.sh",
}
VARIABLES = {"endpoint": "https://192.0.2.10:6443", "disk": "/dev/sda", "token": "change-me"}


def profile_of(family: str, action: Action = Action.INSTALL) -> Profile:
    name = FILES[family]
    template = Template(name=name, text=(EXAMPLES / family / name).read_text())
    return replace(
        PROFILE,
        family=family,
        action=action,
        templates=(template,),
        variables=VARIABLES,
        disks=("/dev/sda",) if family not in ("talos", "generic") else (),
    )


def tell(state: Path, story: Story, profile: Profile, *, rootfs: bytes = b"") -> None:
    store = Store(state)
    kernel, initrd, *others = keep(store.blobs, KERNEL, INITRD, *([rootfs] if rootfs else []))
    files = KernelFiles(kernel=kernel, initrd=initrd)
    if others:
        files = BootFiles(kernel=kernel, initrd=initrd, rootfs=others[0])
    facts = ImageFacts(arch=Arch.AMD64, rootfs_format="cpio" if others else "")
    image = replace(IMAGE, files=files, facts=facts)
    store.add_image(image)
    store.apply(Site(images={}, profiles={"server": profile}, nodes={"alpha": SPEC}), NOW)
    try:
        asyncio.run(_play(store, image, {}, story))
    finally:
        store.close()


def state(served: Served) -> State:
    return served.store.fleet().named("alpha").state


async def boot(served: Served) -> tuple[str, str]:
    """The script of a boot that begins, and its reports' path."""
    script = await served.script()
    report = re.search(r"http://[^/]+(/reports/\w+)/boot-failed", script)
    assert report, script
    return script, report[1]


def path_after(script: str, word: str) -> str:
    found = re.search(rf" {re.escape(word)}http://[^/]+(\S+)", script)
    assert found, script
    return found[1]


async def report(served: Served, path: str, event: str) -> None:
    assert (await served.client.post(f"{path}/{event}")).status == 200


def test_talos_is_done_when_it_has_its_machine_config_and_may_read_it_again(
    tmp_path: Path,
) -> None:
    async def story(served: Served) -> None:
        script, _ = await boot(served)
        path = path_after(script, "talos.config=")
        assert (await served.client.head(path)).status == 200
        assert state(served) is State.BOOTING  # nobody has read it
        for _ in range(2):
            response = await served.get(path)
            assert response.content_type == "application/yaml"
            assert response.headers["Cache-Control"] == "no-store"
            assert "\n    hostname: alpha\n" in await response.text()
            assert state(served) is State.INSTALLED
        assert "exit 1" in await served.script()  # the next boot is its disk's
        kinds = [event.kind for event in served.store.timeline(served.node.id)]
        assert kinds.count(Kind.INSTALL_FINISHED) == 1
        told = await served.told()
        assert "took its machine config; nothing more is told of this install" in told

    tell(tmp_path / "state", story, profile_of("talos"))


def test_an_earlier_boots_machine_config_is_closed(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        script, _ = await boot(served)
        earlier = path_after(script, "talos.config=")
        script, _ = await boot(served)
        assert (await served.get(earlier)).status == 404
        assert state(served) is State.BOOTING
        assert (await served.get(path_after(script, "talos.config="))).status == 200

    tell(tmp_path / "state", story, profile_of("talos"))


def test_talos_in_memory_asks_for_nothing_and_is_started_at_each_boot(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        for _ in range(4):
            script, _ = await boot(served)
            assert "talos.config" not in script
            assert state(served) is State.LIVE

    profile = replace(profile_of("talos", Action.RAM), templates=())
    tell(tmp_path / "state", story, profile)


def _units(config: Any) -> dict[str, Any]:
    return {unit["name"]: unit for unit in config["systemd"]["units"]}


def test_flatcar_is_installed_by_its_live_system_and_reports(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        script, reports = await boot(served)
        installer = path_after(script, "ignition.config.url=")
        response = await served.get(installer)
        assert response.content_type == "application/vnd.coreos.ignition+json"
        unit = _units(await response.json())["kairos-netboot-install.service"]["contents"]
        assert "flatcar-install -d /dev/sda -i /run/kairos-netboot/config.ign -C stable" in unit
        document = re.search(r"config.ign http://[^/]+(\S+)", unit)
        assert document
        await report(served, reports, "install-started")
        config = json.loads(await (await served.get(document[1])).text())
        assert config["storage"]["files"][0]["contents"] == {"source": "data:,alpha"}
        assert reports in _units(config)["kairos-netboot-ready.service"]["contents"]
        assert state(served) is State.INSTALLING
        await report(served, reports, "install-finished")
        for path in (installer, document[1]):
            assert (await served.get(path)).status == 404
        assert "exit 1" in await served.script()
        await report(served, reports, "ready")
        assert state(served) is State.READY

    profile = profile_of("flatcar")
    given = {**VARIABLES, "flatcar_install_args": ["-C", "stable"]}
    tell(tmp_path / "state", story, replace(profile, variables=given))


def test_fedora_coreos_has_hooks_around_its_installer(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        script, reports = await boot(served)
        rootfs = await served.get(path_after(script, "coreos.live.rootfs_url="))
        assert await rootfs.read() == b"070701 rootfs"
        config = await (await served.get(path_after(script, "ignition.config.url="))).json()
        assert set(_units(config)) == {
            "kairos-netboot-started.service",
            "kairos-netboot-finished.service",
            "coreos-installer.service",
        }
        await report(served, reports, "install-started")
        path = path_after(script, "coreos.inst.ignition_url=")
        assert "kairos-netboot-ready.service" in _units(await (await served.get(path)).json())
        await report(served, reports, "install-finished")
        await report(served, reports, "ready")
        assert state(served) is State.READY
        assert any("fetched rootfs.img" in text for text in await served.told())

    tell(tmp_path / "state", story, profile_of("fedora-coreos"), rootfs=b"070701 rootfs")


@pytest.mark.parametrize("family", ["flatcar", "fedora-coreos"])
def test_in_memory_the_nodes_own_config_is_read_and_it_reports(family: str, tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        script, reports = await boot(served)
        path = path_after(script, "ignition.config.url=")
        assert "coreos.inst" not in script
        assert "kairos-netboot-ready.service" in _units(await (await served.get(path)).json())
        assert (await served.get(path.replace("config.ign", "installer.ign"))).status == 404
        assert state(served) is State.LIVE
        await report(served, reports, "ready")
        assert state(served) is State.READY

    tell(tmp_path / "state", story, profile_of(family, Action.RAM), rootfs=b"070701 rootfs")


def test_k3os_is_done_with_its_config_and_reports_from_its_disk(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        script, reports = await boot(served)
        text = await (await served.get(path_after(script, "k3os.install.config_url="))).text()
        assert "hostname: alpha\n" in text
        assert f"{reports}/ready" in text
        assert state(served) is State.INSTALLED
        await report(served, reports, "ready")
        assert state(served) is State.READY

    tell(tmp_path / "state", story, profile_of("k3os"))


def test_a_generic_system_reads_and_reports_as_it_likes(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        script, reports = await boot(served)
        response = await served.get(path_after(script, "settings="))
        assert response.content_type == "text/plain"
        text = await response.text()
        assert text.startswith("name=alpha\nreport=http://")
        assert text.endswith(f"{reports}\n")
        for event, after in (
            ("install-started", State.INSTALLING),
            ("install-finished", State.INSTALLED),
            ("ready", State.READY),
        ):
            await report(served, reports, event)
            assert state(served) is after

    profile = profile_of("generic")
    args = ("settings={{ document_url }}", "report={{ report_url }}")
    tell(tmp_path / "state", story, replace(profile, kernel_args=args))


def test_wrong_addresses_are_errors_and_told(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        script, reports = await boot(served)
        path = path_after(script, "ignition.config.url=")
        folder = path.rpartition("/")[0]
        for wrong in ("machine-config.yaml", "document", "other"):
            assert (await served.get(f"{folder}/{wrong}")).status == 404
        assert (await served.get(f"/documents/{'0' * 32}/config.ign")).status == 404
        await report(served, reports, "install-finished")
        assert (await served.get(path)).status == 404
        assert "got no document: alpha is installed, not being installed" in await served.told()

    tell(tmp_path / "state", story, profile_of("flatcar"))


def test_a_document_that_would_break_begins_no_boot(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        response = await served.get(f"/boot/{SPEC.macs[0].hyphens}/script.ipxe")
        assert response.status == 500
        assert state(served) is State.ARMED
        assert any("systemd.unit: Ignition knows no such key" in t for t in await served.told())

    text = '{"ignition": {"version": "3.3.0"}, "systemd": {"unit": []}}'
    wrong = replace(profile_of("flatcar"), templates=(Template(name="config.ign", text=text),))
    tell(tmp_path / "state", story, wrong)
