"""What a webhook is told, and how it can tell that it was us."""

from __future__ import annotations

import hashlib
import hmac
import json

from ..boot.fleet import Node
from ..boot.hooks import Webhook
from ..store.events import Change, Entry

SIGNATURE = "X-Kairos-Netboot-Signature"
TIMESTAMP = "X-Kairos-Netboot-Timestamp"  # when it was sent, in seconds since 1970

# No facts but these leave the house.
_FACTS = (
    *("address", "addresses", "hostname", "version", "boot-state", "firmware", "arch"),
    *("manufacturer", "product", "serial", "uuid", "switch", "switch-port"),
)


def is_wanted(hook: Webhook, entry: Entry, change: Change) -> bool:
    """By its kind, where the hook names some; else by whether it changed a state."""
    if hook.kinds:
        return entry.event.kind in hook.kinds
    return change.before is not change.after


def body_of(entry: Entry, change: Change, node: Node | None) -> bytes:
    """The same bytes however often it is sent: the state is the one that the event left."""
    event = entry.event
    row: dict[str, object] = {
        "id": entry.id,
        "at": event.at.isoformat(),
        "node": node.name if node else f"#{event.node}",
        "macs": [str(mac) for mac in node.macs] if node else [],
        "profile": node.spec.profile if node and node.spec else "",
        "state": change.after,
        "before": change.before,
        "event": event.kind,
        "text": event.text,
        "facts": {key: node.facts[key] for key in _FACTS if node.facts.get(key)} if node else {},
    }
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def signature(secret: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
