"""The hook by which a cluster's first server tells the tokens that others join with.

They are made by the running cluster alone. Like the other hooks it can run twice, and fails
nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from hashlib import sha256

import yaml

from .watcher import CURL
from .yamlnodes import list_node, map_node, text_node

# Told at each boot until it was heard once; not in the installer's live system. 4xx is an answer
# too. The token goes by a pipe: in an argument, every process could read it. An hour is what slow
# machines need for their first start, with room.
_JOIN = """\
line=" $(cat /proc/cmdline) "
case "$line" in
  *" kairos.ram "*) ;;
  *" netboot "*) exit 0 ;;
esac
kept=/usr/local/.kairos-netboot
PATH=$PATH:/usr/local/bin:/usr/bin
join() {{
  told=$kept/{sentinel}-$1
  [ -e "$told" ] && return 0
  token=$(k0s token create --role="$1" 2> /dev/null) || return 1
  [ -n "$token" ] || return 1
  case "$(printf %s "$token" |
    {curl} --data-urlencode token@- {address}/"$1")" in
    2*) mkdir -p "$kept" && : > "$told" ;;
    4*) return 0 ;;
    *) return 1 ;;
  esac
}}
{{ (
  exec < /dev/null > /dev/null 2>&1
  n=0
  until join worker && join controller; do
    n=$((n + 1))
    [ "$n" -lt 360 ] || exit 0
    sleep 10
  done
) & }}"""


def join_address(report_url: str) -> str:
    """Where tokens are told, a slash and what it is for behind it."""
    return f"{report_url}/join"


def join_stages(report_url: str, roles: Sequence[str]) -> dict[str, yaml.Node]:
    """`stages:` of a k0s cluster's first server; nothing where no roles are told."""
    if not roles:
        return {}
    sentinel = "join-" + sha256(report_url.rsplit("/", 1)[-1].encode()).hexdigest()[:16]
    address = shlex.quote(join_address(report_url))
    command = _JOIN.format(sentinel=sentinel, curl=CURL, address=address)
    entry = {
        "name": text_node("kairos-netboot: report join tokens"),
        "commands": list_node([text_node(command)]),
    }
    return {"stages": map_node({"network": list_node([map_node(entry)])})}
