from __future__ import annotations

from dataclasses import replace

from kairos_netboot.boot.actions import Action, Menu, Order
from kairos_netboot.boot.decide import Decision, Outcome, decide
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.plan import make_plan
from kairos_netboot.boot.site import ExitMethod
from kairos_netboot.boot.tokens import BootTokens
from kairos_netboot.boot.urls import Urls
from kairos_netboot.config.resources import load_scripts
from kairos_netboot.values import Arch, Firmware
from tests.unit.boot.sample import MAC, PROFILE, fleet, node

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


def _sent_logs(base: str) -> list[str]:
    scripts = load_scripts()
    scripts.send_logs()
    decision = decide(fleet(node()), MAC, Firmware.UEFI, Arch.AMD64)
    script = scripts.install(make_plan(decision, MAC, Urls(base), TOKENS))
    return [line for line in script.splitlines() if "syslog" in line]


def test_ipxe_is_told_where_to_log_where_somebody_listens() -> None:
    assert _sent_logs(BASE) == ["set syslog 192.0.2.2 ||"]


def test_ipxe_is_told_no_name_and_no_ipv6_address_to_log_to() -> None:
    assert _sent_logs("http://netboot.example:8080") == []
    assert _sent_logs("http://[2001:db8::1]:8080") == []


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
    reason = "a\nsanboot || reboot && exit ; http://evil ${net0/mac}"
    object.__setattr__(decision, "reason", reason)
    assert "echo kairos-netboot: a sanboot reboot exit http://evil {net0/mac}\n" in SCRIPTS.to_disk(
        decision, Urls(BASE)
    )


# What starts no kernel


def _without_plan(decision: Decision) -> str:
    return SCRIPTS.without_plan(decision, MAC, Urls(BASE))


def _waits(*, restarts: bool = False) -> str:
    reason = "alpha is armed and waits for beta"
    return _without_plan(Decision(outcome=Outcome.WAIT, reason=reason, restarts=restarts))


def test_a_machine_that_waits_asks_again_the_whole_script() -> None:
    assert _waits() == (
        f"""#!ipxe
echo kairos-netboot: alpha is armed and waits for beta
:wait
# Ctrl-C ends it, and the machine goes on in its boot order.
sleep 10 || exit 1
# Without --replace every round would stay in memory.
chain --replace {FILES}/script.ipxe ||
echo kairos-netboot: no answer, still waiting
goto wait
"""
    )


def test_what_firmware_alone_starts_is_waited_for_by_restarts() -> None:
    script = _waits(restarts=True)
    assert script.endswith("reboot\n")
    assert "chain" not in script


def test_a_machine_of_nobodys_tells_what_it_is_and_leaves_the_whole_script() -> None:
    decision = Decision(
        outcome=Outcome.INVENTORY, reason="nobody named it", exit=ExitMethod.SILENCE
    )
    assert _without_plan(decision) == (
        f"""#!ipxe
echo kairos-netboot: nobody named it
# What this iPXE does not know of its machine stays empty.
# Where it is given a name by what it tells, the answer goes on with its own script.
chain --autofree {BASE}/inventory/52-54-00-00-00-01?\
manufacturer=${{manufacturer:uristring}}&product=${{product:uristring}}&\
serial=${{serial:uristring}}&asset=${{asset:uristring}}&uuid=${{uuid}}&platform=${{platform}}&\
arch=${{buildarch}}&memory=${{memsize}} ||
# Not 0: UEFI takes success for "booted" and stops at its menu instead of going on to the disk.
exit 1
"""
    )


MENU = replace(
    PROFILE,
    action=Action.MENU,
    menu=Menu(items=(Action.LOCAL, Action.INSTALL, Action.SHELL), timeout=15),
)


def _menu(state: State) -> str:
    return _without_plan(decide(fleet(node(state), profile=MENU), MAC, Firmware.UEFI, Arch.AMD64))


def test_the_menu_whole() -> None:
    assert _menu(State.ARMED) == (
        f"""#!ipxe
:menu
menu kairos-netboot: alpha
item local boot its disk
item install install debian on its disk
item shell a shell, to look for a fault
choose --default local --timeout 15000 choice || set choice local
iseq ${{choice}} shell && goto shell ||
echo kairos-netboot: alpha does '${{choice}}'
chain --replace {FILES}/script.ipxe?choice=${{choice}} ||
echo kairos-netboot: that could not be had; the line above says why
sleep 5
goto menu

:shell
echo kairos-netboot: `exit` leads back to the menu
shell ||
goto menu
"""
    )


def test_an_install_is_no_item_unless_the_node_is_armed() -> None:
    assert "item install" not in _menu(State.READY)


def test_a_menu_without_an_end_of_time_waits_for_ever() -> None:
    profile = replace(MENU, menu=replace(MENU.menu, timeout=0, items=(Action.LOCAL,)))
    decision = decide(fleet(node(), profile=profile), MAC, Firmware.UEFI, Arch.AMD64)
    script = _without_plan(decision)
    assert "choose --default local choice ||" in script
    assert "shell" not in script


def test_a_decision_for_the_disk_is_the_exit_script() -> None:
    decision = decide(fleet(node(State.READY)), MAC, Firmware.UEFI, Arch.AMD64)
    assert _without_plan(decision) == SCRIPTS.to_disk(decision, Urls(BASE))


# Kernels of other actions


def _ordered(action: Action) -> str:
    ordered = node(State.READY, order=Order(action=action))
    decision = decide(fleet(ordered), MAC, Firmware.UEFI, Arch.AMD64)
    return SCRIPTS.install(make_plan(decision, MAC, Urls(BASE), TOKENS))


def test_a_rescue_is_not_counted_and_says_what_it_is() -> None:
    lines = _ordered(Action.RESCUE).splitlines()
    assert lines[1] == "# kairos-netboot: alpha, rescue"
    assert lines[3] == "echo kairos-netboot: alpha does 'rescue' with debian"
    failed = "echo kairos-netboot: alpha could not start the kernel; the line above says why"
    assert failed in lines


def test_a_shell_is_ipxes_own_the_whole_script() -> None:
    assert _ordered(Action.SHELL) == (
        f"""#!ipxe
# kairos-netboot: alpha, shell
# image debian sha256:{"0" * 64}
set knb-kernel {FILES}/{"1" * 64}/kernel
set knb-initrd {FILES}/{"2" * 64}/initrd
set knb-line initrd=initrd root=live:{FILES}/{"3" * 64}/rootfs.squashfs \
rd.live.overlay.overlayfs rd.neednet=1 ip=dhcp rd.cos.disable netboot kairos.boot_live_mode \
rd.shell rd.break net.ifnames=1 selinux=0 rd.immucore.sysrootwait=900 console=ttyS0 console=tty1
echo kairos-netboot: alpha is in the shell of iPXE, and `exit` goes on in the boot order.
echo In the settings knb-kernel, knb-initrd and knb-line: what starts debian up to its initrd's \
shell.
shell ||
exit 1
"""
    )


def test_an_eraser_is_counted() -> None:
    condemned = node(State.WIPING, boots=1, order=Order(action=Action.WIPE, disks=("/dev/vdb",)))
    decision = decide(fleet(condemned), MAC, Firmware.UEFI, Arch.AMD64)
    script = SCRIPTS.install(make_plan(decision, MAC, Urls(BASE), TOKENS))
    assert "# kairos-netboot: alpha, eraser start 2 of at most 3\n" in script
    assert "alpha erases its disks with debian (2 of at most 3 tries)\n" in script
