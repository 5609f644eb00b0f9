"""The answer to one DHCP request of network-boot firmware: packet and fleet in, packet out."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from ..dhcp.answer import Reply, Service, answer_type, reply_for
from ..dhcp.client import Client
from ..dhcp.packet import MessageType, Packet
from ..dhcp.recipe import Recipe, Recipes
from ..values import Firmware, Stage
from .chains import Chain, chain_for, row_of
from .decide import Decision, Outcome, decide
from .fleet import Fleet
from .place import network_of
from .site import ExitMethod, Medium
from .urls import Urls


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it came in. `client` is None for an ordinary DHCP client; `server` is our
    own address on the network it came from, or the one we advertise; `interface` that network's
    name here; `broadcast_on` our address there where it was a broadcast."""

    request: Packet
    client: Client | None
    service: Service
    source: tuple[str, int]
    server: IPv4Address
    http_port: int
    interface: str = ""
    broadcast_on: IPv4Address | None = None

    @property
    def urls(self) -> Urls:
        return Urls(f"http://{self.server}:{self.http_port}")

    @property
    def network(self) -> IPv4Address | None:
        """An address of the one that it was asked from."""
        return network_of(self.request, self.broadcast_on)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`reply` is None for silence; `reason` says in either case why. `decision` is None for what
    is no network boot. `remark`: what may go wrong with it all the same."""

    decision: Decision | None
    reason: str
    reply: Reply | None = None
    boot_file: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What a request's machine is to load: a file's name and the shape of the answer that tells
    it. `file` is empty for nothing; `reason` says in either case why."""

    decision: Decision
    reason: str
    file: str = ""
    chain: Chain | None = None


def respond(
    asked: Asked, fleet: Fleet, recipes: Recipes, loaders: Container[str]
) -> Response | None:
    """The proxy's answer; None for a message that is not for a boot server at all."""
    kind = answer_type(asked.request, asked.service)
    if kind is None or asked.client is None:
        return None
    client = asked.client
    boot = boot_for(client, fleet, asked.urls, loaders, asked.network)
    if not boot.file:
        return Response(decision=boot.decision, reason=boot.reason)
    recipe = recipe_for(boot.decision, client, recipes, fleet.vendor_recipes)
    if not recipe.proxy:
        reason = f"{describe_client(client)} takes boot files from its lease alone: see `doctor`"
        return Response(decision=boot.decision, reason=reason)
    if asked.service is Service.BOOT_SERVER and not recipe.port_4011:
        reason = f"recipe '{recipe.name}' leaves 4011 silent"
        return Response(decision=boot.decision, reason=reason)
    reply = _reply(asked, kind, boot.file, recipe)
    return Response(decision=boot.decision, reason=boot.reason, reply=reply, boot_file=boot.file)


def boot_for(
    client: Client,
    fleet: Fleet,
    urls: Urls,
    loaders: Container[str],
    network: IPv4Address | None = None,
) -> Boot:
    """What this client is sent to. `loaders`: the names of the boot loaders that are here;
    `network`: an address of the one that it asks from."""
    decision = decide(fleet, client.mac, client.firmware, client.arch, network=network)
    if not client.known and decision.outcome is not Outcome.NOTHING:
        return Boot(decision=decision, reason="its way of asking is not known here: see `doctor`")
    if decision.outcome is Outcome.NOTHING:
        return Boot(decision=decision, reason=decision.reason)
    if decision.outcome is Outcome.DISK and decision.exit is ExitMethod.SILENCE:
        return Boot(decision=decision, reason=f"{decision.reason} by itself, after our silence")
    if misfit := _unstartable(decision, client):
        return Boot(decision=decision, reason=misfit)
    if name := _later_stage(client, urls):
        return Boot(decision=decision, reason=decision.reason, file=name)
    return _first_stage(decision, client, fleet, urls, loaders)


def _unstartable(decision: Decision, client: Client) -> str:
    """Why what talks now cannot start the node's image; empty where it can."""
    image = decision.image
    if image is None or not isinstance(image.files, Medium) or client.stage is Stage.HTTP:
        return ""
    return (
        f"image '{image.name}' is one {image.files.kind} file, which only UEFI HTTP Boot starts: "
        "put HTTP Boot before PXE in its boot order"
    )


