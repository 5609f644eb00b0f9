from __future__ import annotations

import pytest

from kairos_netboot.boot.actions import STARTS, Action, Ram
from kairos_netboot.boot.cmdline import Boot, command_line, interface_of
from kairos_netboot.boot.network import KernelNetwork
from kairos_netboot.errors import InvalidValue
from kairos_netboot.values import Arch, Mac, Stage

MAC = Mac("525400000001")


def _line(action: Action = Action.INSTALL, **changes: object) -> str:
    fields: dict[str, object] = {
        "rootfs_url": "http://192.0.2.2:8080/r/rootfs.squashfs",
        "document_url": "http://192.0.2.2:8080/d/cloud-config.yaml",
        "loader": Stage.IPXE,
        "arch": Arch.AMD64,
        "mac": MAC,
        "several_cards": False,
        "network": KernelNetwork(),
        "kairos": (4, 2),
    }
    return command_line(action, Boot(**{**fields, **changes}))  # type: ignore[arg-type]


def _network(*, several_cards: bool = False, **texts: tuple[str, ...]) -> str:
    """What of the line is about the network."""
    line = _line(network=KernelNetwork(**texts), several_cards=several_cards)
    return line.partition("rd.neednet=1 ")[2].partition(" rd.cos.disable")[0]


def test_the_whole_line() -> None:
    assert _line() == (
        "initrd=initrd root=live:http://192.0.2.2:8080/r/rootfs.squashfs "
        "rd.live.overlay.overlayfs rd.neednet=1 ip=dhcp rd.cos.disable netboot install-mode "
        "net.ifnames=1 selinux=0 rd.immucore.sysrootwait=900 console=ttyS0 console=tty1 "
        "config_url=http://192.0.2.2:8080/d/cloud-config.yaml"
    )


@pytest.mark.parametrize("loader", [stage for stage in Stage if stage is not Stage.IPXE])
def test_only_ipxe_hands_over_an_initrd_by_its_name(loader: Stage) -> None:
    assert "initrd=" not in _line(loader=loader)


@pytest.mark.parametrize(
    ("arch", "serial"),
    [(Arch.AMD64, "ttyS0"), (Arch.ARM64, "ttyAMA0"), (Arch.RISCV64, "ttyS0")],
)
def test_the_serial_line_is_the_architectures_and_the_screen_comes_last(
    arch: Arch, serial: str
) -> None:
    assert f" console={serial} console=tty1 " in _line(arch=arch)


@pytest.mark.parametrize(
    ("version", "old"), [((2, 4), True), ((1, 6), True), ((2, 5), False), ((4, 2), False)]
)
def test_images_before_install_mode_are_told_the_old_way_too(
    version: tuple[int, int], old: bool
) -> None:
    assert ("nodepair.enable" in _line(kairos=version)) is old


def test_an_unreadable_version_counts_as_new() -> None:
    assert "nodepair.enable" not in _line(kairos=None)


def test_only_an_install_is_told_the_old_way() -> None:
    assert "nodepair.enable" not in _line(Action.RESCUE, kairos=(2, 4))


def test_a_machine_with_one_card_asks_on_whatever_it_has() -> None:
    assert _network() == "ip=dhcp"


def test_a_machine_with_several_cards_waits_for_the_one_it_booted_from() -> None:
    assert _network(several_cards=True) == "ip=dhcp BOOTIF=01-52-54-00-00-00-01"


def test_on_a_vlan_the_address_is_asked_for_there() -> None:
    assert _network(vlan=("vlan5:eth0",)) == "vlan=vlan5:eth0 ip=vlan5:dhcp"


def test_the_card_below_a_vlan_is_not_waited_for_itself() -> None:
    assert "BOOTIF" not in _network(vlan=("vlan5:eth0",), several_cards=True)


def test_on_a_bond_the_address_is_asked_for_there() -> None:
    said = _network(bond=("bond0:eth0,eth1:mode=802.3ad",), several_cards=True)
    assert said == "bond=bond0:eth0,eth1:mode=802.3ad ip=bond0:dhcp"


