"""The server's own stages: what makes a node report how its install goes.

Kairos has no such callback (docs/kairos.md). Its hooks can run twice, so a report told
twice means nothing new; a report that fails must never fail the install.
"""

from __future__ import annotations

import shlex
from hashlib import sha256

import yaml

from .watcher import CURL, SCRIPT, watch_command, watch_script
from .yamlnodes import list_node, map_node, number_node, text_node

# curl on old images has no --retry-all-errors: the shell repeats. 4xx is an answer too: the
# address is no longer good, and asking again would not change it.
_TELL = """\
n=0
until [ "$n" -ge {tries} ]; do
  n=$((n + 1))
  case "$({curl})" in 2*|4*) break ;; esac
  sleep {pause}
done"""

# Runs on every boot of the installed system, and tells until it was heard once. In the installer's
# live system (`netboot` on its command line) it must not: nothing is installed there. One that runs
# from memory (`kairos.ram`) has `netboot`, too, on Alpine, and is what was wanted. The sentinel is
# on COS_PERSISTENT and named after this boot, so that a reinstall which keeps that partition
# reports again. What runs on in the background lets go of yip's pipes, or yip would wait for
# it: by `exec`, as a redirected function keeps copies of them. Not every image has the command
# `hostname`, nor `ip`.
_READY = """\
line=" $(cat /proc/cmdline) "
case "$line" in
  *" kairos.ram "*) boot=ram ;;
  *" netboot "*) exit 0 ;;
  *COS_ACTIVE*) boot=active ;;
  *COS_PASSIVE*) boot=passive ;;
  *COS_RECOVERY*|*COS_SYSTEM*|*recovery-mode*) boot=recovery ;;
  *) boot= ;;
esac
told=/usr/local/.kairos-netboot/{sentinel}
[ -e "$told" ] && exit 0
facts() {{
  version=$(sed -n 's/^KAIROS_VERSION=//p' /etc/kairos-release 2>/dev/null | tr -d '"' | tr -d "'")
  addresses=$(ip -o addr show scope global 2>/dev/null |
    sed -n 's|.* inet6* \\([^ /]*\\).*|\\1|p')
  [ -n "$addresses" ] || addresses=$(
    sed -n '/|-- /{{s/.*|-- //;h;}}; /host LOCAL/{{g;p;}}' /proc/net/fib_trie 2>/dev/null |
      grep -v '^127[.]' | sort -u)
  addresses=$(echo $addresses | tr ' ' ,)
}}
tell() {{
  n=0
  until [ "$n" -ge "$1" ]; do
    n=$((n + 1))
    facts
    case "$({curl})" in
      2*) mkdir -p "${{told%/*}}" && : > "$told"; return 0 ;;
      4*) return 0 ;;
    esac
    sleep "$2"
  done
  return 1
}}
tell 2 2 || {{ (exec < /dev/null > /dev/null 2>&1; tell 90 10) & }}"""


def hook_stages(report_url: str) -> yaml.Node:
    """`stages:` of the additions; each entry is one list item, which Kairos' merge appends."""
    # Two tries of 5 s and their pauses: a dead server costs an install 14 s at each step.
    # The end is worth waiting for, 150 to 300 s: without it the server cannot know that the
    # next boot belongs to the disk.
    started = _tell(report_url, "install-started", tries=2, pause=2)
    finished = _tell(report_url, "install-finished", tries=30, pause=5)
    return map_node(
        {
            "kairos-install.pre": _entry(
                "install-started",
                started,
                watch_command("start"),
                file=(SCRIPT, watch_script(report_url)),
            ),
            "before-install": _step(report_url, "step/partitioned"),
            "after-install": _step(report_url, "step/written"),
            "kairos-install.after": _entry("install-finished", finished, watch_command("end")),
            "network": _ready(report_url),
        }
    )


def _step(report_url: str, event: str) -> yaml.Node:
    return _entry(event, _tell(report_url, event, tries=2, pause=2))


def _tell(report_url: str, event: str, *, tries: int, pause: int) -> str:
    curl = f"{CURL} --data-urlencode {shlex.quote('event=' + event)} {_address(report_url, event)}"
    return _TELL.format(tries=tries, pause=pause, curl=curl)


def _ready(report_url: str) -> yaml.Node:
    values = {
        "hostname": "$(cat /proc/sys/kernel/hostname)",
        **{name: f"${name}" for name in ("addresses", "version", "boot")},
    }
    fields = " ".join(f'--data-urlencode "{name}={value}"' for name, value in values.items())
    curl = f"{CURL} {fields} {_address(report_url, 'ready')}"
    sentinel = sha256(report_url.rsplit("/", 1)[-1].encode()).hexdigest()[:16]
    return _entry("ready", _READY.format(sentinel=sentinel, curl=curl))


def _address(report_url: str, event: str) -> str:
    return shlex.quote(f"{report_url}/{event}")


def _entry(event: str, *commands: str, file: tuple[str, str] | None = None) -> yaml.Node:
    """`file`: its path and its text; yip writes files before it runs commands."""
    entry = {"name": text_node(f"kairos-netboot: report {event}")}
    if file is not None:
        path, text = file
        whole = {"path": text_node(path), "permissions": number_node(0o600)}
        entry["files"] = list_node([map_node({**whole, "content": text_node(text)})])
    entry["commands"] = list_node([text_node(command) for command in commands])
    return list_node([map_node(entry)])
