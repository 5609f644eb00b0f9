"""What erases disks: a script for the shell of a live system, and nothing but the disks named."""

from __future__ import annotations

import shlex

from ..errors import DocumentProblem

# All disks are looked at before the first is touched: one that is not there, or is no whole disk,
# ends it. What uses a disk is stopped where the image has the means; what still uses it then ends
# it, too. What a disk answers after a discard is its own affair, so both ends are overwritten in
# any case: the tables of partitions, RAID and file systems are there.
_ERASE = """\
# Once in a boot, whatever runs this stage again.
mkdir /run/kairos-netboot-wipe 2> /dev/null || exit 0
{tell}
say() {{ echo "kairos-netboot: $*" > /dev/console; }}
fail() {{
  say "wipe failed: $1"
  tell 60 wipe-failed --data-urlencode "reason=$1"
  exit 1
}}
has() {{ command -v "$1" > /dev/null 2>&1; }}
kernel_name() {{ basename "$(readlink -f "$1")"; }}
# A disk's own device, and its partitions' before it.
devices() {{
  for part in /sys/class/block/"$1"/*/partition; do
    [ ! -e "$part" ] || basename "$(dirname "$part")"
  done
  echo "$1"
}}
release() {{
  for name in $(devices "$1"); do
    swapoff "/dev/$name" 2> /dev/null
    while grep -q "^/dev/$name " /proc/mounts; do umount "/dev/$name" || break; done
  done
}}
held() {{
  for name in $(devices "$1"); do
    grep -q "^/dev/$name " /proc/mounts && return 0
    for holder in /sys/class/block/"$name"/holders/*; do [ ! -e "$holder" ] || return 0; done
  done
  return 1
}}
zero() {{ dd if=/dev/zero of="$1" bs=512 seek="$2" count="$3" conv=notrunc,fsync 2> /dev/null; }}
erase() {{
  if has wipefs; then
    for name in $(devices "$1"); do wipefs -q -a -f "/dev/$name" || return 1; done
  fi
  if has sgdisk; then sgdisk --zap-all "/dev/$1" > /dev/null 2>&1; fi
  if has blkdiscard; then
    blkdiscard -f "/dev/$1" 2> /dev/null || blkdiscard "/dev/$1" 2> /dev/null
  fi
  sectors=$(cat "/sys/class/block/$1/size")
  ends=32768
  if [ "$sectors" -le $((2 * ends)) ]; then
    zero "/dev/$1" 0 "$sectors" || return 1
  else
    zero "/dev/$1" 0 "$ends" && zero "/dev/$1" $((sectors - ends)) "$ends" || return 1
  fi
  sync
  blockdev --rereadpt "/dev/$1" 2> /dev/null || true
}}
set -- {disks}
for disk in "$@"; do
  [ -b "$disk" ] || fail "$disk is no block device here: nothing was erased"
  name=$(kernel_name "$disk")
  [ -e "/sys/class/block/$name/size" ] || fail "$disk is unknown to the kernel: nothing was erased"
  [ ! -e "/sys/class/block/$name/partition" ] || fail "$disk is a partition: nothing was erased"
done
for disk in "$@"; do release "$(kernel_name "$disk")"; done
if has vgchange; then vgchange -an > /dev/null 2>&1; fi
if has mdadm; then mdadm --stop --scan > /dev/null 2>&1; fi
for disk in "$@"; do
  ! held "$(kernel_name "$disk")" || fail "$disk is in use here: nothing was erased"
done
number=0
for disk in "$@"; do
  number=$((number + 1))
  erase "$(kernel_name "$disk")" || fail "$disk could not be erased"
  say "$disk is erased"
  tell 3 "wipe-step/$number" --data-urlencode "disk=$disk"
done
tell 60 wiped
sync
say "all is erased: power off"
poweroff
sleep 10
poweroff -f"""


def erase_commands(disks: tuple[str, ...], tell: str) -> str:
    """Raises DocumentProblem where there is nothing to erase."""
    if not disks:
        raise DocumentProblem("which disks are to be wiped? Nobody named one")
    return _ERASE.format(tell=tell, disks=" ".join(map(shlex.quote, disks)))
