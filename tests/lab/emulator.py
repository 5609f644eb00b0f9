"""OpenStack's Redfish emulator, with a driver that moves machines of the lab."""

from __future__ import annotations

import logging
import threading
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest
from werkzeug.serving import make_server

from .machine import Machine

with warnings.catch_warnings():  # its WebOb imports cgi
    warnings.simplefilter("ignore", DeprecationWarning)
    from sushy_tools.emulator import main
    from sushy_tools.emulator.resources.systems.base import AbstractSystemsDriver
    from sushy_tools.error import FishyError, NotFound

USER, PASSWORD = "lab", "the password of the lab"


class Systems(AbstractSystemsDriver):  # type: ignore[misc]
    """One system. `boot_devices` are the orders that it got."""

    driver = "<lab>"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"lab:redfish:{machine.name}"))
        self.boot_devices: list[str] = []
        self.power_states: list[str] = []

    @property
    def systems(self) -> list[str]:
        return [self._uuid]

    def uuid(self, identity: str) -> str:
        if identity != self._uuid:
            raise NotFound(f"no system {identity}")
        return self._uuid

    def name(self, identity: str) -> str:
        return self._machine.name

    def get_power_state(self, identity: str) -> str:
        return "On" if self._machine.is_running() else "Off"

    def set_power_state(self, identity: str, state: str) -> None:
        self.power_states.append(state)
        match state:
            case "On" | "ForceOn":
                self._machine.start()
            case "ForceOff":
                self._machine.power_off()
            case "ForceRestart":
                self._machine.reset()
            case _:
                raise FishyError(f"the lab has no {state}")

    def get_boot_device(self, identity: str) -> str:
        return self.boot_devices[-1] if self.boot_devices else "Hdd"

    def set_boot_device(self, identity: str, boot_source: str) -> None:
        self.boot_devices.append(boot_source)

    def get_boot_mode(self, identity: str) -> str:
        return "Legacy"

    def set_boot_mode(self, identity: str, boot_mode: str) -> None:
        if boot_mode != "Legacy":
            raise FishyError("the machine has a BIOS")


@contextmanager
def emulate(
    machine: Machine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Systems]]:
    """Where it listens, on loopback, and its driver. What starts machines is one thread, which
    lives as long as this: the kernel ends them with it."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
    systems = Systems(machine)
    monkeypatch.setattr(main.Application, "systems", systems)
    main.app.configure(
        extra_config={
            "SUSHY_EMULATOR_AUTH_FILE": str(folder / "htpasswd"),
            "SUSHY_EMULATOR_FEATURE_SET": "minimum",
        }
    )
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, main.app, threaded=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", systems
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
