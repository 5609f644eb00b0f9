"""A VLAN's sub-interface in user space, for kernels without 802.1Q.

`python -m tests.lab.tagging eth1 5` makes a tap `eth1.5`, hands it what comes in on eth1 with that
tag, and sends what leaves by it with the tag. A kernel's sub-interface does the same.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import select
import socket
import struct

_TUNSETIFF, _TAP_WITHOUT_HEADER = 0x400454CA, 0x1002
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_AUXDATA = struct.Struct("@IIIHHHH")
_HAS_VLAN = 1 << 4
_ETH_P_ALL = 3
_LARGEST = 65535


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("trunk")
    parser.add_argument("vlan", type=int)
    wanted = parser.parse_args()
    tap = _tap(f"{wanted.trunk}.{wanted.vlan}")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) as trunk:
        trunk.bind((wanted.trunk, _ETH_P_ALL))
        trunk.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([tap, trunk.fileno()], [], [])
            if tap in ready:
                frame = os.read(tap, _LARGEST)
                tag = b"\x81\x00" + wanted.vlan.to_bytes(2, "big")
                trunk.send(frame[:12] + tag + frame[12:])
            if trunk.fileno() in ready:
                _hand_over(trunk, wanted.vlan, tap)


def _tap(name: str) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR)
    request = struct.pack("16sH22x", name.encode(), _TAP_WITHOUT_HEADER)
    fcntl.ioctl(tap, _TUNSETIFF, request)
    return tap


def _hand_over(trunk: socket.socket, vlan: int, tap: int) -> None:
    room = socket.CMSG_SPACE(_AUXDATA.size)
    frame, ancillary, _, address = trunk.recvmsg(_LARGEST, room)
    status, *_, tag, _ = _AUXDATA.unpack(ancillary[0][2])
    is_incoming = address[2] != socket.PACKET_OUTGOING
    if is_incoming and status & _HAS_VLAN and tag & 0xFFF == vlan:
        os.write(tap, frame)


if __name__ == "__main__":
    main()
