"""QEMU's command line for a machine as found in racks, and whether KVM can be trusted."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from kairos_netboot.values import Firmware, Mac

PROGRAM = "qemu-system-x86_64"
OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
# The network card's ROM of SeaBIOS machines: Debian's ipxe-qemu.
IPXE_ROM = Path("/usr/lib/ipxe/qemu/efi-virtio.rom")

# Debian runs on the oldest model, which is emulated at twice the speed of `max` (a live boot took
# 75 s and 139 s); `rdrand` spares it half a minute of waiting for entropy.
_EMULATED_CPU = "qemu64,+rdrand"
# For images built for x86-64-v2 or v3, which die on it. Five-level paging costs an emulated
# machine a step in each walk and gives it nothing.
MODERN_CPU = ("-cpu", "max,la57=off")
# Long enough for the head of any DHCP packet, request or response; the squashfs of one
# installation would be a capture of 200 MB.
_SNAP = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """One machine's parts; its files are made by whoever starts it."""

    name: str
    firmware: Firmware
    mac: Mac
    memory: int  # MiB
    disk: Path
    variables: Path  # UEFI's, a private copy
    tap: str
    console: Path
    capture: Path
    control: Path
    extra: tuple[str, ...] = ()  # more of QEMU's arguments


def command(hardware: Hardware, accelerator: str) -> list[str]:
    """The network card is first in the boot order, the disk second; nothing else is there."""
    drive = f"if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap,file={hardware.disk}"
    return [
        *(PROGRAM, "-name", hardware.name, "-no-user-config", "-nodefaults"),
        *_firmware(hardware.firmware, hardware.variables),
        *_accelerator(accelerator),
        *_identity(hardware),
        *("-smp", "1", "-m", str(hardware.memory), "-display", "none", "-boot", "strict=on"),
        *("-chardev", f"file,id=console,path={hardware.console},append=on"),
        *("-serial", "chardev:console"),
        *("-qmp", f"unix:{hardware.control},server=on,wait=off"),
        *("-device", "virtio-rng-pci"),
        *("-drive", drive, "-device", "virtio-blk-pci,drive=disk,bootindex=2"),
        *_network(hardware),
        *hardware.extra,
    ]


def _identity(hardware: Hardware) -> list[str]:
    """What SMBIOS and DHCP option 97 tell: the same for a name and MAC in every run."""
    unique = uuid.uuid5(uuid.NAMESPACE_URL, f"lab:{hardware.name}:{hardware.mac}")
    system = f"type=1,manufacturer=Lab,product=Emulated,serial=LAB-{hardware.name}"
    return ["-uuid", str(unique), "-smbios", system]


def _firmware(firmware: Firmware, variables: Path) -> list[str]:
    match firmware:
        case Firmware.BIOS:
            # Without graphics SeaBIOS writes to the serial port, and iPXE's ROM with it.
            return ["-machine", "pc,graphics=off"]
        case Firmware.UEFI:
            code = f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}"
            own = f"if=pflash,format=raw,file={variables}"
            return ["-machine", "q35", "-drive", code, "-drive", own]


def _accelerator(name: str) -> list[str]:
    if name == "kvm":
        return [*MODERN_CPU, "-accel", "kvm"]
    return ["-cpu", _EMULATED_CPU, "-accel", "tcg,thread=multi"]


def _network(hardware: Hardware) -> list[str]:
    # vnet_hdr=off: before QEMU 8.0 filter-dump puts virtio's header in front of each frame,
    # and segments of 64 KiB are nothing a wire ever carries.
    wire = f"tap,id=net,ifname={hardware.tap},script=no,downscript=no,vnet_hdr=off"
    card = f"virtio-net-pci,netdev=net,mac={hardware.mac},bootindex=1"
    if hardware.firmware is Firmware.UEFI:
        card += ",romfile="  # no iPXE: OVMF's own PXE client
    dump = f"filter-dump,id=dump,netdev=net,file={hardware.capture},maxlen={_SNAP}"
    return ["-netdev", wire, "-device", card, "-object", dump]


@functools.cache
def accelerator() -> str:
    """`kvm` if a machine really runs with it, else `tcg`; tried once in a process.

    /dev/kvm can exist and hang for ever, and there are hosts where it takes SeaBIOS to its
    end but stops ("KVM internal error") in OVMF's first long-mode instructions. So the probe
    is OVMF, until it writes to its console.
    """
    if not Path("/dev/kvm").exists() or not OVMF_CODE.exists():
        return "tcg"
    with tempfile.TemporaryDirectory(prefix="knb-probe-") as folder:
        return "kvm" if _speaks_under_kvm(Path(folder)) else "tcg"


def _speaks_under_kvm(folder: Path, patience: float = 5.0) -> bool:
    variables, console = folder / "vars.fd", folder / "console"
    shutil.copy(OVMF_VARS, variables)
    argv = [PROGRAM, "-no-user-config", "-nodefaults", "-display", "none", "-m", "256"]
    argv += [*_firmware(Firmware.UEFI, variables), *_accelerator("kvm")]
    argv += ["-serial", f"file:{console}"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and process.poll() is None:
            if console.exists() and console.stat().st_size:
                return True
            time.sleep(0.05)
        return False
    finally:
        process.kill()
        process.wait()
