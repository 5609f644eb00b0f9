"""The answer to one DHCP request of network-boot firmware: packet and fleet in, packet out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from ..dhcp.answer import Reply, Service, answer_type, reply_for
from ..dhcp.client import Client
from ..dhcp.packet import MessageType, Packet
from ..dhcp.recipe import Recipe, Recipes
from ..values import Firmware, Stage
from .decide import Decision, Outcome, decide
from .fleet import Fleet
from .site import ExitMethod
from .urls import Urls


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it came in. `server` is our own address on the network it came from."""

    request: Packet
    client: Client
    service: Service
    source: tuple[str, int]
    server: IPv4Address
    http_port: int

    @property
    def urls(self) -> Urls:
        return Urls(f"http://{self.server}:{self.http_port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`reply` is None for silence; `reason` says in either case why."""

    decision: Decision
    reason: str
    reply: Reply | None = None
    boot_file: str = ""


def respond(asked: Asked, fleet: Fleet, recipes: Recipes) -> Response | None:
    """None for a message that is not for a boot server at all."""
    kind = answer_type(asked.request, asked.service)
    if kind is None:
        return None
    client = asked.client
    decision = decide(fleet, client.mac, client.firmware, client.arch)
    boot_file, reason = boot_file_for(decision, client, recipes, asked.urls)
    if not boot_file:
        return Response(decision=decision, reason=reason)
    recipe = recipe_for(decision, client, recipes, fleet.vendor_recipes)
    if asked.service is Service.BOOT_SERVER and not recipe.port_4011:
        return Response(decision=decision, reason=f"recipe '{recipe.name}' leaves 4011 silent")
    reply = _reply(asked, kind, boot_file, recipe)
    return Response(decision=decision, reason=reason, reply=reply, boot_file=boot_file)


def boot_file_for(
    decision: Decision, client: Client, recipes: Recipes, urls: Urls
) -> tuple[str, str]:
    """The file to send this client to, empty for silence; and why."""
    if decision.outcome is Outcome.NOTHING:
        return "", decision.reason
    if decision.outcome is Outcome.DISK and decision.exit is ExitMethod.SILENCE:
        return "", f"{decision.reason} by itself, after our silence"
    if client.stage is Stage.HTTP:
        return "", "UEFI HTTP Boot is not served: enable PXE in its boot order"
    if client.stage is Stage.IPXE and client.speaks_http:
        return urls.script(client.mac), decision.reason
    loader = recipes.loader_for(client)
    if not loader:
        return "", f"no boot loader for firmware of architecture type {client.arch_type}"
    return f"{client.mac.hyphens}/{loader}", decision.reason


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
    firmware = {Firmware.BIOS: "BIOS", Firmware.UEFI: "UEFI", None: "unknown"}[client.firmware]
    arch = client.arch or f"architecture type {client.arch_type}"
    name = "iPXE" if client.stage is Stage.IPXE else "firmware"
    return f"{firmware} {name} ({arch})"


def facts_of(client: Client) -> dict[str, str]:
    """What a request tells of its machine, for the node's page and the next decision."""
    facts = {
        "firmware": client.firmware or "",
        "arch": client.arch or "",
        "architecture-type": "" if client.arch_type is None else str(client.arch_type),
        "uuid": client.uuid,
        "vendor-class": client.vendor_class,
    }
    if client.stage is Stage.IPXE:  # its class is iPXE's, not the machine's
        del facts["vendor-class"]
    return {key: str(value) for key, value in facts.items() if value}
