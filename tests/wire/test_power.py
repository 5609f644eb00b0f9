"""Wake-on-LAN and QEMU's monitor over loopback."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from kairos_netboot.boot.power import Host
from kairos_netboot.errors import PowerProblem
from kairos_netboot.power.qemu import Qemu
from kairos_netboot.power.switch import NetworkBoot, Patience, Supply
from kairos_netboot.power.wake import Wake, magic_packet
from kairos_netboot.values import Mac

pytestmark = pytest.mark.wire

MAC = Mac("52:54:00:12:34:56")
QUICK = Patience(request=1.0, tries=1, pause=0.01, settle=0.5, shutdown=0.5, poll=0.01)


def test_a_magic_packet_arrives_three_times() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as card:
        card.bind(("127.255.255.255", 0))
        card.settimeout(2)
        wake = Wake([MAC], [IPv4Address("127.255.255.255")], card.getsockname()[1])
        assert "sent to 127.255.255.255" in asyncio.run(wake.on())
        assert [card.recv(200) for _ in range(3)] == [magic_packet(MAC)] * 3


@dataclass
class Monitor:
    """QEMU's, as far as we talk to it."""

    status: str = "running"
    deaf: bool = False  # another program holds it
    ending: bool = False
    keeps_on: bool = False  # its guest ignores the power button
    greeting: bytes = b'{"QMP": {}}\n'
    done: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.ending:
            writer.close()
            return
        writer.write(b"" if self.deaf else self.greeting)
        while line := await reader.readline():
            command = json.loads(line)["execute"]
            self.done.append(command)
            if not self._ends(command, writer):
                break
            await writer.drain()
        writer.close()

    def _ends(self, command: str, writer: asyncio.StreamWriter) -> bool:
        """Whether it goes on."""
        if command == "quit":
            return False
        if command == "system_powerdown" and not self.keeps_on:
            self.status = "shutdown"
        if command == "cont":
            self.status = "running"
        answer = {"status": self.status} if command == "query-status" else {}
        event, told = {"event": "RTC_CHANGE"}, {"return": answer}
        writer.write(b"".join(json.dumps(each).encode() + b"\n" for each in (event, told)))
        return True


def ask(folder: Path, monitor: Monitor, act: Callable[[Qemu], Awaitable[object]]) -> object:
    async def run() -> object:
        path = str(folder / "qmp")
        server = await asyncio.start_unix_server(monitor.serve, path)
        async with server:
            return await act(Qemu(path, QUICK))

    return asyncio.run(run())


def test_qemu_is_reset_and_ended(tmp_path: Path) -> None:
    one = Monitor()
    assert ask(tmp_path, one, lambda q: q.cycle()) == "restarted (system_reset)"
    assert one.done[-1] == "system_reset"
    assert ask(tmp_path, one, lambda q: q.on()) == "was on already"
    assert ask(tmp_path, one, lambda q: q.off()) == "switched off"
    assert one.done[-1] == "quit"


def test_a_guest_is_shut_down_or_told_to_ignore_it(tmp_path: Path) -> None:
    assert ask(tmp_path, Monitor(), lambda q: q.off(graceful=True)) == "shut down"
    with pytest.raises(PowerProblem, match="without --graceful"):
        ask(tmp_path, Monitor(keeps_on=True), lambda q: q.off(graceful=True))


def test_what_is_held_can_be_started(tmp_path: Path) -> None:
    one = Monitor(status="prelaunch")
    assert ask(tmp_path, one, lambda q: q.on()) == "switched on"
    assert one.done[-2:] == ["system_reset", "cont"]
    held = Monitor(status="shutdown")
    assert ask(tmp_path, held, lambda q: q.off()) == "was off already"
    assert ask(tmp_path, held, lambda q: q.cycle()) == "was off: switched on"


def test_a_process_that_is_gone_is_off_and_cannot_be_started(tmp_path: Path) -> None:
    gone = Qemu(str(tmp_path / "qmp"), QUICK)
    found = asyncio.run(gone.status())
    assert (found.supply, found.note) == (Supply.OFF, f"no QEMU listens at {tmp_path}/qmp")
    assert asyncio.run(gone.off()) == "was off already"
    for act in (gone.on(), gone.cycle()):
        with pytest.raises(PowerProblem, match="with what started it before"):
            asyncio.run(act)


def test_one_that_ends_while_we_come_is_off(tmp_path: Path) -> None:
    one = Monitor(ending=True)
    assert ask(tmp_path, one, lambda q: q.off()) == "was off already"


def test_a_port_where_nobody_listens_is_off() -> None:
    assert asyncio.run(Qemu(Host("127.0.0.1", 1), QUICK).status()).supply is Supply.OFF


def test_a_monitor_that_another_holds_is_told(tmp_path: Path) -> None:
    with pytest.raises(PowerProblem, match="does another program hold its monitor"):
        ask(tmp_path, Monitor(deaf=True), lambda q: q.status())


def test_what_is_no_monitor_is_told(tmp_path: Path) -> None:
    with pytest.raises(PowerProblem, match="no QMP monitor"):
        ask(tmp_path, Monitor(greeting=b"SSH-2.0-x\n"), lambda q: q.status())


def test_one_boot_and_a_graceful_restart_are_not_qemus(tmp_path: Path) -> None:
    one = Monitor()
    said = ask(tmp_path, one, lambda q: q.boot_from_network_once(NetworkBoot.PXE))
    assert "has to come first" in str(said)
    with pytest.raises(PowerProblem, match="leave --graceful out"):
        ask(tmp_path, one, lambda q: q.cycle(graceful=True))
    assert one.done == []
