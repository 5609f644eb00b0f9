"""What an operator should know of a way to boot before it fails: for `explain` and `doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from ..values import Stage
from .chains import Chain, Method
from .fleet import Fleet, Node
from .network import DhcpMode


def advice(chain: Chain, node: Node, fleet: Fleet) -> Iterator[str]:
    """One sentence for each thing that may go wrong with this node's way to boot."""
    if fleet.dhcp.mode is not DhcpMode.PROXY or not needs_our_lease(chain):
        return
    reserved = node.spec.address if node.spec else None
    # Seen with Debian's GRUB 2.06: it repeats its first request for ever at the site's server.
    yield (
        "its signed GRUB takes the DHCP server of its lease for its TFTP server, so this server "
        + (
            f"lends it {reserved} while it boots"
            if reserved
            else "lends it, while it boots, the address that the site's DHCP server offers"
        )
        + "; where that fails, put HTTP Boot before PXE in its boot order"
        + ("" if reserved else ", or reserve it an `address`")
    )


def needs_our_lease(chain: Chain) -> bool:
    """Whether its boot loader asks nobody but the server that its address is from."""
    return chain.method is Method.SHIM and chain.row.stage is Stage.PXE
