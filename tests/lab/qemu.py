"""QEMU's command line for a machine as found in racks, and whether KVM can be trusted."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kairos_netboot.values import Arch, Firmware, Mac

PROGRAMS = {Arch.AMD64: "qemu-system-x86_64", Arch.ARM64: "qemu-system-aarch64"}
OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
# With SMM, without which variables are not safe and Secure Boot is for show; Microsoft's keys.
OVMF_SECURE_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.ms.fd")
OVMF_SECURE_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
AAVMF_CODE = Path("/usr/share/AAVMF/AAVMF_CODE.fd")
AAVMF_VARS = Path("/usr/share/AAVMF/AAVMF_VARS.fd")
UBOOT = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
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


class Asks(StrEnum):
    """What UEFI firmware tries first."""

    PXE = "pxe"  # as it comes: PXE over IPv4, PXE over IPv6, HTTP Boot
    PXE6 = "pxe6"
    HTTP = "http"


class Card(StrEnum):
    """The switch that a network card's cable leads to."""

    LIVE = "lan"
    FAR = "far"  # behind the relay of faults.py
    DEAD = ""  # it has a link, and there is nobody
    UNUSED = "unused"  # the same, and the firmware's boot order leaves it out


# Both PXE clients are tried for two minutes before HTTP Boot is; these settings leave them out.
_NO_PXE4 = ("-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n")
_NO_PXE6 = ("-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n")
_LEFT_OUT = {Asks.PXE: (), Asks.PXE6: _NO_PXE4, Asks.HTTP: (*_NO_PXE4, *_NO_PXE6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    mac: Mac
    card: Card
    tap: str
    capture: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """One machine's parts; its files are made by whoever starts it."""

    name: str
    firmware: Firmware
    arch: Arch
    nics: tuple[Nic, ...]
    memory: int  # MiB
    disk: Path
    variables: Path  # UEFI's, a private copy
    console: Path
    control: Path
    secure_boot: bool = False
    asks: Asks = Asks.PXE
    extra: tuple[str, ...] = ()  # more of QEMU's arguments


def variables_for(arch: Arch, *, secure_boot: bool) -> Path:
    """The store of UEFI variables that a new machine comes with."""
    if arch is Arch.ARM64:
        return AAVMF_VARS
    return OVMF_SECURE_VARS if secure_boot else OVMF_VARS


def command(hardware: Hardware, accelerator: str) -> list[str]:
    """The network cards are first in the boot order, the disk last; nothing else is there."""
    drive = f"if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap,file={hardware.disk}"
    last = len(hardware.nics) + 1
    return [
        *(PROGRAMS[hardware.arch], "-name", hardware.name, "-no-user-config", "-nodefaults"),
        *_firmware(hardware),
        *_accelerator(hardware.arch, accelerator),
        *_identity(hardware),
        *("-smp", "1", "-m", str(hardware.memory), "-display", "none", "-boot", "strict=on"),
        *("-chardev", f"file,id=console,path={hardware.console},append=on"),
        *("-serial", "chardev:console"),
        *("-qmp", f"unix:{hardware.control},server=on,wait=off"),
        *("-device", "virtio-rng-pci"),
        *("-drive", drive, "-device", f"virtio-blk-pci,drive=disk,bootindex={last}"),
        *_network(hardware),
        *hardware.extra,
    ]


def _identity(hardware: Hardware) -> list[str]:
    """What SMBIOS and DHCP option 97 tell: the same for a name and MAC in every run."""
    unique = uuid.uuid5(uuid.NAMESPACE_URL, f"lab:{hardware.name}:{hardware.nics[0].mac}")
    system = f"type=1,manufacturer=Lab,product=Emulated,serial=LAB-{hardware.name}"
    return ["-uuid", str(unique), "-smbios", system]


def _firmware(hardware: Hardware) -> list[str]:
    match hardware.firmware:
        case Firmware.BIOS:
            # Without graphics SeaBIOS writes to the serial port, and iPXE's ROM with it.
            return ["-machine", "pc,graphics=off"]
        case Firmware.UEFI if hardware.arch is Arch.ARM64:
            return ["-machine", "virt", *_flash(AAVMF_CODE, hardware), *_LEFT_OUT[hardware.asks]]
        case Firmware.UEFI if hardware.secure_boot:
            smm = ("-machine", "q35,smm=on")
            locked = ("-global", "driver=cfi.pflash01,property=secure,value=on")
            flash = _flash(OVMF_SECURE_CODE, hardware)
            return [*smm, *locked, *flash, *_LEFT_OUT[hardware.asks]]
        case Firmware.UEFI:
            return ["-machine", "q35", *_flash(OVMF_CODE, hardware), *_LEFT_OUT[hardware.asks]]
        case Firmware.UBOOT:
            return ["-machine", "virt", "-bios", str(UBOOT)]
        case Firmware.RASPBERRY:
            raise ValueError("QEMU has no Raspberry Pi that boots from a network")


def _flash(code: Path, hardware: Hardware) -> list[str]:
    fixed = f"if=pflash,format=raw,readonly=on,file={code}"
    return ["-drive", fixed, "-drive", f"if=pflash,format=raw,file={hardware.variables}"]


def _accelerator(arch: Arch, name: str) -> list[str]:
    if arch is Arch.ARM64:
        return ["-cpu", "cortex-a72", "-accel", "tcg,thread=multi"]
    if name == "kvm":
        return [*MODERN_CPU, "-accel", "kvm"]
    return ["-cpu", _EMULATED_CPU, "-accel", "tcg,thread=multi"]


def _network(hardware: Hardware) -> list[str]:
    words: list[str] = []
    for number, nic in enumerate(hardware.nics, start=1):
        # vnet_hdr=off: before QEMU 8.0 filter-dump puts virtio's header in front of each frame,
        # and segments of 64 KiB are nothing a wire ever carries.
        wire = f"tap,id=net{number},ifname={nic.tap},script=no,downscript=no,vnet_hdr=off"
        card = f"virtio-net-pci,netdev=net{number},mac={nic.mac}"
        if nic.card is not Card.UNUSED:
            card += f",bootindex={number}"
        if hardware.firmware is not Firmware.BIOS:
            card += ",romfile="  # no iPXE: the firmware's own network stack
        dump = f"filter-dump,id=dump{number},netdev=net{number},file={nic.capture},maxlen={_SNAP}"
        words += ["-netdev", wire, "-device", card, "-object", dump]
    return words


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
    argv = [PROGRAMS[Arch.AMD64], "-no-user-config", "-nodefaults", "-display", "none"]
    argv += ["-machine", "q35", "-m", "256", *_accelerator(Arch.AMD64, "kvm")]
    argv += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}"]
    argv += ["-drive", f"if=pflash,format=raw,file={variables}"]
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
