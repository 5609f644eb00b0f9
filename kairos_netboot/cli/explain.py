"""`explain`: what a machine would get now, and why, from the functions that serve it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import typer

from ..boot.decide import Decision, Outcome, decide
from ..boot.fleet import Fleet
from ..boot.plan import plan_install
from ..boot.respond import boot_file_for, describe_client, recipe_for
from ..boot.tokens import BootTokens
from ..boot.urls import Urls
from ..cloudconfig.for_node import document_for, variables_of
from ..cloudconfig.mask import mask
from ..config.resources import load_recipes, load_scripts
from ..dhcp.client import Client
from ..errors import InvalidValue
from ..values import Arch, Firmware, Mac, Stage
from .app import Common, opened, say

# Made anew at each boot; this one opens nothing.
_NO_TOKENS = BootTokens("0" * 32)


def explain(
    context: typer.Context,
    machine: Annotated[str, typer.Argument(metavar="MAC", help="A MAC address or a node's name.")],
    firmware: Annotated[
        Firmware | None, typer.Option(help="Firmware to explain for, if not the one last seen.")
    ] = None,
    show_secrets: Annotated[bool, typer.Option(help="Print the document unmasked.")] = False,
    server: Annotated[
        str, typer.Option(help="The server's address as machines see it: http://HOST:PORT.")
    ] = "",
) -> None:
    """Print the decision for one machine, why, its script and its document. Changes nothing."""
    common: Common = context.obj
    with opened(common.state) as store:
        fleet, known_url = store.fleet(), store.server_url()
    urls = Urls(server.rstrip("/") or known_url or "http://SERVER:8080")
    mac = _mac_of(fleet, machine)
    client = _client(fleet, mac, firmware)
    decision = decide(fleet, mac, client.firmware, client.arch)
    for line in _lines(fleet, decision, client, urls, show_secrets=show_secrets):
        say(line)


def _mac_of(fleet: Fleet, machine: str) -> Mac:
    try:
        return Mac(machine)
    except InvalidValue:
        return fleet.named(machine).macs[0]


def _client(fleet: Fleet, mac: Mac, firmware: Firmware | None) -> Client:
    """A request of this machine's firmware, as it would come in."""
    node = fleet.by_mac.get(mac)
    known = firmware or (node.firmware if node else None)
    return Client(
        mac=mac,
        stage=Stage.PXE,
        arch_type=None,
        firmware=known,
        # It asked before, or it is what the two firmwares served today run on.
        arch=(node.arch if node else None) or (Arch.AMD64 if known else None),
        speaks_http=True,
    )


def _lines(
    fleet: Fleet, decision: Decision, client: Client, urls: Urls, *, show_secrets: bool
) -> Iterator[str]:
    yield f"decision: {decision.outcome}"
    yield f"why:      {decision.reason}"
    if client.firmware is None:
        yield "DHCP:     it has not asked yet: see with --firmware bios or --firmware uefi"
    recipes = load_recipes()
    for stage in (Stage.PXE, Stage.IPXE) if client.firmware else ():
        asking = replace(client, stage=stage)
        boot_file, reason = boot_file_for(decision, asking, recipes, urls)
        recipe = recipe_for(decision, asking, recipes, fleet.vendor_recipes)
        answer = f"{boot_file} (recipe {recipe.name})" if boot_file else f"no answer: {reason}"
        yield f"DHCP:     {describe_client(asking)} → {answer}"
    if decision.outcome is Outcome.DISK:
        yield from _section("script", load_scripts().to_disk(decision, urls))
    if decision.outcome is Outcome.INSTALL:
        yield from _install(fleet, decision, client, urls, show_secrets=show_secrets)


def _install(
    fleet: Fleet, decision: Decision, client: Client, urls: Urls, *, show_secrets: bool
) -> Iterator[str]:
    node, profile = decision.node, decision.profile
    if node is None or node.spec is None or profile is None:
        return
    plan = plan_install(decision, client.mac, urls, _NO_TOKENS)
    built = document_for(fleet, node, urls, _NO_TOKENS.report)
    script, document = load_scripts().install(plan), built.text
    if not show_secrets:
        document = mask(document, variables_of(profile, node.spec, urls))
    yield from _section("script", _without_tokens(script))
    yield from _section("document", _without_tokens(document))
    for finding in built.findings:
        yield f"note: {finding}"


def _without_tokens(text: str) -> str:
    return text.replace(_NO_TOKENS.document, "********").replace(_NO_TOKENS.report, "********")


def _section(title: str, text: str) -> Iterator[str]:
    yield f"\n--- {title} ---"
    yield text.rstrip("\n")
