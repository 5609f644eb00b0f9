"""A network card's firmware without a machine: one DISCOVER, and every frame that answers it.

`python -m tests.lab.ask eth0 --mac 52:54:00:77:00:01` prints what came as JSON. The answers are
read by scapy, which shares no code with the server.
"""

from __future__ import annotations

import argparse
import json
import socket
import time
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

from kairos_netboot.dhcp.options import Option
from kairos_netboot.dhcp.packet import MessageType, Op, Packet, encode
from kairos_netboot.server.ipv4 import UdpPacket
from kairos_netboot.server.ipv4 import encode as in_ip
from kairos_netboot.values import Mac

_XID = 0x77000001
_ETH_P_IP = b"\x08\x00"
_UEFI: Mapping[int, bytes] = {
    Option.CLASS_IDENTIFIER: b"PXEClient:Arch:00007:UNDI:003016",
    Option.CLIENT_ARCHITECTURE: b"\x00\x07",
}


def discover(mac: Mac, *, pxe: bool, requested: str, broadcast: bool) -> bytes:
    options: dict[int, bytes] = {Option.MESSAGE_TYPE: bytes([MessageType.DISCOVER])}
    if pxe:
        options.update(_UEFI)
    if requested:
        options[Option.REQUESTED_ADDRESS] = IPv4Address(requested).packed
    packet = Packet(
        op=Op.REQUEST,
        xid=_XID,
        flags=0x8000 if broadcast else 0,
        hardware_address=bytes.fromhex(mac.replace(":", "")),
        options=options,
    )
    return encode(packet)


def frame(mac: Mac, data: bytes, vlan: int | None) -> bytes:
    """Broadcast; tagged where there is a VLAN, even number 0."""
    packet = UdpPacket(source=("0.0.0.0", 68), destination=("255.255.255.255", 67), data=data)
    tag = b"" if vlan is None else b"\x81\x00" + vlan.to_bytes(2, "big")
    return b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) + tag + _ETH_P_IP + in_ip(packet)


def answers(sock: socket.socket, until: float) -> list[dict[str, str]]:
    found = []
    while (left := until - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            raw, address = sock.recvfrom(65535)
        except TimeoutError:
            break
        if address[2] != socket.PACKET_OUTGOING and (read := _answer_in(raw)):
            found.append(read)
    return found


def _answer_in(raw: bytes) -> dict[str, str]:
    from scapy.layers.dhcp import BOOTP, DHCP
    from scapy.layers.l2 import Ether

    frame: Any = Ether(raw)
    if BOOTP not in frame or frame[BOOTP].op != 2 or frame[BOOTP].xid != _XID:
        return {}
    bootp = frame[BOOTP]
    options = {o[0]: o[1] for o in frame[DHCP].options if isinstance(o, tuple)}
    return {
        "to": frame.dst,
        "source": frame["IP"].src,
        "destination": frame["IP"].dst,
        "next_server": bootp.siaddr,
        "identifier": str(options.get("server_id", "")),
        "offered": bootp.yiaddr,
        "file": bootp.file.rstrip(b"\0").decode(),
        "sound": str(_is_sound(frame)),
    }


def _is_sound(frame: Any) -> bool:
    """Whether scapy comes to the same checksums. A virtual card's are not made yet."""
    again = frame.copy()
    del again["IP"].chksum
    del again["UDP"].chksum
    return bytes(again) == bytes(frame)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("interface")
    parser.add_argument("--mac", type=Mac, required=True)
    parser.add_argument("--vlan", type=int)
    parser.add_argument("--requested", default="")
    parser.add_argument("--plain", action="store_true", help="no network boot")
    parser.add_argument("--unicast", action="store_true", help="no broadcast flag")
    parser.add_argument("--seconds", type=float, default=0.6)
    wanted = parser.parse_args()
    data = discover(
        wanted.mac,
        pxe=not wanted.plain,
        requested=wanted.requested,
        broadcast=not wanted.unicast,
    )
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sock:  # ETH_P_ALL
        sock.bind((wanted.interface, 3))
        sock.send(frame(wanted.mac, data, wanted.vlan))
        print(json.dumps(answers(sock, time.monotonic() + wanted.seconds)))


if __name__ == "__main__":
    main()
