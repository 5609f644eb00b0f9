from __future__ import annotations

import pytest

from kairos_netboot.boot.cmdline import install_command_line
from kairos_netboot.errors import InvalidValue
from kairos_netboot.values import Mac


def _line(**changes: object) -> str:
    fields: dict[str, object] = {
        "rootfs_url": "http://192.0.2.2:8080/r/rootfs.squashfs",
        "document_url": "http://192.0.2.2:8080/d/cloud-config.yaml",
        "boot_mac": None,
        "kairos_version": "v4.2.0",
        "extra": (),
    }
    return install_command_line(**{**fields, **changes})  # type: ignore[arg-type]


def test_the_whole_line() -> None:
    assert _line() == (
        "initrd=initrd root=live:http://192.0.2.2:8080/r/rootfs.squashfs "
        "rd.live.overlay.overlayfs rd.neednet=1 ip=dhcp rd.cos.disable netboot install-mode "
        "net.ifnames=1 selinux=0 rd.immucore.sysrootwait=900 console=ttyS0 console=tty1 "
        "config_url=http://192.0.2.2:8080/d/cloud-config.yaml"
    )


@pytest.mark.parametrize(
    ("version", "old"),
    [("v2.4.3", True), ("v1.6.0", True), ("2.4", True), ("v2.5.0", False), ("v4.2.0", False)],
)
def test_images_before_install_mode_are_told_the_old_way_too(version: str, old: bool) -> None:
    assert ("nodepair.enable" in _line(kairos_version=version)) is old


@pytest.mark.parametrize("version", ["", "latest", "vX"])
def test_an_unreadable_version_counts_as_new(version: str) -> None:
    assert "nodepair.enable" not in _line(kairos_version=version)


def test_a_machine_with_several_cards_waits_for_the_one_it_booted_from() -> None:
    assert " BOOTIF=01-52-54-00-00-00-01 " in _line(boot_mac=Mac("525400000001"))


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


def test_a_line_the_kernel_would_cut_is_refused() -> None:
    room = 2047 - len(_line()) - 1
    assert len(_line(extra=("x" * room,))) == 2047
    with pytest.raises(InvalidValue, match="2048 characters"):
        _line(extra=("x" * (room + 1),))
