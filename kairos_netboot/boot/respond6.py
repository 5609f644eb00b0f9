"""The answer to one DHCPv6 request of network-boot firmware: the same decision as over IPv4."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

from ..dhcp.answer import Service
from ..dhcp.client import Client
from ..dhcp.v6 import Kind, Message, Option6, Relayed, wrap
from ..dhcp.v6answer import Loan, acknowledgement, answer_kind, boot_reply, gives_back
from ..dhcp.v6client import Identity, is_netboot, recognise6
from ..dhcp.v6router import Prefix, address_in
from ..values import Mac, Stage
from .chains import ROWS, Method
from .decide import Decision
from .fleet import Fleet
from .respond import boot_for
from .urls import Urls

SERVER_PORT = 547
# A boot loader is there in minutes; the prefix may end earlier.
_LOAN_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked6:
    """One request as it came in. `client` is None where it is not known which machine asks;
    `server` is our own address on the network it came from, `duid` our identifier. `prefix`: one
    that machines there make their own addresses in, where DHCPv6 gives out none."""

    request: Message
    relays: tuple[Relayed, ...] = ()
    identity: Identity
    client: Client | None
    service: Service
    source: tuple[str, int]
    server: IPv6Address
    duid: bytes
    http_port: int
    interface: str = ""
    prefix: Prefix | None = None

    @property
    def urls(self) -> Urls:
        return Urls(f"http://[{self.server}]:{self.http_port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response6:
    """`reply` is None for silence; `reason` says in either case why. `decision` is None where
    nothing was decided about a machine."""

    decision: Decision | None
    reason: str
    reply: Message | Relayed | None = None
    destination: tuple[str, int] = ("::", 0)
    boot_file: str = ""


def client_of(
    request: Message, identity: Identity, fleet: Fleet, remembered: Mapping[bytes, Mac]
) -> Client | None:
    """Who asks. `remembered`: the cards of DUIDs heard before, as a second request may tell less
    than the first."""
    mac = identity.mac or remembered.get(identity.duid) or _mac_by_uuid(fleet, identity)
    if mac is None:
        return None
    client = recognise6(request, mac)
    if client is None or not identity.uuids:
        return client
    network_order, as_smbios = identity.uuids
    own = network_order if client.stage is Stage.IPXE else as_smbios
    return replace(client, uuid=own)


def _mac_by_uuid(fleet: Fleet, identity: Identity) -> Mac | None:
    """The first card of the one node that told this UUID earlier; boards share bad ones."""
    found = [n for n in fleet.nodes if n.macs and n.facts.get("uuid") in identity.uuids]
    return found[0].macs[0] if len(found) == 1 else None


def respond6(asked: Asked6, fleet: Fleet, loaders: Container[str]) -> Response6 | None:
    """None for a message that is not for a boot server at all."""
    kind = answer_kind(asked.request, asked.service, asked.duid)
    if kind is None:
        return None
    if gives_back(asked.request):
        return _sent(asked, acknowledgement(asked.request, asked.duid), "gives its address back")
    if not is_netboot(asked.request):
        return None
    client = asked.client
    if client is None:
        return Response6(decision=None, reason="it tells no MAC address, and no UUID known here")
    boot = boot_for(client, with_grub(fleet, loaders), asked.urls, loaders)
    if not boot.file:
        return Response6(decision=boot.decision, reason=boot.reason)
    if client.stage is Stage.IPXE and asked.request.kind != Kind.INFORMATION_REQUEST:
        return Response6(decision=boot.decision, reason=_IPXE_IS_TOLD)
    url = _url(boot.file, asked.server)
    loan = _loan(asked, client)
    reply = boot_reply(asked.request, kind, url=url, stage=client.stage, duid=asked.duid, loan=loan)
    return _sent(asked, reply, boot.reason, decision=boot.decision, boot_file=url)


_IPXE_IS_TOLD = (
    "over IPv6, iPXE takes its script from the server that gives it its address only: choose "
    "`boot: grub` for it, or let it reach us over IPv4 as well"
)


def with_grub(fleet: Fleet, loaders: Container[str]) -> Fleet:
    """The fleet with GRUB as the boot loader where nobody chose another.

    iPXE asks again by itself and believes one server only, the one that gave it its address; of
    several that merely inform, the first. GRUB has our address in it.
    """
    grub = {
        row.name: str(Method.GRUB)
        for row in ROWS
        if row.loaders.get(Method.GRUB, "") in loaders and row.default is Method.IPXE
    }
    return replace(fleet, boot={**grub, **fleet.boot})


def _url(file: str, server: IPv6Address) -> str:
    return file if "://" in file else f"tftp://[{server}]/{file}"


def _loan(asked: Asked6, client: Client) -> Loan | None:
    """EDK2 boots over IPv6 only with an address from DHCPv6. Where nobody gives one out, it is
    told the address that it makes for itself anyway."""
    prefix = asked.prefix
    is_wanted = asked.request.first(Option6.IA_NA) is not None and not asked.relays
    if prefix is None or not is_wanted or asked.service is not Service.PROXY:
        return None
    return Loan(
        address=address_in(prefix.network, client.mac),
        preferred=min(prefix.preferred, _LOAN_SECONDS),
        valid=min(prefix.valid, 2 * _LOAN_SECONDS),
    )


def _sent(
    asked: Asked6,
    reply: Message,
    reason: str,
    *,
    decision: Decision | None = None,
    boot_file: str = "",
) -> Response6:
    """To a relay's own port (RFC 8415, section 19.3); to a client where it asked from."""
    host, port = asked.source
    return Response6(
        decision=decision,
        reason=reason,
        reply=wrap(reply, asked.relays),
        destination=(host, SERVER_PORT if asked.relays else port),
        boot_file=boot_file,
    )
