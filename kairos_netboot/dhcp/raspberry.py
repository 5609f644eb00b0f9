"""The network boot of Raspberry Pi 2 to 5: boot ROM and EEPROM, as they show in a request.

They call themselves x86 BIOS: option 60 is `PXEClient:Arch:00000:UNDI:002001`, option 93 is 0.
"""

from __future__ import annotations

from ..values import Mac

# Of the Raspberry Pi Foundation and Raspberry Pi (Trading) Ltd, as IEEE lists them.
_PREFIXES = ("b8:27:eb", "dc:a6:32", "e4:5f:01", "d8:3a:dd", "2c:cf:67", "28:cd:c1", "88:a2:9e")
_GUID_LENGTH = 17  # option 97: a zero, and 16 bytes


def is_raspberry(mac: Mac, guid: bytes) -> bool:
    """By option 97 where the EEPROM is of 2020 or newer, by the MAC address else."""
    return _is_structured(guid) or mac.startswith(_PREFIXES)


def serial_of(guid: bytes) -> str:
    """The serial number's low 8 digits, the folder it asks TFTP for; empty where option 97 does
    not tell.

    Since EEPROM 2020-03-16 option 97 is "RPi4" (or 5), board revision, the MAC address' last four
    bytes and the serial, numbers little-endian; before, and in the boot ROM of a Pi 3, four times
    the serial.
    """
    if _is_structured(guid) or _is_repeated(guid):
        return guid[13:17][::-1].hex()
    return ""


def _is_structured(guid: bytes) -> bool:
    return len(guid) == _GUID_LENGTH and guid[1:4] == b"RPi"


def _is_repeated(guid: bytes) -> bool:
    return len(guid) == _GUID_LENGTH and guid[1:5] * 4 == guid[1:]
