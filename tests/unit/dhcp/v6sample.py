"""Requests as stock firmware sends them, taken from captures made in the lab."""

from __future__ import annotations

from kairos_netboot.dhcp.v6 import Message, decode
from kairos_netboot.values import Mac

MAC = Mac("52:54:00:77:06:01")
UUID = "88e9d8a5-5f7c-5e9a-89c8-d782009f4c95"

# OVMF 2022.11 (EDK2), whose DUID is the system UUID as SMBIOS has it.
EDK2_DUID = bytes.fromhex("0004a5d8e9887c5f9a5e89c8d782009f4c95")
_EDK2 = "00010012 0004a5d8e9887c5f9a5e89c8d782009f4c95"
_ASKS = "00060008 003b003c00170010 003e0003 010300"
_PXE = f"{_ASKS} 003d0002 0007 00100026 00000157 0020"
_HTTP = f"{_ASKS} 003d0002 0010 00100027 00000157 0021"
_ARCH = b":UNDI:003000".hex()
_NEW_ADDRESS = "0003000c ffd6f7d7 ffffffff ffffffff"

EDK2_PXE_SOLICIT = bytes.fromhex(
    f"01c70870 {_EDK2} 00080002 0000 {_NEW_ADDRESS} {_PXE} {b'PXEClient:Arch:00007'.hex()}{_ARCH}"
)
EDK2_HTTP_SOLICIT = bytes.fromhex(
    f"0171db29 {_EDK2} 00080002 0000 {_NEW_ADDRESS} {_HTTP} {b'HTTPClient:Arch:00016'.hex()}{_ARCH}"
)
# Of its network stack, before any boot: it wants DNS servers.
EDK2_STACK_SOLICIT = bytes.fromhex(f"01688a0f {_EDK2} 00080002 0000 {_NEW_ADDRESS} 00060002 0017")
# iPXE of Debian 12, started by that firmware.
IPXE_INFORMATION_REQUEST = bytes.fromhex(
    "0b7dd48e 00010012 000488e9d8a55f7c5e9a89c8d782009f4c95 00060008 00170018003b003c"
    f"00100026 00000157 0020 {b'PXEClient:Arch:00007:UNDI:003010'.hex()}"
    f"003d0002 0007 003e0003 01030a 000f0006 0004 {b'iPXE'.hex()} 00080002 0000"
)


def message(data: bytes) -> Message:
    found = decode(data)
    assert isinstance(found, Message)
    return found


def changed(data: bytes, *, kind: int | None = None, **options: bytes | None) -> Message:
    """`option_2=b"…"` sets, `option_61=None` takes away."""
    before = message(data)
    wanted = {int(name.removeprefix("option_")): value for name, value in options.items()}
    kept = tuple(option for option in before.options if option[0] not in wanted)
    added = tuple((code, value) for code, value in wanted.items() if value is not None)
    return Message(
        kind=before.kind if kind is None else kind, xid=before.xid, options=(*kept, *added)
    )
