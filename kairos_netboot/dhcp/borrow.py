"""An answer with the address that the site's DHCP server has offered, for one boot.

The signed GRUB of Debian takes the DHCP server of its lease for its TFTP server, so that the lease
has to be ours. Measured with OVMF 2022.11: it takes the offer that has a boot file, whichever came
first, and passes over the NAK of the server that it did not choose. The site's server does not know
of it: where its range is nearly full it may lease the address to another machine meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from .answer import Reply
from .lease_reply import lease_reply
from .options import Option
from .packet import MessageType, Packet

# As long as boot loader, kernel and initrd take by TFTP; the system asks for a lease of its own.
_SECONDS = 600
# What the site says of its network, as it says it.
_OF_THE_SITE = (
    Option.SUBNET_MASK,
    Option.ROUTERS,
    Option.DNS_SERVERS,
    Option.DOMAIN_NAME,
    Option.BROADCAST_ADDRESS,
    Option.INTERFACE_MTU,
)


def is_offer_of_address(packet: Packet) -> bool:
    return packet.message_type is MessageType.OFFER and bool(int(packet.your_address))


def borrowed(request: Packet, offer: Packet, kind: MessageType, server: IPv4Address) -> Reply:
    """Our OFFER or ACK of what the site's server has offered."""
    reply = lease_reply(request, kind, address=offer.your_address, server=server, told=None)
    options = dict(reply.packet.options)
    options[Option.LEASE_TIME] = _SECONDS.to_bytes(4, "big")
    options |= {int(c): offer.options[c] for c in _OF_THE_SITE if c in offer.options}
    return replace(reply, packet=replace(reply.packet, options=options))


def accepts_ours(request: Packet, server: IPv4Address) -> bool:
    """Whether a REQUEST takes an offer of this server."""
    return (
        request.message_type is MessageType.REQUEST
        and request.options.get(Option.SERVER_IDENTIFIER) == server.packed
    )
