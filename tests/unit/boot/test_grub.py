from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest

from kairos_netboot.boot.actions import Action, Menu
from kairos_netboot.boot.decide import Decision, Outcome, decide
from kairos_netboot.boot.grub import (
    HTTP,
    HTTP_80,
    MAC,
    SERVER,
    Where,
    addressed,
    generic_config,
    grub_config,
    grub_disk_config,
    grub_without_plan,
    why_failed,
)
from kairos_netboot.boot.script import Scripts
from kairos_netboot.boot.urls import Urls
from kairos_netboot.config.resources import load_scripts
from kairos_netboot.errors import InvalidValue
from kairos_netboot.values import Arch, Firmware, Mac
from tests.unit.boot import sample
from tests.unit.boot.plans import URLS, plan_of


@pytest.fixture(scope="module")
def scripts() -> Scripts:
    return load_scripts()


def test_the_whole_configuration_by_tftp(scripts: Scripts) -> None:
    kernel, initrd = "1" * 64, "2" * 64
    boot = "(tftp,192.0.2.1)/boot/52-54-00-00-00-01"
    assert grub_config(scripts, plan_of(), where=Where.TFTP) == (
        f"""\
# kairos-netboot: alpha, installer start 1 of at most 3
# image debian sha256:00
echo 'kairos-netboot: alpha installs debian (1 of at most 3 tries)'
if linux '{boot}/{kernel}/kernel' 'console=ttyS0' 'netboot'; then
  if initrd '{boot}/{initrd}/initrd'; then
    boot
    set failed=start
  else
    set failed=initrd
  fi
elif [ "$lockdown" = y ]; then
  set failed=kernel-secure-boot
else
  set failed=kernel
fi

echo 'kairos-netboot: alpha could not start the installer; the line above says why'
# Read for the sake of being asked for.
source '(tftp,192.0.2.1)/report/abc/boot-failed'-"$failed"
sleep 10
reboot
"""
    )


def test_by_http_all_comes_from_there(scripts: Scripts) -> None:
    text = grub_config(scripts, plan_of(), where=Where.HTTP)
    assert "linux '(http,192.0.2.1:8080)/boot/52-54-00-00-00-01/" in text
    assert "source '(http,192.0.2.1:8080)/reports/abc/boot-failed'\n" in text
    assert "tftp" not in text


def test_the_port_that_every_grub_takes_for_granted_is_left_out(scripts: Scripts) -> None:
    for base in ("http://192.0.2.1", "http://192.0.2.1:80"):
        text = grub_config(scripts, plan_of(urls=Urls(base)), where=Where.HTTP)
        assert "'(http,192.0.2.1)/boot/" in text


def test_an_ipv6_address_has_brackets_by_http_alone(scripts: Scripts) -> None:
    plan = plan_of(urls=Urls("http://[fd00::1]:8080"))
    assert "'(http,[fd00::1]:8080)/boot/" in grub_config(scripts, plan, where=Where.HTTP)
    assert "'(tftp,fd00::1)/boot/" in grub_config(scripts, plan, where=Where.TFTP)


def test_on_the_medium_the_files_are_beside_it_and_reports_need_a_network(
    scripts: Scripts,
) -> None:
    text = grub_config(scripts, plan_of(), where=Where.MEDIUM)
    assert "if linux '/kernel' 'console=ttyS0' 'netboot'; then" in text
    assert "if initrd '/initrd'; then" in text
    assert text.index("net_bootp") < text.index("source '(tftp,192.0.2.1)/report/abc/boot-failed'-")


def test_nothing_in_the_command_line_is_an_order_to_grub(scripts: Scripts) -> None:
    line = "a=$root b=`c` {d;e} f&g #h i|j <k> (l) \u00fc*?"
    assert (
        "kernel' 'a=$root' 'b=`c`' '{d;e}' 'f&g' '#h' 'i|j' '<k>' '(l)' '\u00fc*?'; then"
        in grub_config(scripts, plan_of(line), where=Where.TFTP)
    )


