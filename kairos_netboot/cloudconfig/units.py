"""systemd units that make a system tell us how it goes: for Ignition configs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from hashlib import sha256

from .watcher import CURL

Unit = Mapping[str, object]

READY = "kairos-netboot-ready.service"
INSTALL = "kairos-netboot-install.service"
STARTED = "kairos-netboot-started.service"
FINISHED = "kairos-netboot-finished.service"

# `addresses` are told by `ip`, where there is one. 4xx is an answer too: the address is no longer
# good, and asking again would not change it. Told once: the sentinel is named after the boot that
# installed this system.
_READY = """\
. /etc/os-release;
addresses=$(ip -o addr show scope global 2>/dev/null | sed -n 's|.* inet6* \\([^ /]*\\).*|\\1|p');
case "$({curl} --data-urlencode "hostname=$(cat /proc/sys/kernel/hostname)"
 --data-urlencode "version=$VERSION_ID" --data-urlencode "addresses=$(echo $addresses | tr ' ' ,)"
 {url})" in
2*) mkdir -p /var/lib/kairos-netboot && : > {sentinel} ;; 4*) ;; *) exit 1 ;; esac"""

_READY_UNIT = """\
[Unit]
Description=Tell kairos-netboot that this system is up
Wants=network-online.target
After=network-online.target
ConditionPathExists=!{sentinel}
StartLimitIntervalSec=0

[Service]
Restart=on-failure
RestartSec=10
ExecStart={command}

[Install]
WantedBy=multi-user.target
"""


def ready_unit(report_url: str) -> Unit:
    """Asks again until it was heard, beside all else: nothing waits for it."""
    command = shell(_ready_script(report_url))
    return _unit(READY, _READY_UNIT.format(sentinel=_sentinel(report_url), command=command))


def ready_command(report_url: str) -> str:
    """The same for a system that runs commands at each boot and knows no units; it lets go of
    who started it."""
    return _READY_COMMAND.format(
        sentinel=_sentinel(report_url), script=_ready_script(report_url).replace("\n", " ")
    )


_READY_COMMAND = """\
[ -e {sentinel} ] || (
  exec < /dev/null > /dev/null 2>&1
  n=0
  until [ "$n" -ge 90 ]; do
    n=$((n + 1))
    ({script}) && break
    sleep 10
  done
) &"""


def _ready_script(report_url: str) -> str:
    url = _address(report_url, "ready")
    return _READY.format(curl=CURL, url=url, sentinel=_sentinel(report_url))


def _sentinel(report_url: str) -> str:
    name = sha256(report_url.rsplit("/", 1)[-1].encode()).hexdigest()[:16]
    return f"/var/lib/kairos-netboot/{name}"


_FLATCAR = """\
[Unit]
Description=Install Flatcar on {disk}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
RuntimeDirectory=kairos-netboot
ExecStartPre=-{started}
ExecStartPre=/usr/bin/curl -sSf --noproxy * --retry 10 -o /run/kairos-netboot/config.ign {document}
ExecStart=/usr/bin/flatcar-install -d {disk} -i /run/kairos-netboot/config.ign{more}
ExecStartPost={finished}
ExecStartPost=/usr/bin/systemctl --no-block reboot
ExecStopPost={failed}
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
"""


def flatcar_units(report_url: str, document_url: str, disk: str, more: str) -> list[Unit]:
    """The live system's: fetch the node's config, install with it, tell, restart. `more`: further
    arguments of flatcar-install."""
    text = _FLATCAR.format(
        disk=_word(disk),
        document=_word(document_url),
        more=f" {_word(more)}" if more else "",
        started=_tell(report_url, "install-started", tries=2),
        finished=_tell(report_url, "install-finished", tries=30),
        failed=_failed(report_url, "flatcar-install"),
    )
    return [_unit(INSTALL, text)]


# Not RequiredBy: a report that fails must not keep anything from being installed.
_BEFORE = """\
[Unit]
Description=Tell kairos-netboot that the install begins
Wants=network-online.target
After=coreos-installer-pre.target network-online.target
Before=coreos-installer.service

[Service]
Type=oneshot
ExecStart={command}

[Install]
WantedBy=coreos-installer.service
"""
_AFTER = """\
[Unit]
Description=Tell kairos-netboot that the install is done
Requires=coreos-installer.service
After=coreos-installer.service
Before=coreos-installer.target

[Service]
Type=oneshot
ExecStart={command}

[Install]
WantedBy=coreos-installer.target
"""


def coreos_units(report_url: str) -> list[Unit]:
    """Around the live system's own coreos-installer.service, and a drop-in that tells of its
    failure."""
    before = _BEFORE.format(command=_tell(report_url, "install-started", tries=2))
    after = _AFTER.format(command=_tell(report_url, "install-finished", tries=30))
    failed = f"[Service]\nExecStopPost={_failed(report_url, 'coreos-installer')}\n"
    dropin = {"name": "50-kairos-netboot.conf", "contents": failed}
    return [
        _unit(STARTED, before),
        _unit(FINISHED, after),
        {"name": "coreos-installer.service", "dropins": [dropin]},
    ]


def _failed(report_url: str, what: str) -> str:
    """systemd.service(5): $SERVICE_RESULT is `success` where nothing went wrong."""
    reason = f'"reason={what}: $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS"'
    tell = f"{CURL} --data-urlencode {reason} {_address(report_url, 'install-failed')}"
    return shell(f'[ "$SERVICE_RESULT" = success ] || {tell} || :')


def _tell(report_url: str, event: str, *, tries: int) -> str:
    asked = f"{CURL} --data-urlencode event={event} {_address(report_url, event)}"
    return shell(
        f'n=0; until [ "$n" -ge {tries} ]; do n=$((n + 1)); '
        f'case "$({asked})" in 2*|4*) break ;; esac; sleep 5; done'
    )


def _address(report_url: str, event: str) -> str:
    return shlex.quote(f"{report_url}/{event}")


def shell(script: str) -> str:
    """A line for ExecStart=: systemd expands % and $, and reads C's escapes between quotes."""
    line = " ".join(script.splitlines())
    for sign, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        line = line.replace(sign, written)
    return f'/bin/sh -c "{line}"'


def _word(text: str) -> str:
    return text.replace("%", "%%").replace("$", "$$")


def _unit(name: str, contents: str) -> Unit:
    return {"name": name, "enabled": True, "contents": contents}