def test_on_a_vlan_of_a_bond_of_named_cards_the_vlan_is_asked_on() -> None:
    said = _network(
        vlan=("bond0.5:bond0",),
        bond=("bond0:lan0,lan1:mode=active-backup",),
        ifname=("lan0:52:54:00:00:00:01", "lan1:52:54:00:00:00:02"),
        nameserver=("192.0.2.53",),
    )
    assert said == (
        "ifname=lan0:52:54:00:00:00:01 ifname=lan1:52:54:00:00:00:02 vlan=bond0.5:bond0 "
        "bond=bond0:lan0,lan1:mode=active-backup ip=bond0.5:dhcp nameserver=192.0.2.53"
    )


def test_a_name_without_a_mac_is_for_the_card_that_boots() -> None:
    said = _network(ifname=("lan0",), vlan=("vlan5:lan0",), several_cards=True)
    assert said == "ifname=lan0:52:54:00:00:00:01 vlan=vlan5:lan0 ip=vlan5:dhcp"


def test_a_named_card_is_asked_on_alone() -> None:
    said = _network(ifname=("lan0",), several_cards=True)
    assert said == "ifname=lan0:52:54:00:00:00:01 ip=lan0:dhcp"


def test_own_addresses_replace_ours() -> None:
    static = "192.0.2.9::192.0.2.1:255.255.255.0::eth0:none"
    assert _network(ip=(static,), several_cards=True) == f"ip={static}"


def test_an_address_for_any_card_still_waits_for_the_one_it_booted_from() -> None:
    said = _network(ip=("single-dhcp",), several_cards=True)
    assert said == "ip=single-dhcp BOOTIF=01-52-54-00-00-00-01"


def test_of_several_addresses_the_first_has_the_root() -> None:
    said = _network(ip=("vlan5:dhcp", "eth0:dhcp"), vlan=("vlan5:eth0",))
    assert said == "vlan=vlan5:eth0 ip=vlan5:dhcp ip=eth0:dhcp bootdev=vlan5"


@pytest.mark.parametrize(
    ("text", "interface"),
    [
        ("dhcp", ""),
        ("eth0:dhcp", "eth0"),
        ("eth0:dhcp,dhcp6", "eth0"),
        ("eth0:dhcp:1500:52:54:00:00:00:01", "eth0"),
        ("192.0.2.9::192.0.2.1:255.255.255.0:host:eth0:none", "eth0"),
        ("192.0.2.9::192.0.2.1:255.255.255.0::eth0:off:1500", "eth0"),
        ("192.0.2.9::192.0.2.1:255.255.255.0", ""),
        ("[2001:db8::9]::[2001:db8::1]:64::eth0:none", "eth0"),
    ],
)
def test_the_interface_of_an_address_is_found_in_each_of_its_forms(
    text: str, interface: str
) -> None:
    assert interface_of(text) == interface


def test_own_arguments_come_after_ours_so_that_the_last_console_wins() -> None:
    line = _line(extra=("console=ttyS1", "quiet"))
    assert line.index("console=tty1 ") < line.index("console=ttyS1 quiet config_url=")


@pytest.mark.parametrize(
    "word", ["kairos.reset", "COS_ACTIVE", "recovery-mode", "interactive-install", "live:LABEL"]
)
def test_a_word_that_makes_kairos_do_something_else_is_refused_wherever_it_stands(
    word: str,
) -> None:
    with pytest.raises(InvalidValue, match=word):
        _line(rootfs_url=f"http://{word}.example/rootfs.squashfs")
    with pytest.raises(InvalidValue, match=word):
        _line(extra=(word,))
    with pytest.raises(InvalidValue, match=word):
        _network(vlan=(word,))


@pytest.mark.parametrize(
    ("arch", "longest"), [(Arch.AMD64, 2048), (Arch.ARM64, 2048), (Arch.RISCV64, 1024)]
)
def test_a_line_the_kernel_would_cut_is_refused(arch: Arch, longest: int) -> None:
    room = longest - len(_line(arch=arch)) - 2
    assert len(_line(arch=arch, extra=("x" * room,))) == longest - 1
    with pytest.raises(InvalidValue, match=f"{longest} characters"):
        _line(arch=arch, extra=("x" * (room + 1),))