def test_what_the_kernel_takes_for_one_argument_stays_one(scripts: Scripts) -> None:
    text = grub_config(scripts, plan_of('dyndbg="module x +p"  "a b"=c d'), where=Where.TFTP)
    assert "kernel' 'dyndbg=module x +p' 'a b=c' 'd'; then" in text


@pytest.mark.parametrize("line", ["a='b'", "a=\\x", 'a="b'])
def test_a_command_line_that_grub_would_change_is_refused(scripts: Scripts, line: str) -> None:
    with pytest.raises(InvalidValue, match="kernel-args"):
        grub_config(scripts, plan_of(line), where=Where.TFTP)


def test_a_name_cannot_end_its_line_or_its_quotes(scripts: Scripts) -> None:
    plan = replace(plan_of(), node="a'b\nc $d \\n", image="x\ny")
    text = grub_config(scripts, plan, where=Where.TFTP)
    assert "# kairos-netboot: a'b c d n, installer start 1 of at most 3\n# image x y sha" in text
    assert "echo 'kairos-netboot: a'\\''b c d n installs x y (1 of at most 3 tries)'\n" in text


@pytest.mark.parametrize(
    ("arch", "name"),
    [
        (Arch.AMD64, "BOOTX64.EFI"),
        (Arch.ARM64, "BOOTAA64.EFI"),
        (Arch.RISCV64, "BOOTRISCV64.EFI"),
        (None, "BOOTX64.EFI"),
    ],
)
def test_an_installed_machine_starts_its_disk(
    scripts: Scripts, arch: Arch | None, name: str
) -> None:
    decision = Decision(outcome=Outcome.DISK, reason="alpha's disk")
    text = grub_disk_config(scripts, decision, arch)
    assert text.startswith("echo 'kairos-netboot: alpha'\\''s disk'\n")
    assert f"if chainloader /EFI/BOOT/{name}; then boot; fi\n" in text
    assert "exit" not in text.replace("Not `exit`", "")


def test_a_grub_that_does_not_say_where_it_runs_is_sent_on(scripts: Scripts) -> None:
    assert "\nconfigfile /grub/node-$net_default_mac.cfg\n" in generic_config(scripts)


@pytest.mark.parametrize("reason", ["kernel", "kernel-secure-boot", "initrd", "start"])
def test_every_reason_a_configuration_reports_has_a_sentence(reason: str) -> None:
    assert why_failed(reason) != why_failed("")


def test_an_unknown_reason_has_a_sentence_too() -> None:
    assert why_failed("x\n") == "GRUB could not start the installer"


# Who we are, in the network GRUB

LOADER = f"\0MZ{SERVER}\n{HTTP}\n{HTTP_80}\n{MAC}\n\0".encode()


def values_of(loader: bytes) -> list[str]:
    return loader.strip(b"\0MZ").decode().split("\n")[:4]


def test_a_network_grub_is_told_where_it_came_from() -> None:
    made = addressed(LOADER, URLS, sample.MAC)
    assert len(made) == len(LOADER)
    assert [value.rstrip(" ") for value in values_of(made)] == [
        "192.0.2.1",
        "192.0.2.1:8080",
        "",
        "52:54:00:00:00:01",
    ]


def test_a_grub_that_knows_no_ports_is_told_of_port_80_alone() -> None:
    assert values_of(addressed(LOADER, Urls("http://192.0.2.1")))[2].strip() == "192.0.2.1"


def test_the_longest_addresses_have_room() -> None:
    address = "fd00:1111:2222:3333:4444:5555:6666:7777"
    made = addressed(LOADER, Urls(f"http://[{address}]:65535"), Mac("aa:bb:cc:dd:ee:ff"))
    assert len(made) == len(LOADER)
    assert values_of(made)[0].strip() == address
    assert values_of(made)[1].strip() == f"[{address}]:65535"


def test_an_ipv6_address_on_port_80_keeps_its_brackets() -> None:
    made = values_of(addressed(LOADER, Urls("http://[fd00::1]:80")))
    assert (made[1].strip(), made[2].strip()) == ("[fd00::1]", "[fd00::1]")


