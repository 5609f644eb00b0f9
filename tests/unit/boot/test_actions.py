"""What actions' values may hold."""

from __future__ import annotations

import pytest

from kairos_netboot.boot.actions import Action, Order, action_named, disk_path, disks_of, ssh_key
from kairos_netboot.errors import InvalidValue

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43


@pytest.mark.parametrize(
    "path",
    [
        "/dev/sda",
        "/dev/nvme0n1",
        "/dev/disk/by-id/ata-WDC_WD10-1_S+4,5@6=7",
        "/dev/disk/by-path/pci-0000:00:17.0-ata-1",
    ],
)
def test_disks_are_named_by_their_paths(path: str) -> None:
    assert disk_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "sda", "/dev/", "/etc/passwd", "/dev/../etc", "/dev/./sda", "/dev//sda/.."),
        # Each would be more than a word on a command line, or in a script.
        *("/dev/sda kairos.ram.wipe", "/dev/sda\n", "/dev/$x", "/dev/{{x}}", "/dev/'a", "/dev/a;b"),
        *("/dev/disk/by-label/COS_OEM", "/dev/disk/by-partuuid/1-2"),
    ],
)
def test_what_is_no_whole_disk_is_refused(path: str) -> None:
    with pytest.raises(InvalidValue):
        disk_path(path)


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        f"{KEY} me@home",
        KEY.replace("ssh-ed25519", "ecdsa-sha2-nistp256"),
        KEY.replace("ssh-ed25519", "sk-ssh-ed25519@openssh.com"),
    ],
)
def test_public_keys_are_taken(key: str) -> None:
    assert ssh_key(key) == key


@pytest.mark.parametrize(
    "key",
    ["", "AAAA", f"{KEY}\nroot", f"{KEY} {{{{x}}}}", f'command="x" {KEY}', "-----BEGIN KEY-----"],
)
def test_what_is_no_public_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidValue, match="public SSH key"):
        ssh_key(key)


def test_what_a_machine_says_is_an_action_or_nothing() -> None:
    assert action_named("rescue") is Action.RESCUE
    assert action_named("sanboot") is None
    assert action_named(None) is None


def test_what_was_ordered_is_wiped_else_what_the_profile_says() -> None:
    usual = ("/dev/sda",)
    assert disks_of(Order(action=Action.WIPE, disks=("/dev/sdb",)), usual) == ("/dev/sdb",)
    assert disks_of(Order(action=Action.WIPE), usual) == usual
    assert disks_of(Order(action=Action.RESCUE, disks=("/dev/sdb",)), usual) == usual
    assert disks_of(None, usual) == usual
