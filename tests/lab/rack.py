"""A rack in the lab: the real program in the server's namespace, and the site it serves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from kairos_netboot.boot.fleet import Event, Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.errors import UnknownName
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch

from .lan import LabError, Lan
from .machine import Machine

SITE = """\
# Two machines with profiles and cloud-configs of their own.
{site}images:
  sample:
    source: {image}
    platform: {arch}

profiles:
  server:
    image: sample
    cloud-config: [common.yaml, server.yaml]
  worker:
    image: sample
    cloud-config: [common.yaml]
    variables:
      role: worker

nodes:
{nodes}"""

COMMON = """\
#cloud-config
hostname: {{ node.name }}
users:
  - name: kairos
    groups: [admin]
    passwd: kairos
install:
  auto: true
  reboot: true
  device: /dev/vda
stages:
  boot:
    - name: say the role on the console
      commands:
        - "echo RACK role={{ role | default('server') }} profile={{ node.profile }} > /dev/console"
"""

SERVER = """\
#cloud-config
stages:
  boot:
    - name: what only servers do
      commands:
        - "echo RACK servers know their card {{ node.mac }} > /dev/console"
"""


class Rack:
    """The program on a lan, with a state directory that its service user can reach."""

    def __init__(self, lan: Lan, image: str, arch: Arch = Arch.AMD64) -> None:
        """`image`: a reference for the site file."""
        self._lan, self._image, self._arch = lan, image, arch
        lan.folder.chmod(0o711)  # `serve` gives up root and must still get to its state
        self.state = lan.folder / "state"
        self.folder = lan.folder / "site"
        self.folder.mkdir()
        (self.folder / "common.yaml").write_text(COMMON)
        (self.folder / "server.yaml").write_text(SERVER)
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def _site(self) -> Path:
        return self.folder / "site.yaml"

    @property
    def program(self) -> list[str]:
        return [str(Path(sys.executable).parent / "kairos-netboot"), "--state", str(self.state)]

    def cli(self, *arguments: str) -> str:
        """What the command prints; LabError with its message if it fails."""
        command = [*self.program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"kairos-netboot {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, nodes: Mapping[str, Machine], settings: str = "", *, site: str = "") -> str:
        """Name these machines, every other one a `worker`; `settings` is added to each node,
        `site` to the site file (`boot:`, `dhcp:`)."""
        entries = "".join(
            f"  {name}:\n    macs: [{', '.join(machine.macs)}]\n"
            f"    profile: {('server', 'worker')[position % 2]}\n{settings}"
            for position, (name, machine) in enumerate(nodes.items())
        )
        text = SITE.format(image=self._image, arch=self._arch, nodes=entries, site=site)
        self._site.write_text(text)
        return self.cli("apply", str(self._site))

    def serve(self, *options: str) -> None:
        """Start the server and wait until it says that it is ready."""
        log = self._lan.logs / "server.log"
        before = log.stat().st_size if log.exists() else 0
        self._server = self._lan.start([*self.program, "-v", "serve", *options], log="server.log")
        deadline = time.monotonic() + 30
        while b"ready:" not in (log.read_bytes()[before:] if log.exists() else b""):
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"the server did not start: {log.read_text(errors='replace')}")
            time.sleep(0.05)

    def kill(self) -> None:
        """`kill -9`: no good-bye, nothing tidied up."""
        if self._server is None:
            raise LabError("the server is not running")
        os.kill(self._server_pid(), signal.SIGKILL)
        self._server.wait(10)
        self._server = None

    def _server_pid(self) -> int:
        """`ip netns exec` and setpriv become the program they start: the pid is the same."""
        assert self._server is not None
        return self._server.pid

    def node(self, name: str) -> Node:
        """By name or MAC; raises UnknownName."""
        store = Store(self.state)
        try:
            return store.fleet().named(name)
        finally:
            store.close()

    def _state(self, name: str) -> State | None:
        try:
            return self.node(name).state
        except UnknownName:
            return None

    def timeline(self, name: str) -> tuple[Event, ...]:
        store = Store(self.state)
        try:
            return store.timeline(store.fleet().named(name).id)
        finally:
            store.close()

    def wait_for(self, name: str, *states: State, timeout: float) -> Node:
        """The node when it is in one of these states; LabError with its timeline else."""
        deadline = time.monotonic() + timeout
        while (state := self._state(name)) not in states:
            if time.monotonic() > deadline:
                told = "\n".join(
                    f"  {event.at:%H:%M:%S} {event.text}" for event in self.timeline(name)
                )
                wanted = " or ".join(states)
                raise LabError(f"{name} is {state}, not {wanted}, in {timeout:g} s:\n{told}")
            time.sleep(0.5)
        return self.node(name)
