"""From a pile of machines to a cluster: three servers and an agent in their order, one that nobody
named, and one that takes a dead one's place. The real program, and machines with real firmware."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.values import Arch, Firmware
from tests.lab.conftest import MachineFactory, skip_for
from tests.lab.image_small.build import build
from tests.lab.image_small.parts import why_not
from tests.lab.lan import Lan
from tests.lab.machine import Machine
from tests.lab.rack import Rack

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

INSTALL_SECONDS = 400
UP = r"installed system up, hostname (\S+)"

SITE = """\
images:
  small: {{source: '{image}', platform: amd64}}
profiles:
  server: {{image: small, cloud-config: common.yaml, cluster: prod, role: server}}
  worker: {{image: small, cloud-config: common.yaml, cluster: prod, role: agent}}
clusters:
  prod: {{kind: k3s, servers: 3}}
nodes:
{nodes}"""

# Each machine says on its console what it was told of its cluster.
COMMON = """\
#cloud-config
hostname: {{ node.name }}
users:
  - name: kairos
    groups: [admin]
install:
  auto: true
  reboot: true
  device: /dev/vda
stages:
  boot:
    - name: what it is in its cluster
      commands:
        - "echo STORY {{ node.name }} is {{ cluster.role }} {{ cluster.index }}"
        - "awk '/^k3s/{on=1} /^[a-z]/&&!/^k3s/{on=0} on{print \\"STORY \\" $0}' /oem/90_custom.yaml"
"""


class Story:
    """A rack that becomes a cluster."""

    def __init__(self, lan: Lan, make: MachineFactory) -> None:
        skip_for(why_not(Arch.AMD64))
        self.image = f"dir:{build(Arch.AMD64)}"
        self.rack = Rack(lan, self.image, Arch.AMD64)
        (self.rack.folder / "common.yaml").write_text(COMMON)
        self.make = make

    def machine(self, name: str) -> Machine:
        return self.make(name, firmware=Firmware.UEFI, memory=1024)

    def apply(self, nodes: Mapping[str, tuple[Machine, str]]) -> str:
        entries = "".join(
            f"  {name}: {{macs: '{one.macs[0]}', profile: {profile}}}\n"
            for name, (one, profile) in nodes.items()
        )
        path = Path(self.rack.folder / "site.yaml")
        path.write_text(SITE.format(image=self.image, nodes=entries))
        return self.rack.cli("apply", str(path))

    def told_of_cluster(self, machine: Machine) -> str:
        """What it said on its console, in one piece."""
        return "\n".join(re.findall(r"STORY (.*)", machine.console()))

    def moment(self, name: str, kind: Kind) -> float:
        """When the first such event happened."""
        return next(e.at.timestamp() for e in self.rack.timeline(name) if e.kind is kind)


@pytest.fixture
def story(lan: Lan, machine: MachineFactory) -> Story:
    return Story(lan, machine)


@pytest.mark.lan(ipv6=True)
def test_a_pile_of_machines_becomes_a_cluster_that_can_lose_one(story: Story) -> None:
    rack = story.rack
    names = {"k1": "server", "k2": "server", "k3": "server", "w1": "worker"}
    machines = {name: story.machine(name) for name in [*names, "stranger", "spare"]}
    nodes = {name: (machines[name], profile) for name, profile in names.items()}
    story.apply(nodes)
    token = re.search(r"K3S_TOKEN\S*\s+(\S+)", rack.cli("clusters", "show", "prod", "--secrets"))
    rack.serve()

    # All are switched on at once; three of them wait for the first.
    for name in names:
        machines[name].start()
    for name in names:
        rack.wait_for(name, State.READY, timeout=INSTALL_SECONDS)
    first_ready = story.moment("k1", Kind.READY)
    for name in ("k2", "k3", "w1"):
        assert story.moment(name, Kind.BOOT_STARTED) > first_ready
        assert any("wait" in event.text for event in rack.timeline(name))
    assert "--cluster-init" in story.told_of_cluster(machines["k1"])
    for name in ("k2", "k3"):
        said = story.told_of_cluster(machines[name])
        assert "--server" in said
        assert "--cluster-init" not in said
    assert "K3S_URL" in story.told_of_cluster(machines["w1"])

    # One that nobody named is found, approved, and joins.
    stranger = machines["stranger"]
    stranger.start()
    rack.wait_for(stranger.macs[0], State.DISCOVERED, timeout=60)
    assert stranger.macs[0] in rack.cli("nodes", "discovered")
    rack.cli("nodes", "approve", stranger.macs[0], "--profile", "worker", "--name", "w2")
    stranger.reset()
    rack.wait_for("w2", State.READY, timeout=INSTALL_SECONDS)
    assert "K3S_URL" in story.told_of_cluster(stranger)

    # The first server dies; its place is taken by a machine that joins what is there.
    machines["k1"].power_off()
    rack.cli("nodes", "replace", "k1", machines["spare"].macs[0])
    machines["spare"].start()
    rack.wait_for("k1", State.READY, timeout=INSTALL_SECONDS)
    said = story.told_of_cluster(machines["spare"])
    assert "k1 is server 0" in said
    assert "--server" in said
    assert "--cluster-init" not in said

    if token:  # the same secret for all, and nobody else's
        assert all(token[1] in story.told_of_cluster(machines[n]) for n in ("k2", "w1", "spare"))
    listed = rack.cli("clusters", "show", "prod")
    assert all(name in listed for name in ("k1", "k2", "k3", "w1", "w2"))
