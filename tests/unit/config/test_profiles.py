"""What the site file says of actions; test_sitefile.py has the rest of a profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from kairos_netboot.boot.actions import Action, Menu, Ram
from kairos_netboot.boot.site import Profile
from kairos_netboot.config.sitefile import load_site
from kairos_netboot.errors import SiteMistake

Read: TypeAlias = Callable[..., Profile]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
HEAD = """\
images: {debian: registry.example/debian:v4.2.0}
profiles:
  it:
    image: debian
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reading(lines: str, head: str = HEAD) -> Profile:
        site = tmp_path / "site.yaml"
        site.write_text(head + "".join(f"    {line}\n" for line in lines.splitlines()))
        return load_site(site, ()).profiles["it"]

    return reading


@pytest.mark.parametrize("action", Action)
def test_every_action_is_read(read: Read, action: Action) -> None:
    assert read(f"action: {action}").action is action


def test_reset_is_kairos_word_for_a_wipe(read: Read) -> None:
    assert read("action: reset").action is Action.WIPE


def test_what_loads_nothing_needs_no_image(read: Read) -> None:
    head = "profiles:\n  it:\n"
    for action in (Action.LOCAL, Action.MENU):
        assert read(f"action: {action}", head).image == ""
    with pytest.raises(SiteMistake, match="image"):
        read("action: rescue", head)


def test_an_action_that_is_none_is_refused(read: Read) -> None:
    with pytest.raises(SiteMistake, match="'dance'"):
        read("action: dance")


def test_what_runs_from_memory_is_said_whole(read: Read) -> None:
    text = "ram: {partitions: /dev/vda, wipe: true, oem: 128, persistent: 4096}"
    profile = read(f"action: ram\n{text}")
    assert profile.ram == Ram(partitions="/dev/vda", wipe=True, oem=128, persistent=4096)
    assert profile.arms
    assert read("action: ram\nram: {partitions: auto}").arms
    assert not read("action: ram").arms


@pytest.mark.parametrize(
    ("ram", "mistake"),
    [
        ("{wipe: true}", "on which disk"),
        ("{oem: 64}", "on which disk"),
        ("{partitions: vda}", "'vda' is no disk"),
        ("{partitions: /dev/vda kairos.ram.wipe}", "is no disk"),
        ("{partitions: auto, oem: 0}", "at least 1"),
        ("{partitions: auto, persistent: many}", "'many' is no number"),
        ("{partition: auto}", "partition"),
    ],
)
def test_mistakes_about_memory_have_their_place(read: Read, ram: str, mistake: str) -> None:
    with pytest.raises(SiteMistake, match=mistake) as raised:
        read(f"action: ram\nram: {ram}")
    assert "site.yaml:6" in str(raised.value)


def test_a_menu_has_the_disk_and_a_rescue_unless_it_says_more(read: Read) -> None:
    assert read("action: menu").menu == Menu()
    items = (Action.INSTALL, Action.SHELL)
    profile = read("menu: {items: [install, shell], default: shell, timeout: 1m}")
    assert profile.menu == Menu(items=items, default=Action.SHELL, timeout=60)


@pytest.mark.parametrize(
    ("menu", "mistake"),
    [
        ("{items: [local, wipe]}", "'wipe' is no item"),
        ("{items: [menu]}", "'menu' is no item"),
        ("{items: [rescue]}", "default 'local' is not one of its items"),
        ("{default: shell}", "default 'shell' is not one of its items"),
        ("{timeout: soon}", "no time"),
    ],
)
def test_mistakes_about_menus_have_their_place(read: Read, menu: str, mistake: str) -> None:
    with pytest.raises(SiteMistake, match=mistake) as raised:
        read(f"menu: {menu}")
    assert "site.yaml:5" in str(raised.value)


def test_disks_and_keys_are_checked(read: Read) -> None:
    profile = read(f"disks: [/dev/vda, /dev/disk/by-id/ata-1]\nssh-keys: {KEY} me")
    assert profile.disks == ("/dev/vda", "/dev/disk/by-id/ata-1")
    assert profile.ssh_keys == (f"{KEY} me",)
    with pytest.raises(SiteMistake, match="whole disk"):
        read("disks: /dev/disk/by-label/DATA")
    with pytest.raises(SiteMistake, match="public SSH key"):
        read("ssh-keys: [hunter2]")
