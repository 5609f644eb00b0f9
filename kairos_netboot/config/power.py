"""The site file's `power`."""

from __future__ import annotations

from ..boot.power import Power, PowerKind
from .fields import flag, required, word
from .files import Files
from .keys import names
from .located import Located
from .sources import authority


def power(at: Located, files: Files) -> Power:
    fields = at.fields(*names("power"))
    kind = PowerKind(required(at, fields, "kind").choice(*PowerKind))
    if kind is not PowerKind.WAKE:
        required(at, fields, "address")
    return Power(
        kind=kind,
        address=word(fields, "address", ""),
        login=word(fields, "login", ""),
        system=word(fields, "system", ""),
        ca=authority(fields["ca"], files) if "ca" in fields else "",
        insecure=flag(fields, "insecure", default=False),
    )
