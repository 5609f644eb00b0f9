"""What the reports of nodes say: a path and its fields become an event, facts and lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address

from ..boot.lifecycle import Kind
from ..values import printable
from .live import live_report

# The installer's own, in their order. `partitioned` and `written` are told by hooks between them.
STEPS = ("partition", "active", "bootloader", "recovery", "passive", "done")
_STEP = re.compile(r"[a-z0-9-]{1,40}")
_LONGEST_LINE, _MOST_LINES = 1000, 200
_MOST_ADDRESSES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`facts` are new ones of the machine; `lines` what its installer said."""

    kind: Kind
    text: str
    facts: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()


def read_report(path: str, fields: Mapping[str, str], source: str = "") -> Report | None:
    """None for one we do not know. `source`: the address it came from."""
    if path.startswith("step/") and _STEP.fullmatch(path.removeprefix("step/")):
        return _step(path.removeprefix("step/"), fields)
    if path in _PLAIN:
        return _PLAIN[path]
    lines = tuple(_lines(fields.get("lines", "")))
    match path:
        case "install-failed":
            return Report(kind=Kind.INSTALL_FAILED, text=_failure(fields), lines=lines)
        case "log":
            said = "installer: its last words are kept, see `kairos-netboot nodes log`"
            return Report(kind=Kind.LOG, text=said, lines=lines)
        case "ready":
            said = f"the installed system is up, host name '{_told(fields, 'hostname')}'"
            return Report(kind=Kind.READY, text=said, facts=_facts(fields, source))
    live = live_report(path, fields)
    if live is None:
        return None
    facts = _facts(fields, source) if path == "live-ready" else {}
    return Report(kind=live[0], text=live[1], facts=facts)


_PLAIN = {
    "install-started": Report(kind=Kind.INSTALL_STARTED, text="installer: started"),
    "install-finished": Report(
        kind=Kind.INSTALL_FINISHED,
        text="installer: finished, restarts from disk",
        facts={"progress": ""},
    ),
    "boot-failed": Report(
        kind=Kind.BOOT_FAILED, text="the boot loader could not load the kernel or the initrd"
    ),
}


def _step(step: str, fields: Mapping[str, str]) -> Report:
    if step == "written":
        # All is on the disk, boot loader included: should the last report not come through, the
        # next boot is the disk's all the same.
        return Report(kind=Kind.INSTALL_FINISHED, text="installer: written")
    percent = fields.get("percent", "")
    if step not in STEPS:
        return Report(kind=Kind.INSTALL_STEP, text=f"installer: {step}")
    said = f"{STEPS.index(step) + 1} of {len(STEPS)}"
    if re.fullmatch(r"[0-9]{1,2}|100", percent, re.ASCII):
        said += f", {int(percent)} %"
    said = f"{step} ({said})"
    return Report(kind=Kind.INSTALL_STEP, text=f"installer: {said}", facts={"progress": said})


def _failure(fields: Mapping[str, str]) -> str:
    reason = _told(fields, "reason")
    if not reason:
        return "installer: ended before it was done, without a word"
    return f"installer: failed: {reason}"


def _told(fields: Mapping[str, str], name: str) -> str:
    return printable(fields.get(name, ""))


def _lines(text: str) -> Iterator[str]:
    kept = text.splitlines()[-_MOST_LINES:]
    return (printable(line, _LONGEST_LINE) for line in kept if line.strip())


def _facts(fields: Mapping[str, str], source: str) -> dict[str, str]:
    addresses = _addresses(fields.get("addresses", ""))
    facts = {
        "hostname": _told(fields, "hostname"),
        "version": _told(fields, "version")[:64],
        "boot-state": _told(fields, "boot")[:20],
        "addresses": ",".join(addresses),
        "address": _main_address(addresses, source),
        "progress": "",
    }
    return {key: value for key, value in facts.items() if value or key == "progress"}


def _addresses(text: str) -> list[str]:
    """Those that others can reach it at, in its order."""
    found = []
    for word in re.split(r"[\s,]+", text)[: 4 * _MOST_ADDRESSES]:
        try:
            address = ip_address(word.partition("/")[0])
        except ValueError:
            continue
        if not (address.is_loopback or address.is_link_local or address.is_unspecified):
            found.append(str(address))
    return list(dict.fromkeys(found))[:_MOST_ADDRESSES]


def _main_address(addresses: list[str], source: str) -> str:
    """The one it reached us by, where that is its own and no router's; else its first IPv4."""
    source = source.removeprefix("::ffff:")
    if source in addresses:
        return source
    return next((a for a in addresses if isinstance(ip_address(a), IPv4Address)), "")
