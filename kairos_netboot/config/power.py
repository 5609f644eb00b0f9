"""The site file's `power`."""

from __future__ import annotations

from collections.abc import Mapping

from ..boot.power import (
    IPMI_PORT,
    Power,
    PowerKind,
    broadcast,
    check_login_name,
    host_and_port,
    monitor,
    redfish_url,
)
from .fields import checked, flag, required, word
from .files import Files
from .keys import names
from .located import Located
from .sources import authority

_WITH_LOGIN = (PowerKind.REDFISH, PowerKind.IPMI)
_REDFISH_ONLY = ("system", "ca", "insecure")


def power(at: Located, files: Files) -> Power:
    fields = at.fields(*names("power"))
    kind = PowerKind(required(at, fields, "kind").choice(*PowerKind))
    _refuse_useless(kind, fields)
    if kind in _WITH_LOGIN:
        required(at, fields, "login")
    found = Power(
        kind=kind,
        address=_address(at, kind, fields),
        login=checked(fields["login"], check_login_name, fields["login"].text())
        if "login" in fields
        else "",
        system=word(fields, "system", ""),
        ca=authority(fields["ca"], files) if "ca" in fields else "",
        insecure=flag(fields, "insecure", default=False),
    )
    _check_secrecy(found, fields)
    return found


def _refuse_useless(kind: PowerKind, fields: Mapping[str, Located]) -> None:
    """A key that would change nothing was meant for something."""
    for key in _REDFISH_ONLY:
        if key in fields and kind is not PowerKind.REDFISH:
            raise fields[key].mistake(f"is for redfish: {kind} has no use for it")
    if "login" in fields and kind not in _WITH_LOGIN:
        raise fields["login"].mistake(f"{kind} asks for no login: take it out")


def _address(at: Located, kind: PowerKind, fields: Mapping[str, Located]) -> str:
    """In the form that the drivers take it, checked."""
    if kind is PowerKind.WAKE and "address" not in fields:
        return ""
    here = required(at, fields, "address")
    match kind:
        case PowerKind.REDFISH:
            return checked(here, redfish_url, here.text())
        case PowerKind.IPMI:
            checked(here, host_and_port, here.text(), IPMI_PORT)
        case PowerKind.QEMU:
            checked(here, monitor, here.text())
        case PowerKind.WAKE:
            checked(here, broadcast, here.text())
    return here.text()


def _check_secrecy(found: Power, fields: Mapping[str, Located]) -> None:
    if found.ca and found.insecure:
        raise fields["ca"].mistake("with `insecure: true` no certificate is checked: keep one")
    plain = found.kind is PowerKind.REDFISH and found.address.startswith("http://")
    if plain and found.ca:
        raise fields["ca"].mistake("http:// has no certificate: write https://")
    if plain and not found.insecure:
        raise fields["address"].mistake(
            "http:// lets everybody on the way read the password: write https://, or"
            " `insecure: true` if that is meant"
        )
