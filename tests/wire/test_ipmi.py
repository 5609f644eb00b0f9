"""Our IPMI with Debian's ipmitool against the simulator of OpenIPMI."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kairos_netboot.boot.power import Host
from kairos_netboot.errors import PowerProblem, ToolMissing
from kairos_netboot.power.ipmi import Ipmi
from kairos_netboot.power.switch import NetworkBoot, Patience, Supply
from kairos_netboot.store.logins import Login
from tests.registries import needs

pytestmark = [pytest.mark.wire, pytest.mark.timeout(60)]

LOGIN = Login(user="operator", password="hunter2")
QUICK = Patience(request=15.0, tries=1, settle=5.0, shutdown=5.0, poll=0.05)

_LAN = """\
name "fake"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_admin md5
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{folder}/chassis"
  user 2 true "operator" "hunter2" admin 10
"""
_COMMANDS = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
"""
# What the simulator runs for the chassis: `get power`, `set power 1`, `set boot pxe`, …
_CHASSIS = """\
#!/bin/sh
cd "{folder}" || exit 1
op=$1
shift
while [ $# -gt 0 ]; do
  name=$1
  shift
  if [ "$op" = get ]; then
    if [ "$name" = power ]; then echo "power:$(cat power)"; else echo "$name:none"; fi
    continue
  fi
  echo "$name $1" >>orders
  [ "$name" = power ] && echo "$1" >power
  [ "$name" = shutdown ] && echo 0 >power
  shift
done
exit 0
"""
# The simulator does not tell its cipher suites, for which ipmitool waits ten seconds each time.
_TOOL = """\
#!/bin/sh
exec {tool} -C 3 "$@"
"""


@dataclass
class Simulator:
    folder: Path
    port: int

    def ipmi(self, login: Login = LOGIN) -> Ipmi:
        environ = {"PATH": f"{self.folder}:{os.environ['PATH']}"}
        return Ipmi(Host("127.0.0.1", self.port), login, QUICK, environ)

    def orders(self) -> list[str]:
        """Since the last call."""
        path = self.folder / "orders"
        found = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return found


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    needs("ipmitool", "ipmi_sim")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = {"lan.conf": _LAN, "commands": _COMMANDS, "chassis": _CHASSIS, "ipmitool": _TOOL}
    for name, text in files.items():
        tool = shutil.which("ipmitool")
        made = text.format(port=port, folder=tmp_path, tool=tool) if "{" in text else text
        (tmp_path / name).write_text(made)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "power").write_text("1\n")
    (tmp_path / "kept").mkdir()
    argv = ["ipmi_sim", "-n", "-c", "lan.conf", "-f", "commands", "-s", "kept"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, cwd=tmp_path, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            _wait_for(port)
            yield Simulator(tmp_path, port)
        finally:
            process.kill()


def _wait_for(port: int) -> None:
    """Until somebody has bound it."""
    deadline = time.monotonic() + 10
    while f":{port:04X} " not in Path("/proc/net/udp").read_text():
        if time.monotonic() > deadline:
            pytest.fail("the simulator did not start")
        time.sleep(0.02)


def test_a_machine_is_switched_off_and_on(simulator: Simulator) -> None:
    ipmi = simulator.ipmi()
    assert asyncio.run(ipmi.status()).supply is Supply.ON
    assert asyncio.run(ipmi.on()) == "was on already"
    assert asyncio.run(ipmi.off()) == "switched off"
    assert asyncio.run(ipmi.status()).supply is Supply.OFF
    assert asyncio.run(ipmi.off()) == "was off already"
    assert asyncio.run(ipmi.cycle()) == "was off: switched on"
    assert simulator.orders() == ["power 0", "power 1"]


def test_it_is_restarted_or_shut_down_first(simulator: Simulator) -> None:
    assert asyncio.run(simulator.ipmi().cycle()) == "restarted (power cycle)"
    assert simulator.orders() == ["power 0", "power 1"]
    assert asyncio.run(simulator.ipmi().cycle(graceful=True)) == "shut down and on again"
    assert simulator.orders() == ["shutdown 1", "power 1"]


@pytest.mark.parametrize("how", [NetworkBoot.PXE, NetworkBoot.BIOS])
def test_its_next_boot_is_from_the_network(simulator: Simulator, how: NetworkBoot) -> None:
    said = asyncio.run(simulator.ipmi().boot_from_network_once(how))
    assert said == "boots once from the network (pxe)"
    assert simulator.orders() == ["boot pxe"]


@pytest.mark.parametrize(
    "login", [Login(user="operator", password="wrong"), Login(user="nobody", password="wrong")]
)
def test_a_wrong_login_is_told(simulator: Simulator, login: Login) -> None:
    with pytest.raises(PowerProblem) as caught:
        asyncio.run(simulator.ipmi(login).status())
    assert "refuses the user or the password" in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_a_tool_that_is_not_installed_is_told(tmp_path: Path) -> None:
    ipmi = Ipmi(Host("127.0.0.1", 1), LOGIN, QUICK, {"PATH": str(tmp_path)})
    with pytest.raises(ToolMissing, match="apt-get install ipmitool"):
        asyncio.run(ipmi.status())


def test_a_controller_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "ipmitool").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "ipmitool").chmod(0o755)
    hasty = Patience(request=0.2, tries=1)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with pytest.raises(PowerProblem, match="does not answer"):
        asyncio.run(Ipmi(Host("127.0.0.1", 1), LOGIN, hasty, environ).status())
