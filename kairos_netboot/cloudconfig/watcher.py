"""The shell that watches over an installer from its first hook on: how far it is, and why it ended.

Kairos tells neither (docs/kairos.md). What it has mounted and written is there to be seen, in the
order of its steps; and an installer that ends before `kairos-install.after` has failed.
"""

from __future__ import annotations

import shlex

# A proxy set by the document's own `env` must not take what is meant for us.
CURL = "curl -sS -m 5 --noproxy '*' -o /dev/null -w '%{http_code}'"

# A file, as a log that shows the commands of stages must have room for the installer's own words.
SCRIPT = "/run/kairos-netboot-watch.sh"
# There while the machine runs: that the last hook was reached, and which installers are watched.
_RUN = "/run/kairos-netboot"

# The agent is who runs these hooks, though shells may lie between; its unit is what its words are
# filed under. What a shell calls itself does not count: `comm`, not the command line.
_AGENT = """\
agent=$PPID unit=
while [ "${agent:-0}" -gt 1 ]; do
  name=$(cat "/proc/$agent/comm" 2>/dev/null)
  case "$name" in kairos*) break ;; esac
  agent=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$agent/status" 2>/dev/null)
done
[ "${agent:-0}" -gt 1 ] || agent=
[ -z "$agent" ] ||
  unit=$(sed -n 's|.*/\\([^/]*[.]service\\)$|\\1|p' "/proc/$agent/cgroup" | head -n 1)
"""

# The agent logs to the journal, or to a file where there is none; what it prints besides is on the
# first console alone, whose screen the kernel shows as one long line.
_WORDS = """\
words() {
  said=$(journalctl -b -o cat -n 60 --no-pager ${unit:+-u "$unit"} 2>/dev/null)
  if [ -z "$said" ]; then
    newest=$(ls -t /var/log/kairos/*.log 2>/dev/null | head -n 1)
    [ -z "$newest" ] || said=$(tail -n 60 "$newest")
  fi
  [ -z "$said" ] || printf '%s\\n' "$said"
  if [ -r /dev/vcs1 ]; then
    set -- $(stty size < /dev/tty1 2>/dev/null)
    echo 'on its screen:'
    fold -w "${2:-80}" < /dev/vcs1 | sed 's/ *$//' | grep . | tail -n 15
  fi
}
"""

# `filled`: how much of a file is written, of so many blocks of 512 bytes. The image of the system
# is made in its full size and filled; 100 MiB of it stay free. Its copies are as large as it.
# `look` begins with the last step, as the traces of those before stay.
_LOOK = """\
blocks() { set -- $(stat -c '%b' "$1" 2>/dev/null); echo "${1:-0}"; }
filled() {
  part=$(blocks "$1") whole=$2
  [ "${whole:-0}" -gt 0 ] || return 0
  part=$((part * 100 / whole))
  [ "$part" -lt 100 ] || part=99
  echo "$part"
}
look() {
  step=partition percent=
  set -- /run/cos/state/cOS/active.*
  active=$1
  if set -- /run/cos/state/cOS/passive.* && [ -e "$1" ]; then
    step=passive percent=$(filled "$1" "$(blocks "$active")")
  elif set -- /run/cos/recovery/cOS/recovery.* && [ -e "$1" ]; then
    step=recovery percent=$(filled "$1" "$(blocks "$active")")
  elif [ -d /run/cos/state/grub2 ]; then
    step=bootloader
  elif [ -e "$active" ]; then
    size=$(($(stat -c '%s' "$active") / 512))
    [ "$size" -le 409600 ] || size=$((size - 204800))
    step=active percent=$(filled "$active" "$size")
  fi
}
"""

# One for each installer: hooks can run twice. It lets go of yip's pipes. Where the installer ends,
# systemd ends all that its unit has left, and this with it: so it leaves for the topmost control
# group (`0` is whoever writes it), and where it cannot, it stays until it has told. At a shutdown
# of the machine the installer has not failed.
_WATCH = """\
run={run}
tell() {{
  {curl} "$@"
}}
running() {{
  [ ! -e "$run/done" ] || return 1
  if [ -n "$agent" ]; then [ -d "/proc/$agent" ]; return; fi
  ! systemctl is-failed --quiet kairos-installer.service 2>/dev/null
}}
progress() {{
  look
  now="$step ${{percent:+$((percent / 10))}}"
  [ "$now" != "$last" ] || return 0
  case "$(tell --data-urlencode "percent=$percent" {step}/"$step")" in
    2*) last=$now ;;
    4*) exit 0 ;;
  esac
}}
failed() {{
  reason=$(head -c 300 /run/cos/fail_installation 2>/dev/null)
  [ -n "$reason" ] ||
    reason=$(words | grep -v '[.]service: ' |
      grep -i -E 'error|fatal|fail|panic|(^| )(err|ftl) ' | tail -n 1)
  n=0
  until [ "$n" -ge 30 ]; do
    n=$((n + 1))
    case "$(words | tail -c 16000 | tell --data-urlencode "reason=$reason" \\
      --data-urlencode lines@- {failed})" in 2*|4*) return ;; esac
    sleep 5
  done
}}
watch() {{
  last= round=0
  while running && [ "$round" -lt 10800 ]; do
    progress
    round=$((round + 1))
    sleep 2
  done
  sleep 2
  [ ! -e "$run/done" ] || exit 0
  [ "$round" -lt 10800 ] || exit 0
  [ "$(systemctl is-system-running 2>/dev/null)" != stopping ] || exit 0
  failed
}}
start() {{
  mkdir "$run/watch-${{agent:-none}}" 2>/dev/null || exit 0
  rm -f "$run/done"
  (leave && watch) &
}}
leave() {{
  exec < /dev/null > /dev/null 2>&1
  trap '' HUP INT TERM
  for top in /sys/fs/cgroup /sys/fs/cgroup/systemd; do
    if [ -w "$top/cgroup.procs" ] && echo 0 > "$top/cgroup.procs"; then
      trap - TERM
      break
    fi
  done
}}
end() {{
  : > "$run/done"
  words | tail -c 16000 | tell --data-urlencode lines@- {log} > /dev/null
}}
mkdir -p "$run"
case "$1" in
  start) start ;;
  end) end ;;
esac
exit 0
"""


def watch_script(report_url: str) -> str:
    """`start` starts the watcher and returns at once; `end` tells it that the installer's end is a
    good one, and sends what the installer said, once or not at all."""
    told = {name: shlex.quote(f"{report_url}/{name}") for name in ("step", "install-failed", "log")}
    return (
        _AGENT
        + _WORDS
        + _LOOK
        + _WATCH.format(
            run=_RUN,
            curl=CURL,
            step=told["step"],
            failed=told["install-failed"],
            log=told["log"],
        )
    )


def watch_command(word: str) -> str:
    """Where the script is not there, nothing; it never fails an install."""
    return f"[ ! -e {SCRIPT} ] || sh {SCRIPT} {word}"
