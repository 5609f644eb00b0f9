"""What a Raspberry Pi's boot ROM and firmware read besides their own files."""

from __future__ import annotations

from .plan import BootPlan
from .script import Scripts

CONFIG, COMMAND_LINE = "config.txt", "cmdline.txt"
KERNEL, INITRD = "kernel", "initrd"

# Their own files, looked for in the image. The rest of what they try (recovery.elf, dt-blob.bin,
# pieeprom.upd, …) has to be missing: a Pi takes an EEPROM's update from whoever offers one.
_FIRMWARE_ENDS = (".elf", ".dat", ".dtb", ".dtbo")
_NOT_SERVED = ("recovery", "pieeprom", "vl805")


def config_text(scripts: Scripts, node: str) -> str:
    """The same for every boot: it is read before the kernel, and more than once."""
    return scripts.render("config.txt.j2", node=node, kernel=KERNEL, initrd=INITRD)


def command_line_text(plan: BootPlan) -> str:
    return plan.command_line + "\n"


def is_firmware(name: str) -> bool:
    """Whether a file of this name is the firmware's own."""
    last = name.rpartition("/")[2]
    if last.startswith(_NOT_SERVED):
        return False
    return last == "bootcode.bin" or last.endswith(_FIRMWARE_ENDS)
