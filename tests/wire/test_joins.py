"""Join tokens over HTTP: from a cluster's first server, and from nobody else."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.clusters import Cluster, ClusterKind, join_secret
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.site import NodeSpec, Site
from kairos_netboot.values import Mac
from tests.unit.boot.sample import MAC, PROFILE
from tests.wire.served import Served, tell

pytestmark = pytest.mark.wire
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
OTHER = Mac("52:54:00:00:00:02")
TOKEN, ANOTHER = "H4sIAAAA" * 300 + "==", "H4sIBBBB" * 300 + "=="
PROD = Cluster(name="prod", kind=ClusterKind.K0S)
NODES = {
    name: NodeSpec(name=name, macs=(mac,), profile="server", cluster="prod")
    for name, mac in (("alpha", MAC), ("beta", OTHER))
}


async def ready(served: Served) -> str:
    """The reports' path of the first controller, which is up."""
    profiles, clusters = {"server": PROFILE}, {"prod": PROD}
    site = Site(images={}, profiles=profiles, nodes=NODES, clusters=clusters)
    served.store.apply(site, NOW)
    await served.index.load()
    _, reports = await served.urls()
    for event in ("install-started", "install-finished", "ready"):
        fields = {"addresses": "192.0.2.7"} if event == "ready" else {}
        assert (await served.client.post(f"{reports}/{event}", data=fields)).status == 200
    assert served.node.state is State.READY
    return reports


def kept(served: Served) -> dict[str, str]:
    return dict(served.index.fleet.standings["prod"].secrets)


def test_a_worker_waits_for_the_token_and_gets_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(served: Served) -> None:
        script = f"/boot/{OTHER.hyphens}/script.ipxe"
        reports = await ready(served)
        assert "config_url" not in await (await served.get(script)).text()
        data = {"token": TOKEN + "\n"}
        for _ in range(2):
            assert (await served.client.post(f"{reports}/join/worker", data=data)).status == 200
        assert kept(served) == {join_secret("worker"): TOKEN}
        begun = await (await served.get(script)).text()
        path = begun.split("config_url=", 1)[1].split()[0].split("/", 3)[3]
        document = await (await served.get(f"/{path}")).text()
        assert TOKEN in document
        timelines = [e.text for n in served.index.fleet.nodes for e in served.store.timeline(n.id)]
        assert not [text for text in timelines if TOKEN[:40] in text]

    tell(tmp_path, story)
    assert TOKEN[:40] not in caplog.text


def test_another_value_is_refused_and_on_the_timeline(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        reports = await ready(served)
        for value, status in ((TOKEN, 200), (ANOTHER, 409), (TOKEN, 200)):
            answer = await served.client.post(f"{reports}/join/worker", data={"token": value})
            assert answer.status == status
        assert kept(served) == {join_secret("worker"): TOKEN}
        assert "told another join token (worker) than before: refused" in await served.told()

    tell(tmp_path, story)


def test_what_is_no_token_and_who_is_no_first_controller_is_refused(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        reports = await ready(served)
        post = served.client.post
        for data in ({}, {"token": ""}, {"token": "a b" * 20}, {"token": "x" * 20_000}):
            assert (await post(f"{reports}/join/worker", data=data)).status == 400
        assert (await post(f"{reports}/join/root", data={"token": TOKEN})).status == 404
        strange = "/reports/" + "0" * 32
        assert (await post(f"{strange}/join/worker", data={"token": TOKEN})).status == 404
        assert kept(served) == {}

    tell(tmp_path, story)
