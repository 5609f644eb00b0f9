"""The server's own stages: what makes a node report how its install goes.

Kairos has no such callback (docs/kairos.md). Its hooks can run twice, so a report told
twice means nothing new; a report that fails must never fail the install.
"""

from __future__ import annotations

import shlex
from hashlib import sha256

import yaml

from .yamlnodes import list_node, map_node, text_node

# curl on old images has no --retry-all-errors: the shell repeats. 4xx is an answer too: the
# address is no longer good, and asking again would not change it.
_TELL = """\
n=0
until [ "$n" -ge {tries} ]; do
  n=$((n + 1))
  case "$({curl})" in 2*|4*) break ;; esac
  sleep {pause}
done"""

# A proxy set by the document's own `env` must not take what is meant for us.
_CURL = "curl -sS -m 5 --noproxy '*' -o /dev/null -w '%{http_code}'"

# Runs on every boot of the installed system, and tells until it was heard once. In the live
# system (`netboot` on its command line) it must not: nothing is installed there. The sentinel is
# on COS_PERSISTENT and named after this boot, so that a reinstall which keeps that partition
# reports again. What runs on in the background lets go of yip's pipes, or yip would wait for
# it: by `exec`, as a redirected function keeps copies of them.
_READY = """\
case " $(cat /proc/cmdline) " in *" netboot "*) exit 0 ;; esac
told=/usr/local/.kairos-netboot/{sentinel}
[ -e "$told" ] && exit 0
tell() {{
  n=0
  until [ "$n" -ge "$1" ]; do
    n=$((n + 1))
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
    return map_node(
        {
            "kairos-install.pre": _tell(report_url, "install-started", tries=2, pause=2),
            "before-install": _tell(report_url, "step/partitioned", tries=2, pause=2),
            "after-install": _tell(report_url, "step/written", tries=2, pause=2),
            "kairos-install.after": _tell(report_url, "install-finished", tries=30, pause=5),
            "network": _ready(report_url),
        }
    )


def _tell(report_url: str, event: str, *, tries: int, pause: int) -> yaml.Node:
    curl = f"{_CURL} --data-urlencode {shlex.quote('event=' + event)} {_address(report_url, event)}"
    return _entry(event, _TELL.format(tries=tries, pause=pause, curl=curl))


def _ready(report_url: str) -> yaml.Node:
    # Not every image has the command `hostname`.
    field = '--data-urlencode "hostname=$(cat /proc/sys/kernel/hostname)"'
    curl = f"{_CURL} {field} {_address(report_url, 'ready')}"
    sentinel = sha256(report_url.rsplit("/", 1)[-1].encode()).hexdigest()[:16]
    return _entry("ready", _READY.format(sentinel=sentinel, curl=curl))


def _address(report_url: str, event: str) -> str:
    return shlex.quote(f"{report_url}/{event}")


def _entry(event: str, command: str) -> yaml.Node:
    entry = {
        "name": text_node(f"kairos-netboot: report {event}"),
        "commands": list_node([text_node(command)]),
    }
    return list_node([map_node(entry)])
