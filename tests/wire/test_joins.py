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


async def ready(served: Served, of: Cluster = PROD) -> str:
    """The reports' path of the first server, which is up."""
    profiles, clusters = {"server": PROFILE}, {"prod": of}
    site = Site(images={}, profiles=profiles, nodes=NODES, clusters=clusters)
    served.store.apply(site, NOW)
    await served.index.load()
    _, reports = await served.urls()
    for event in ("install-started", "install-finished", "ready"):
        fields = {"addresses": "192.0.2.7"} if event == "ready" else {}
        assert (await served.client.post(f"{reports}/{event}", data=fields)).status == 200
    assert served.node.state is State.READY
    return reports


async def document_of(served: Served, mac: Mac) -> str:
    """What a machine that asks now installs by; empty while it has to wait."""
    begun = await (await served.get(f"/boot/{mac.hyphens}/script.ipxe")).text()
    if "config_url=" not in begun:
        return ""
    path = begun.split("config_url=", 1)[1].split()[0].split("/", 3)[3]
    return await (await served.get(f"/{path}")).text()


def kept(served: Served) -> dict[str, str]:
    return dict(served.index.fleet.standings["prod"].secrets)


def test_a_worker_waits_for_the_token_and_gets_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(served: Served) -> None:
        reports = await ready(served)
        assert await document_of(served, OTHER) == ""
        data = {"token": TOKEN + "\n"}
        for _ in range(2):
            assert (await served.client.post(f"{reports}/join/worker", data=data)).status == 200
        assert kept(served) == {join_secret("worker"): TOKEN}
        assert TOKEN in await document_of(served, OTHER)
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


def test_an_agent_joins_where_the_first_server_told_that_it_is(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        await ready(served, Cluster(name="prod", kind=ClusterKind.K3S))
        document = await document_of(served, OTHER)
        assert 'K3S_URL: "https://192.0.2.7:6443"' in document
        assert f'K3S_TOKEN: "{kept(served)["token"]}"' in document

    tell(tmp_path, story)


def test_a_cluster_that_was_made_is_known_to_the_running_server(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        await ready(served)
        assert served.index.fleet.standings["prod"].initialised == "alpha"

    tell(tmp_path, story)
