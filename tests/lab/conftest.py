"""Fixtures of the lab, and what is kept of a failed test."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from kairos_netboot.values import Arch, Firmware, Mac
from tests.lab import qemu
from tests.lab.lan import Lan
from tests.lab.leftovers import NAME_PREFIX, own_mark
from tests.lab.machine import Machine
from tests.lab.qemu import Asks, Card

RESULTS = Path(__file__).resolve().parents[2] / "lab-results"
LAB_TIMEOUT = 900.0
_TOOLS = (
    *("ip", "setpriv", "nft", "dnsmasq", "kea-dhcp4", "curl", "tftp", "atftp", "busybox"),
    *("qemu-img", *qemu.PROGRAMS.values()),
)
_FILES = (
    *(qemu.OVMF_CODE, qemu.OVMF_VARS, qemu.OVMF_SECURE_CODE, qemu.OVMF_SECURE_VARS),
    *(qemu.AAVMF_CODE, qemu.AAVMF_VARS, qemu.UBOOT, qemu.IPXE_ROM, Path("/dev/net/tun")),
)
_reports: pytest.StashKey[dict[str, pytest.TestReport]] = pytest.StashKey()


class MachineFactory(Protocol):
    def __call__(
        self,
        name: str,
        *,
        firmware: Firmware,
        arch: Arch = Arch.AMD64,
        secure_boot: bool = False,
        asks: Asks = Asks.PXE,
        cards: Sequence[Card] = (Card.LIVE,),
        mac: Mac | None = None,
        memory: int = 2048,
        disk_gib: int = 8,
        extra: Sequence[str] = (),
    ) -> Machine: ...


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lan(**options): what the fixture `lan` makes its Lan with")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Emulated machines need more than a unit test's seconds."""
    for item in items:
        if item.get_closest_marker("lab") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LAB_TIMEOUT))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash.setdefault(_reports, {})[report.when] = report
    return report


def require_lab() -> None:
    """Skip where the lab cannot run, with the reason; under CI=true that is a failure."""
    skip_for(why_no_lab())


def skip_for(reason: str) -> None:
    """Skip for a reason, if there is one; under CI=true that is a failure."""
    if not reason:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"the lab must run under CI, but {reason}", pytrace=False)
    pytest.skip(f"the lab cannot run here: {reason}")


@pytest.fixture
def lan(request: pytest.FixtureRequest) -> Iterator[Lan]:
    """A LAN of its own for each test. Its logs are kept if the test fails.

    `@pytest.mark.lan(ipv6=True)` saves each iPXE autoboot 13 s.
    """
    require_lab()
    kept = RESULTS / re.sub(r"[^\w.-]+", "_", request.node.name)
    shutil.rmtree(kept, ignore_errors=True)
    marker = request.node.get_closest_marker("lan")
    with Lan(**(marker.kwargs if marker else {})) as network:
        yield network
        network.stop_all()  # so that logs and captures are complete
        if not _passed(request.node):
            network.keep_logs(kept)
            print(f"kept for you to look at: {kept}")


@pytest.fixture
def machine(lan: Lan) -> MachineFactory:
    """Makes machines that are off; those still running at the end are switched off."""
    numbers = itertools.count(1)

    def make(name: str, *, mac: Mac | None = None, **options: Any) -> Machine:
        return Machine(lan, name, mac=mac or Mac(f"52:54:00:77:00:{next(numbers):02x}"), **options)

    return make


def _passed(item: pytest.Item) -> bool:
    reports = item.stash.get(_reports, {})
    return "call" in reports and not any(report.failed for report in reports.values())


def why_no_lab() -> str:
    if not sys.platform.startswith("linux"):
        return f"it needs Linux's network namespaces, and this is {sys.platform}"
    if os.geteuid() != 0:
        return "it needs root, to make network namespaces"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    missing += [str(path) for path in _FILES if not path.exists()]
    if missing:
        return f"{', '.join(missing)} missing (scripts/setup-lab installs what it can)"
    return _why_no_namespaces()


def _why_no_namespaces() -> str:
    """Root in a container may be root without that right."""
    name = f"{NAME_PREFIX}{own_mark()}-probe"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return f"network namespaces are refused: {done.stderr.strip()}" if done.returncode else ""
