"""One syslog message in any of its forms: RFC 5424, RFC 3164, and what firmware and kernels send
that is neither. Pure: bytes in, a value out; nothing is refused, as there is nobody to tell."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..values import printable

_LONGEST = 1000
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,254}"

_PRIORITY = re.compile(r"<(\d{1,3})>", re.ASCII)
# RFC 5424, 6: VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP STRUCTURED-DATA.
_NEW = re.compile(
    r"1 (?P<time>-|\S{1,64}) (?P<host>-|\S{1,255}) (?P<app>-|\S{1,48}) (?P<pid>-|\S{1,128})"
    r" (?P<id>-|\S{1,32}) (?P<rest>.*)",
    re.DOTALL,
)
# One element, and with it the characters that are escaped in its values.
_ELEMENT = re.compile(r'\[[^\s\]"=]{1,32}(?: [^\s\]"=]{1,32}="(?:[^"\\\]]|\\.)*")*\]', re.DOTALL)
# RFC 3164, 4.1.2: `Nov  3 04:05:06 host tag[pid]: text`; many leave the host out, and some the
# time, which rsyslog's own form writes as RFC 3339 has it.
_TIME = re.compile(
    r"(?:[A-Z][a-z]{2} [ \d]\d(?: \d{4})? \d\d:\d\d:\d\d"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[0-9.:+Z-]*) ",
    re.ASCII,
)
_HOST = re.compile(rf"({_NAME}) (?=\S)")
_TAG = re.compile(r"([A-Za-z0-9_./@()-]{1,48})(?:\[([^\]\s]{1,16})\])?: ?")
# Netconsole's extended form: priority and sequence number, microseconds, a flag.
_NETCONSOLE = re.compile(r"\d{1,6},\d{1,12},(\d{1,20}),[^;]{0,100};", re.ASCII)
# iPXE's, of the kernel's facility and without a time; newer ones say their name first.
_IPXE = re.compile(rf"(?:({_NAME}) )?ipxe(?:\[[^\]\s]{{1,16}}\])?: ")

_KERNEL = 0  # the facility: RFC 5424, 6.2.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogLine:
    """`host` and `app` are empty where it does not say."""

    text: str
    host: str = ""
    app: str = ""


def read_line(data: bytes) -> SyslogLine:
    """Whatever was sent, without control characters and bounded."""
    whole = data[:8192].decode("utf-8", "replace").lstrip("\ufeff")
    priority = _PRIORITY.match(whole)
    body = whole[priority.end() :] if priority else whole
    new = _NEW.fullmatch(body) if priority else None
    if new is not None:
        return _line(_without_data(new["rest"]), _said(new["host"]), _said(new["app"]))
    if extended := _NETCONSOLE.match(body):
        return _line(body[extended.end() :].partition("\n")[0], "", "kernel")
    return _old(body, is_kernel=priority is not None and int(priority[1]) >> 3 == _KERNEL)


def _said(word: str) -> str:
    return "" if word == "-" else word


def _without_data(rest: str) -> str:
    """RFC 5424, 6.3: what is behind the structured data; a BOM marks UTF-8."""
    if rest == "-" or rest.startswith("- "):
        return rest[2:].lstrip("\ufeff")
    at = 0
    while element := _ELEMENT.match(rest, at):
        at = element.end()
    return rest[at:].lstrip().lstrip("\ufeff")


def _old(body: str, *, is_kernel: bool) -> SyslogLine:
    if ipxe := _IPXE.match(body):
        return _line(body[ipxe.end() :], ipxe[1] or "", "ipxe")
    time = _TIME.match(body)
    if time is None:
        return _tagged(body, "", is_kernel=is_kernel)
    rest = body[time.end() :]
    host = _HOST.match(rest)
    # `tag: text` without a host: a host's name does not end in a colon.
    if host is None or host[1].endswith(":"):
        return _tagged(rest, "", is_kernel=is_kernel)
    return _tagged(rest[host.end() :], host[1], is_kernel=is_kernel)


def _tagged(rest: str, host: str, *, is_kernel: bool) -> SyslogLine:
    tag = _TAG.match(rest)
    if tag is None or (is_kernel and tag[1] != "kernel"):
        return _line(rest, host, "kernel" if is_kernel else "")
    return _line(rest[tag.end() :], host, tag[1])


def _line(text: str, host: str, app: str) -> SyslogLine:
    return SyslogLine(
        text=printable(text, _LONGEST), host=printable(host, 64), app=printable(app, 40)
    )
