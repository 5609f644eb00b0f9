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
# The server hangs up on an agent that talks five times a second.
_FASTEST, _SLOWEST = 1, 3600


def phone_home(at: Located | None) -> PhoneHome:
    """Whoever writes the block wants it: `enabled` is there to switch it off."""
    if at is None:
        return PhoneHome()
    if at.empty:
        raise at.mistake("nothing is here: write `phone-home: {enabled: true}`, or no such key")
    fields = at.fields(*names("phone-home"))
    usual = PhoneHome()
    heartbeat = duration(fields, "heartbeat", usual.heartbeat)
    if not _FASTEST <= heartbeat <= _SLOWEST:
        raise fields["heartbeat"].mistake("a heartbeat is between a second and an hour")
    return PhoneHome(
        enabled=flag(fields, "enabled", default=True),
        heartbeat=heartbeat,
        commands=_commands(fields["commands"]) if "commands" in fields else usual.commands,
    )


def _commands(at: Located) -> tuple[str, ...]:
    """An empty list is none at all, which the agent takes so, too; a key without one is not."""
    if at.empty:
        raise at.mistake("nothing is here: write a list of commands, [] for none")
    return tuple(dict.fromkeys(word.choice(*_COMMANDS) for word in texts(at)))


def webhooks(at: Located | None) -> tuple[Webhook, ...]:
    return tuple(map(_webhook, at.elements())) if at else ()


def _webhook(at: Located) -> Webhook:
    fields = at.fields(*names("webhook"))
    url = required(at, fields, "url")
    if not _is_address(url.text()):
        raise url.mistake(f"'{url.text()}' is no address: write it like https://HOST/PATH")
    secret = fields["secret"].text() if "secret" in fields else ""
    if "secret" in fields and not secret:
        raise fields["secret"].mistake("it is empty: write a secret, or no such key")
    return Webhook(
        url=url.text(),
        secret=secret,
        kinds=tuple(dict.fromkeys(kind.choice(*Kind) for kind in texts(fields.get("events")))),
    )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    is_one_word = text.isprintable() and " " not in text
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and is_one_word
