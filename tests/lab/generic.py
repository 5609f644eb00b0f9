"""A small system of its own, for the family `generic`: Debian's kernel, and an initrd that is all
of it. It fetches what its command line names, says who it is, and reports."""

from __future__ import annotations

import gzip
from pathlib import Path

from kairos_netboot.values import Arch

from .image_small.cpio import Archive
from .image_small.modules import in_order
from .image_small.parts import parts_for

_LEASE = Path(__file__).parent / "image_small" / "initrd" / "lease"
_MODULES = ("virtio_pci", "virtio_net")

INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do insmod "/modules/$module"; done < /modules/order
exec < /dev/null > /dev/ttyS0 2>&1
for word in $(cat /proc/cmdline); do
  case "$word" in settings=*) settings=${word#settings=} ;; esac
done
ip link set eth0 up
udhcpc -q -n -t 8 -T 2 -i eth0 -s /lib/lease
wget -q -O /run/settings "$settings" || echo "GENERIC: no settings at $settings"
. /run/settings
echo "GENERIC: this is $name"
for event in install-started install-finished ready; do
  wget -q -O /dev/null --post-data "hostname=$name" "$report/$event" ||
    echo "GENERIC: $event failed"
done
echo "GENERIC: told"
while :; do sleep 3600; done
"""


def write_system(folder: Path) -> None:
    """`vmlinuz` and `initrd`."""
    parts = parts_for(Arch.AMD64)
    archive = Archive()
    for name in ("bin", "dev", "lib", "modules", "proc", "run", "sys"):
        archive.directory(name)
    archive.device("dev/console", 5, 1)
    archive.file("bin/busybox", parts.busybox.read_bytes(), 0o755)
    archive.file("init", INIT.encode(), 0o755)
    archive.file("lib/lease", _LEASE.read_bytes(), 0o755)
    modules = in_order(parts.modules, _MODULES)
    for path in modules:
        archive.file(f"modules/{path.name}", path.read_bytes())
    archive.file("modules/order", "".join(f"{path.name}\n" for path in modules).encode())
    folder.joinpath("vmlinuz").write_bytes(parts.kernel.read_bytes())
    folder.joinpath("initrd").write_bytes(gzip.compress(archive.data(), 6, mtime=0))
