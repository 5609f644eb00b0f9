"""The site file's `phone-home` and `webhooks`: what is told after the install, and to whom."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..boot.hooks import Webhook
from ..boot.lifecycle import Kind
from ..boot.phone import PhoneHome
from .fields import duration, flag, required, texts
from .keys import names
from .located import Located

_COMMANDS = (
    *("upgrade", "upgrade-recovery", "reboot", "unregister"),
    *("exec", "reset", "apply-cloud-config"),
)


def phone_home(at: Located | None) -> PhoneHome:
    if at is None:
        return PhoneHome()
    fields = at.fields(*names("phone-home"))
    usual = PhoneHome()
    heartbeat = duration(fields, "heartbeat", usual.heartbeat)
    if heartbeat < 1:
        raise fields["heartbeat"].mistake("a heartbeat is a second or more")
    wanted = texts(fields["commands"]) if "commands" in fields else None
    return PhoneHome(
        enabled=flag(fields, "enabled", default=True),  # whoever writes the block wants it
        heartbeat=heartbeat,
        commands=tuple(w.choice(*_COMMANDS) for w in wanted)
        if wanted is not None
        else usual.commands,
    )


def webhooks(at: Located | None) -> tuple[Webhook, ...]:
    return tuple(map(_webhook, at.elements())) if at else ()


def _webhook(at: Located) -> Webhook:
    fields = at.fields(*names("webhook"))
    url = required(at, fields, "url")
    parts = urlsplit(url.text())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise url.mistake(f"'{url.text()}' is no address: write it like https://HOST/PATH")
    return Webhook(
        url=url.text(),
        secret=fields["secret"].text() if "secret" in fields else "",
        kinds=tuple(kind.choice(*Kind) for kind in texts(fields.get("events"))),
    )
