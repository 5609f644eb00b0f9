"""How a live system tells us something: a function for the shell of its stages."""

from __future__ import annotations

import shlex

# `tell TRIES EVENT [--data-urlencode FIELD=VALUE]…`. 4xx is an answer too: the address is no longer
# good, and asking again would not change it. A proxy must not take what is meant for us.
_TELL = """\
tell() {{
  tries=$1 event=$2
  shift 2
  n=0
  until [ "$n" -ge "$tries" ]; do
    n=$((n + 1))
    case "$(curl -sS -m 5 --noproxy '*' -o /dev/null -w '%{{http_code}}' \\
      --data-urlencode "event=$event" "$@" {stem}/"$event")" in 2*|4*) return 0 ;; esac
    sleep 5
  done
  return 1
}}"""


def told_to(report_url: str) -> str:
    """The function's text; without `{{ }}`, which yip would expand."""
    return _TELL.format(stem=shlex.quote(report_url))
