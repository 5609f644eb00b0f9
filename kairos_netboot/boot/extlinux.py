"""What U-Boot reads: an extlinux.conf, or a script of its own shell."""

from __future__ import annotations

from ..errors import InvalidValue
from ..values import Arch
from .decide import Decision
from .grub import server_address
from .plan import BootPlan
from .script import Scripts
from .uimage import script_image
from .urls import tftp_path

# How each architecture's U-Boot starts Linux.
_START = {Arch.AMD64: "zboot", Arch.ARM64: "booti", Arch.RISCV64: "booti"}


def extlinux_config(scripts: Scripts, plan: BootPlan, *, device_trees: bool) -> str:
    """Raises InvalidValue for a command line that U-Boot would change. `device_trees`: whether the
    image has some: before 2022 U-Boot gave up where it found none in the folder it was told."""
    # Its line may be as long as the board's own lines (CONFIG_SYS_CBSIZE, 512 with some). Where it
    # is longer, U-Boot says "bootarg overflow" and goes on to boot.scr.uimg, which has room.
    return scripts.render("extlinux.conf.j2", **_values(plan), device_trees=device_trees)


def extlinux_disk_config(scripts: Scripts, decision: Decision) -> str:
    """Leaves the network for what comes next in U-Boot's order."""
    return scripts.render("disk.extlinux.conf.j2", reason=decision.reason)


def boot_script(scripts: Scripts, plan: BootPlan) -> bytes:
    """`boot.scr.uimg`; raises InvalidValue for a command line that U-Boot would change."""
    text = scripts.render("boot.scr.j2", **_values(plan), server=server_address(plan.urls))
    return script_image(text, f"kairos-netboot {plan.node}")


def _values(plan: BootPlan) -> dict[str, object]:
    files = plan.kernel_files
    for sign in ("${", "$(", "'", "\\"):
        if sign in plan.command_line:
            raise InvalidValue(
                f"the kernel command line has {sign} in it, which U-Boot reads as an order of its "
                "own: take it out of kernel-args"
            )
    return {
        "plan": plan,
        "kernel": tftp_path(plan.mac, files.kernel, "kernel"),
        "initrd": tftp_path(plan.mac, files.initrd, "initrd"),
        "dtbs": f"boot/{plan.mac.hyphens}/dtbs",
        "start": _START.get(plan.arch, "booti"),
    }
