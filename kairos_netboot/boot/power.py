"""How a machine is switched on and off from afar."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PowerKind(StrEnum):
    REDFISH = "redfish"
    IPMI = "ipmi"  # through ipmitool
    WAKE = "wake-on-lan"  # on only
    QEMU = "qemu"  # QEMU's monitor: a socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """`address`: URL of the Redfish service, host of the IPMI controller, QMP socket's path, or
    for wake-on-lan the broadcast address. `login` names credentials in the store; `system` the
    Redfish system where a service has several; `ca` the PEM file of its certificate's authority."""

    kind: PowerKind
    address: str = ""
    login: str = ""
    system: str = ""
    ca: str = ""
    insecure: bool = False  # its certificate is not checked