def test_any_other_loader_stays_as_it_is() -> None:
    assert addressed(b"iPXE", URLS, sample.MAC) == b"iPXE"


# What starts no kernel


BOOT = "boot/52-54-00-00-00-01"


def _waits(scripts: Scripts, where: Where, *, restarts: bool = False) -> str:
    reason = "alpha waits for beta"
    decision = Decision(outcome=Outcome.WAIT, reason=reason, restarts=restarts)
    return grub_without_plan(scripts, decision, sample.MAC, URLS, where)


@pytest.mark.parametrize(
    ("where", "device"), [(Where.TFTP, "(tftp,192.0.2.1)"), (Where.HTTP, "(http,192.0.2.1:8080)")]
)
def test_a_machine_that_waits_reads_its_configuration_again(
    scripts: Scripts, where: Where, device: str
) -> None:
    assert _waits(scripts, where) == (
        f"""\
echo 'kairos-netboot: alpha waits for beta'
# The first of them asks again for all: a configuration that started the next would fill the stack.
if [ "$knb_waiting" != y ]; then
  set knb_waiting=y
  export knb_waiting
  while [ "$knb_waiting" = y ]; do
    sleep 10
    configfile '{device}/{BOOT}/grub.cfg'
  done
fi
"""
    )


def test_what_comes_with_the_medium_is_waited_for_by_restarts(scripts: Scripts) -> None:
    for text in (_waits(scripts, Where.MEDIUM), _waits(scripts, Where.TFTP, restarts=True)):
        assert text.endswith("sleep 10\nreboot\n")
        assert "configfile" not in text


def _menu(scripts: Scripts, where: Where, *, timeout: int = 15) -> str:
    items = (Action.LOCAL, Action.RESCUE)
    profile = replace(sample.PROFILE, action=Action.MENU, menu=Menu(items=items, timeout=timeout))
    fleet = sample.fleet(sample.node(), profile=profile)
    decision = decide(fleet, sample.MAC, Firmware.UEFI, Arch.AMD64)
    return grub_without_plan(scripts, decision, sample.MAC, URLS, where)


def test_the_menu_whole(scripts: Scripts) -> None:
    assert _menu(scripts, Where.TFTP) == (
        f"""\
# kairos-netboot: alpha chooses
set default='local'
set timeout=15
menuentry 'boot its disk' --id local {{
  configfile '(tftp,192.0.2.1)/{BOOT}/grub-local.cfg'
}}
menuentry 'rescue: debian from memory, disks untouched' --id rescue {{
  configfile '(tftp,192.0.2.1)/{BOOT}/grub-rescue.cfg'
}}
"""
    )


def test_a_menu_without_an_end_of_time_waits_for_ever(scripts: Scripts) -> None:
    assert "set timeout=-1\n" in _menu(scripts, Where.TFTP, timeout=0)


def test_a_menu_of_the_medium_asks_by_tftp_and_needs_a_network(scripts: Scripts) -> None:
    text = _menu(scripts, Where.MEDIUM)
    assert text.index("net_bootp") < text.index("configfile '(tftp,192.0.2.1)/")


@pytest.mark.parametrize("outcome", [Outcome.DISK, Outcome.INVENTORY])
def test_whoever_has_nothing_to_load_goes_to_the_disk(scripts: Scripts, outcome: Outcome) -> None:
    decision = Decision(outcome=outcome, reason="so")
    text = grub_without_plan(scripts, decision, sample.MAC, URLS, Where.TFTP, Arch.ARM64)
    assert text == grub_disk_config(scripts, decision, Arch.ARM64)


@pytest.mark.parametrize("where", Where)
def test_grub_can_read_what_waits_and_what_offers(scripts: Scripts, where: Where) -> None:
    check = shutil.which("grub-script-check")
    if check is None:
        pytest.skip("there is no grub-script-check here")
    for text in (_waits(scripts, where), _menu(scripts, where)):
        subprocess.run([check], input=text, text=True, check=True)
