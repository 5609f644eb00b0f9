"""The eraser's script as far as it goes without a disk; tests/lab/test_actions.py has disks."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from kairos_netboot.cloudconfig.eraser import erase_commands
from kairos_netboot.errors import DocumentProblem

TELL = "tell() { :; }"


def test_exactly_the_disks_named_are_erased() -> None:
    text = erase_commands(("/dev/vdb", "/dev/disk/by-id/a#b"), TELL)
    assert "\nset -- /dev/vdb '/dev/disk/by-id/a#b'\n" in text
    assert text.count("/dev/vdb") == 1


def test_no_disk_is_no_wipe() -> None:
    with pytest.raises(DocumentProblem, match="which disks"):
        erase_commands((), TELL)


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_shells_can_read_it(shell: str) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"there is no {shell} here")
    subprocess.run([found, "-n", "-c", erase_commands(("/dev/vdb",), TELL)], check=True)


def test_nothing_in_it_is_a_template_to_kairos() -> None:
    assert "{{" not in erase_commands(("/dev/vdb",), TELL)


def test_every_disk_is_looked_at_before_the_first_is_touched() -> None:
    text = erase_commands(("/dev/vdb",), TELL)
    last_look = text.rindex("nothing was erased")
    assert last_look < text.index('erase "$(kernel_name "$disk")" ||')
