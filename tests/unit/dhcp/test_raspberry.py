from __future__ import annotations

import pytest

from kairos_netboot.dhcp.raspberry import is_raspberry, serial_of
from kairos_netboot.values import Mac

# Serial 0x9ffefdef on a Pi 4 of revision 0xc03111 with dc:a6:32:01:36:c2.
PI4 = b"\0" + b"RPi4" + bytes.fromhex("1131c000") + bytes.fromhex("320136c2") + b"\xef\xfd\xfe\x9f"
PI3 = b"\0" + bytes.fromhex("6df6284e") * 4
PC = b"\0" + bytes(range(16))
OTHER = Mac("52:54:00:12:34:56")


@pytest.mark.parametrize("mac", ["b8:27:eb:28:f6:6d", "dc:a6:32:01:36:c2", "2c:cf:67:00:00:01"])
def test_its_mac_address_tells(mac: str) -> None:
    assert is_raspberry(Mac(mac), PC)


def test_option_97_tells_whatever_the_mac_address() -> None:
    assert is_raspberry(OTHER, PI4)
    assert is_raspberry(OTHER, PI4.replace(b"RPi4", b"RPi5"))


@pytest.mark.parametrize("guid", [PC, PI3, b"", PI4[:-1], b"\0" * 17])
def test_another_machine_is_none(guid: bytes) -> None:
    assert not is_raspberry(OTHER, guid)


@pytest.mark.parametrize(
    ("guid", "serial"), [(PI4, "9ffefdef"), (PI3, "4e28f66d"), (PC, ""), (b"", ""), (PI4[:-1], "")]
)
def test_the_serial_number_is_the_end_of_option_97(guid: bytes, serial: str) -> None:
    assert serial_of(guid) == serial
