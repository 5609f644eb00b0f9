"""A LAN in network namespaces: a switch, a site DHCP server, a place for our server.

No namespace has a link to the host or a default route, so no packet of a test can leave it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from .capture import Capture, read_captures
from .leftovers import NAME_PREFIX, namespaces, own_mark, remove_namespace, sweep
from .site import SITE_ADDRESS, SITE_PREFIX, SiteDhcp, SiteServer

SERVER_ADDRESS = "192.168.77.2"
SERVER_ADDRESS6 = f"{SITE_PREFIX}2"
LAN = "lan"  # the switch that every host is on
SITE_MAC = "02:00:00:77:00:01"
SERVER_MAC = "02:00:00:77:00:02"

_serial = itertools.count()
# Router solicitations and neighbour discovery of our own kernel would show up in captures as
# packets that nobody sent on purpose.
_NO_IPV6 = (
    "cd /proc/sys/net/ipv6/conf 2>/dev/null || exit 0;"
    "for d in all default lo; do echo 1 > $d/disable_ipv6; done"
)
# Nobody has our link-local address: no second of doubt (DAD) before it can be used.
_IPV6 = "cd /proc/sys/net/ipv6/conf/eth0; echo 0 > accept_dad; echo 0 > disable_ipv6"


class LabError(Exception):
    """The lab itself, or what runs in it, did not do what the test needs."""


class Lan:
    """Exists between `__enter__` and `__exit__`; everything started through it ends with it."""

    def __init__(
        self,
        *,
        site: SiteServer = SiteServer.DNSMASQ,
        next_server: str = "",
        ipv6: bool = False,
        dhcp6: bool = False,
        server_ipv6: bool = False,
    ) -> None:
        """`ipv6`: the site's router advertises a prefix. Without it iPXE's autoboot waits 15 s
        for one, as it does at every site that has none. `dhcp6`: the site gives out addresses,
        too. `server_ipv6`: where our server lives, there is IPv6."""
        self._site_dhcp = SiteDhcp(
            server=site, next_server=next_server, router_ipv6=ipv6 or dhcp6, dhcp6=dhcp6
        )
        self._server_ipv6 = server_ipv6
        self._name = f"{NAME_PREFIX}{own_mark()}-{next(_serial)}"
        self.switch, self.site, self.server = (
            f"{self._name}-{part}" for part in ("switch", "site", "server")
        )
        self._cleanup = ExitStack()
        self._before_stop: list[Callable[[], None]] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            sweep()
            # /var/tmp, not /tmp: disks are too big for a tmpfs. The path stays short, as a
            # Unix socket's may have 107 characters.
            self.folder = Path(tempfile.mkdtemp(prefix=f"{self._name}-", dir="/var/tmp"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.folder.chmod(0o755)  # a server without root may keep its state in there
            self.logs = self.folder / "logs"
            self.logs.mkdir()
            stack.callback(self._remove_namespaces)
            self._build()
            stack.callback(self.stop_all)
            self._start_site_dhcp()
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def server_command(self, argv: Sequence[str]) -> list[str]:
        """`argv`, to be run where our server lives."""
        return self.command_in(self.server, argv)

    def command_in(self, namespace: str, argv: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", namespace, *argv]

    def start(
        self, argv: Sequence[str], *, log: str, namespace: str | None = None
    ) -> subprocess.Popen[bytes]:
        """Start `argv` (our server's namespace by default), output appended to `logs/<log>`."""
        # The kernel kills it when the thread that started it dies: even `kill -9` of pytest
        # leaves nothing running. So start things from threads that live as long as the lan.
        guarded = ["setpriv", "--pdeathsig", "KILL", *argv]
        command = self.command_in(namespace or self.server, guarded)
        with (self.logs / log).open("ab") as output:
            process = _popen(command, output)
        self._processes.append(process)
        return process

    def before_stop(self, action: Callable[[], None]) -> None:
        """Have `action` called when everything is stopped, once or oftener."""
        self._before_stop.append(action)

    def stop(self, process: subprocess.Popen[bytes], *, patience: float = 5.0) -> int:
        """Ask the process to end, insist after `patience` seconds; returns its exit status."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
        status = process.wait()
        if process in self._processes:
            self._processes.remove(process)
        return status

    def add_switch(self, name: str) -> None:
        """Another switch, without a way to the first."""
        # Spanning tree would hold back a port's first 30 s, longer than most ROMs ask.
        bridge = ("type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        _ip("-n", self.switch, "link", "add", "name", name, *bridge)
        _ip("-n", self.switch, "link", "set", "dev", name, "up")

    def add_tap(self, name: str, *, switch: str = LAN) -> str:
        """A tap device on a switch; `name` has at most 15 characters.

        Without a switch it has a link, and nobody at its other end.
        """
        _ip("-n", self.switch, "tuntap", "add", "dev", name, "mode", "tap")
        port = ("master", switch) if switch else ()
        _ip("-n", self.switch, "link", "set", "dev", name, *port, "up")
        return name

    def add_host(self, name: str, address: str, *, mac: str = "", switch: str = LAN) -> str:
        """One more namespace with an `eth0` on a switch; its name."""
        namespace = f"{self._name}-{name}"
        self._add_namespace(namespace)
        peer = ["peer", "name", "eth0", *(["address", mac] if mac else []), "netns", namespace]
        _ip("-n", self.switch, "link", "add", "name", name, "type", "veth", *peer)
        _ip("-n", self.switch, "link", "set", "dev", name, "master", switch, "up")
        _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", namespace, "link", "set", "dev", "eth0", "up")
        return namespace

    def remove_tap(self, name: str) -> None:
        _ip("-n", self.switch, "link", "del", "dev", name)

    def fetch(
        self,
        url: str,
        data: bytes | None = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        namespace: str | None = None,
    ) -> tuple[int, bytes]:
        """(status, body) as seen from our server's namespace; redirects are not followed."""
        argv = ["curl", "-sS", "--noproxy", "*", "--max-time", "20", "-w", "\n%{http_code}"]
        argv += ["-X", method] if method else []
        for key, value in (headers or {}).items():
            argv += ["-H", f"{key}: {value}"]
        argv += ["--data-binary", "@-"] if data is not None else []
        argv += ["-I"] if method == "HEAD" else []
        command = self.command_in(namespace or self.server, [*argv, url])
        done = subprocess.run(command, input=data or b"", capture_output=True, check=False)
        if done.returncode:
            raise LabError(f"{url}: {done.stderr.decode(errors='replace').strip()}")
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status), body

    def capture(self, machines: str = "*") -> Capture:
        """What the machines of this lan sent and were sent, up to now."""
        return read_captures(sorted(self.logs.glob(f"{machines}.pcap")))

    def keep_logs(self, target: Path) -> None:
        """Copy consoles, captures and logs, for a person to look at."""
        shutil.copytree(self.logs, target, dirs_exist_ok=True)

    def dhcp_log(self) -> str:
        """What the site's DHCP server says it did."""
        return _text(self.logs / "site.log")

    def _build(self) -> None:
        self._add_namespace(self.switch)
        self.add_switch(LAN)
        self.add_host("site", SITE_ADDRESS, mac=SITE_MAC)
        self.add_host("server", SERVER_ADDRESS, mac=SERVER_MAC)
        if self._site_dhcp.router_ipv6:
            self._add_ipv6(self.site, f"{SITE_PREFIX}1")
        if self._server_ipv6:
            self._add_ipv6(self.server, SERVER_ADDRESS6)

    def _add_ipv6(self, namespace: str, address: str) -> None:
        _run(self.command_in(namespace, ["sh", "-c", _IPV6]))
        _ip("-n", namespace, "addr", "add", f"{address}/64", "dev", "eth0", "nodad")

    def _add_namespace(self, namespace: str) -> None:
        _ip("netns", "add", namespace)
        _run(self.command_in(namespace, ["sh", "-c", _NO_IPV6]))
        _ip("-n", namespace, "link", "set", "dev", "lo", "up")

    def _start_site_dhcp(self) -> None:
        if not self._site_dhcp.runs:
            return
        argv = self._site_dhcp.argv(self.folder, self.logs / "site.log")
        process = self.start(argv, log="site.err", namespace=self.site)
        deadline = time.monotonic() + 10
        while self._site_dhcp.ready not in self.dhcp_log():
            if process.poll() is not None or time.monotonic() > deadline:
                said = _text(self.logs / "site.err") + self.dhcp_log()
                raise LabError(f"the site's DHCP server did not start: {said.strip()}")
            time.sleep(0.02)

    def stop_all(self) -> None:
        """Stop everything that was started here, machines and the site's server too."""
        with ExitStack() as stack:  # one that fails keeps none of the others running
            for process in list(self._processes):
                stack.callback(self.stop, process)
            for action in self._before_stop:
                stack.callback(action)

    def _remove_namespaces(self) -> None:
        for namespace in namespaces(f"{self._name}-"):
            remove_namespace(namespace)


def _popen(command: Sequence[str], output: BinaryIO) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C at the terminal is for pytest, which then stops us in order.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"'{' '.join(command)}' failed: {done.stderr.strip()}")


def _ip(*arguments: str) -> None:
    _run(["ip", *arguments])


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