def _later_stage(client: Client, urls: Urls) -> str:
    """The file of a boot loader, or of firmware that reads its own kind of configuration."""
    match client.stage:
        case Stage.IPXE if client.speaks_http:
            return urls.script(client.mac)
        case Stage.GRUB:
            return f"{client.mac.hyphens}/grub.cfg"
        case Stage.UBOOT:
            return f"{client.mac.hyphens}/boot.scr.uimg"
        case Stage.RASPBERRY:
            return f"{client.mac.hyphens}/config.txt"
    return ""


def _first_stage(
    decision: Decision, client: Client, fleet: Fleet, urls: Urls, loaders: Container[str]
) -> Boot:
    # An iPXE without HTTP is handed one that has it.
    stage = Stage.PXE if client.stage is Stage.IPXE else client.stage
    row = row_of(stage, client.firmware, client.arch)
    if row is None:
        said = f"no boot loader for firmware of architecture type {client.arch_type}"
        return Boot(decision=decision, reason=said)
    image = decision.image
    if image is not None and isinstance(image.files, Medium):
        url = urls.blob(client.mac, image.files.blob, image.files.name)
        return Boot(decision=decision, reason=decision.reason, file=url)
    chain = chain_for(row, *tables(decision, fleet))
    if chain.first not in loaders:
        said = f"boot loader {chain.first} is not here: see `kairos-netboot ipxe status`"
        return Boot(decision=decision, reason=said, chain=chain)
    file = f"{client.mac.hyphens}/{chain.first}"
    if stage is Stage.HTTP:
        file = urls.first(client.mac, chain.first)
    return Boot(decision=decision, reason=decision.reason, file=file, chain=chain)


def tables(decision: Decision, fleet: Fleet) -> tuple[Mapping[str, str], ...]:
    """Who says how this machine's boot goes: node, profile, site."""
    spec = decision.node.spec if decision.node else None
    own = spec.boot if spec else {}
    return own, decision.profile.boot if decision.profile else {}, fleet.boot


def recipe_for(
    decision: Decision, client: Client, recipes: Recipes, vendors: Mapping[str, str]
) -> Recipe:
    """The node's own recipe, then its MAC vendor's (longest prefix), then its firmware's."""
    spec = decision.node.spec if decision.node else None
    if client.stage is not Stage.IPXE:
        prefixes = sorted(vendors, key=len, reverse=True)
        vendor = next((vendors[p] for p in prefixes if client.mac.startswith(p)), "")
        if own := (spec.recipe if spec else "") or vendor:
            return recipes.named(own)
    rule = recipes.rule_for(client)
    return recipes.named(rule.recipe if rule else "bios")


def _reply(asked: Asked, kind: MessageType, boot_file: str, recipe: Recipe) -> Reply:
    return reply_for(
        asked.request,
        kind,
        boot_file=boot_file,
        recipe=recipe,
        server=asked.server,
        source=asked.source,
    )


def describe_client(client: Client) -> str:
    """`UEFI firmware (amd64)`: the subject of a timeline's sentence."""
    firmware = {
        Firmware.BIOS: "BIOS",
        Firmware.UEFI: "UEFI",
        Firmware.UBOOT: "U-Boot",
        Firmware.RASPBERRY: "Raspberry Pi",
        None: "unknown",
    }[client.firmware]
    arch = client.arch or f"architecture type {client.arch_type}"
    return f"{firmware} {_TALKING.get(client.stage, 'firmware')} ({arch})"


_TALKING = {Stage.IPXE: "iPXE", Stage.GRUB: "GRUB", Stage.HTTP: "HTTP Boot"}


def facts_of(client: Client) -> dict[str, str]:
    """What a request tells of its machine, for the node's page and the next decision."""
    facts = {
        "firmware": client.firmware or "",
        "arch": client.arch or "",
        "architecture-type": "" if client.arch_type is None else str(client.arch_type),
        "uuid": client.uuid,
        "serial": client.serial,
        "vendor-class": client.vendor_class,
    }
    if client.stage is Stage.IPXE:  # its class is iPXE's, not the machine's
        del facts["vendor-class"]
    return {key: str(value) for key, value in facts.items() if value}