# Other actions


def _own(action: Action, **changes: object) -> tuple[str, str]:
    """What the line of an action has that an install's has not, before the common words and
    after."""
    line = _line(action, **changes)
    before, _, rest = line.partition("ip=dhcp ")[2].partition(" net.ifnames=1 selinux=0 ")
    common = "rd.immucore.sysrootwait=900 console=ttyS0 console=tty1 "
    assert (rest + " ").startswith(common)
    return before, (rest + " ").removeprefix(common).strip()


DOCUMENT = "http://192.0.2.2:8080/d/cloud-config.yaml"


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        (Action.RAM, "kairos.ram", f"kairos.config_url={DOCUMENT}"),
        (
            Action.RESCUE,
            "rd.cos.disable netboot kairos.boot_live_mode",
            f"cos.setup={DOCUMENT}",
        ),
        (Action.WIPE, "rd.cos.disable netboot kairos.boot_live_mode", f"cos.setup={DOCUMENT}"),
        (
            Action.RECOVERY,
            "rd.cos.disable netboot kairos.remote_recovery_mode",
            f"cos.setup={DOCUMENT} config_url={DOCUMENT}",
        ),
        (Action.SHELL, "rd.cos.disable netboot kairos.boot_live_mode rd.shell rd.break", ""),
    ],
)
def test_each_action_has_words_of_its_own(action: Action, before: str, after: str) -> None:
    assert _own(action) == (before, after)


@pytest.mark.parametrize("action", [Action.RAM, Action.RESCUE, Action.WIPE, Action.RECOVERY])
def test_nothing_but_an_install_starts_the_installer(action: Action) -> None:
    assert "install-mode" not in _line(action)
    for word in ("install-mode", "nodepair.enable"):
        with pytest.raises(InvalidValue, match=word):
            _line(action, extra=(word,))
        with pytest.raises(InvalidValue, match=word):
            _line(action, document_url=f"http://{word}/d")


DATA = Ram(partitions="/dev/vda", wipe=True, oem=128, persistent=4096)


def test_data_partitions_are_made_in_the_boot_that_was_armed_for_it_alone() -> None:
    written = "kairos.ram kairos.ram.create_partitions=/dev/vda kairos.ram.wipe kairos.ram.oem=128 "
    assert _own(Action.RAM, ram=DATA, may_write=True)[0] == written + "kairos.ram.persistent=4096"
    assert _own(Action.RAM, ram=DATA)[0] == "kairos.ram"
    assert _own(Action.RESCUE, ram=DATA, may_write=True)[0].endswith("kairos.boot_live_mode")


def test_kairos_chooses_the_disk_where_nobody_names_one() -> None:
    own = _own(Action.RAM, ram=Ram(partitions="auto"), may_write=True)[0]
    assert own == "kairos.ram kairos.ram.create_partitions"


def test_nothing_is_made_where_the_profile_asks_for_nothing() -> None:
    assert _own(Action.RAM, ram=Ram(oem=128), may_write=True)[0] == "kairos.ram"


def test_alpine_fetches_its_root_only_where_it_is_told_that_it_netboots() -> None:
    assert _own(Action.RAM, flavor="alpine")[0] == "netboot kairos.ram"


@pytest.mark.parametrize("action", [action for action in Action if action in STARTS])
def test_no_disk_is_erased_by_an_argument_of_the_sites_own(action: Action) -> None:
    for word in ("kairos.ram.wipe", "kairos.ram"):
        with pytest.raises(InvalidValue, match=r"kairos\.ram"):
            _line(action, extra=(word,))


@pytest.mark.parametrize(
    ("action", "word"),
    [
        (Action.INSTALL, "kairos.boot_live_mode"),
        (Action.RESCUE, "kairos.remote_recovery_mode"),
        (Action.RECOVERY, "kairos.boot_live_mode"),
        (Action.RECOVERY, "recovery-mode"),
        (Action.WIPE, "kairos.reset"),
    ],
)
def test_an_action_allows_its_own_word_and_no_other(action: Action, word: str) -> None:
    with pytest.raises(InvalidValue, match=word):
        _line(action, extra=(word,))
