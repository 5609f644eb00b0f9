"""Lines as machines send them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.server.syslog_line import SyslogLine, read_line

LINES = [
    # RFC 5424, 6.5, its examples.
    (
        b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - "
        b"\xef\xbb\xbf'su root' failed",
        SyslogLine(host="mymachine.example.com", app="su", text="'su root' failed"),
    ),
    (
        b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
        b'[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"] '
        b"An application event",
        SyslogLine(host="mymachine.example.com", app="evntslog", text="An application event"),
    ),
    (
        b'<165>1 2003-10-11T22:14:15.003Z host app - ID47 [a@1 x="1"][b@2 y="\\]\\""]',
        SyslogLine(host="host", app="app", text=""),
    ),
    (b"<13>1 - - - - - - words", SyslogLine(text="words")),
    # RFC 3164, 5.4.
    (
        b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
        SyslogLine(host="mymachine", app="su", text="'su root' failed for lonvick on /dev/pts/8"),
    ),
    (
        b"<30>Nov  3 04:05:06 node-1 systemd[1]: Started kairos-installer.service.",
        SyslogLine(host="node-1", app="systemd", text="Started kairos-installer.service."),
    ),
    # glibc's syslog(), as busybox and logger send it on: no host.
    (b"<13>Nov 23 09:00:00 root: hello", SyslogLine(app="root", text="hello")),
    (
        b"<30>Nov 23 09:00:00 dracut-initqueue[412]: timeout",
        SyslogLine(app="dracut-initqueue", text="timeout"),
    ),
    # rsyslog's own form of the time.
    (
        b"<6>2026-11-23T09:00:00.123456+00:00 node-1 kernel: [    1.234567] Linux version 6.1",
        SyslogLine(host="node-1", app="kernel", text="[ 1.234567] Linux version 6.1"),
    ),
    (
        b"<6>ipxe: Configuring (net0) ok",
        SyslogLine(app="ipxe", text="Configuring (net0) ok"),
    ),
    (
        b"<6>node-1.example ipxe: net0: link up",
        SyslogLine(host="node-1.example", app="ipxe", text="net0: link up"),
    ),
    # netconsole: a kernel's line as it is, or in the extended form.
    (
        b"[   12.345678] EXT4-fs error (device sda1)\n",
        SyslogLine(text="[ 12.345678] EXT4-fs error (device sda1)"),
    ),
    (
        b"6,416,1758426,-;tty0: enabled\n SUBSYSTEM=tty\n",
        SyslogLine(app="kernel", text="tty0: enabled"),
    ),
    (b"<4>oops", SyslogLine(app="kernel", text="oops")),
    (b"no priority at all", SyslogLine(text="no priority at all")),
    (b"", SyslogLine(text="")),
]


@pytest.mark.parametrize(("data", "line"), LINES, ids=[data[:40].decode() for data, _ in LINES])
def test_every_form_is_read(data: bytes, line: SyslogLine) -> None:
    assert read_line(data) == line


def test_control_characters_do_not_reach_a_terminal() -> None:
    assert read_line(b"<13>\x1b[2Jx\x00y\r\nz").text == "[2Jx y z"


def test_a_line_is_bounded() -> None:
    assert len(read_line(b"<13>" + b"x" * 8000).text) == 1000


@given(st.binary(max_size=600))
@example(b"<0>1 ")
@example(b"<999>1 - - - - - [")
@example(b'<13>1 - - - - - [a@1 x="\\')
@example(b"<13>Nov 23 09:00:00 ")
@example(b"\xff\xfe<13>")
@example(b"1,2,3,-;")
def test_arbitrary_bytes_become_a_line(data: bytes) -> None:
    line = read_line(data)
    assert all(text.isprintable() for text in (line.text, line.host, line.app))


@given(
    st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=50),
)
def test_what_was_written_by_rfc_5424_is_read(host: str, text: str) -> None:
    data = f"<13>1 2026-11-23T09:00:00Z {host} app 1 - - {text}".encode()
    assert read_line(data) == SyslogLine(host=host, app="app", text=text)
