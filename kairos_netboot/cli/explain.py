"""`explain`: what a machine would get now, and why, from the functions that serve it."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..boot.advice import advice
from ..boot.chains import MEDIUM, Chain, Method
from ..boot.clusters import seat_of
from ..boot.decide import Decision, Outcome, decide
from ..boot.extlinux import extlinux_config, extlinux_disk_config
from ..boot.fleet import Fleet
from ..boot.grub import Where, grub_config, grub_without_plan
from ..boot.plan import BootPlan, make_plan
from ..boot.respond import boot_for, describe_client, recipe_for
from ..boot.site import Image, Medium
from ..boot.tokens import BootTokens
from ..boot.urls import Urls
from ..cloudconfig.cluster import cluster_variables
from ..cloudconfig.for_node import document_for, variables_of
from ..cloudconfig.systems import masked
from ..config.resources import load_recipes, load_scripts
from ..config.shelf import look_on_shelf
from ..dhcp.client import Client
from ..errors import InvalidValue
from ..values import Arch, Firmware, Mac, Stage
from .app import Common, opened, say
from .choices import choice_lines

# Made anew at each boot; this one opens nothing.
_NO_TOKENS = BootTokens("0" * 32)


def explain(
    context: typer.Context,
    machine: Annotated[str, typer.Argument(metavar="MAC", help="A MAC address or a node's name.")],
    firmware: Annotated[
        Firmware | None, typer.Option(help="Firmware to explain for, if not the one last seen.")
    ] = None,
    show_secrets: Annotated[bool, typer.Option(help="Print the document unmasked.")] = False,
    loaders: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder of boot loaders, as given to `serve`.", envvar="KAIROS_NETBOOT_LOADERS"
        ),
    ] = None,
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
    known = look_on_shelf(tuple(loaders or ()), common.state).names
    for line in _lines(fleet, decision, client, urls, known, show_secrets=show_secrets):
        say(line)


def _mac_of(fleet: Fleet, machine: str) -> Mac:
    try:
        return Mac(machine)
    except InvalidValue:
        node = fleet.named(machine)
    if not node.macs:
        raise InvalidValue(
            f"{node.name} has not been seen: no machine has told what it is known by, see "
            "`kairos-netboot nodes discovered`"
        )
    return node.macs[0]


def _client(fleet: Fleet, mac: Mac, firmware: Firmware | None) -> Client:
    """A request of this machine's firmware, as it would come in."""
    node = fleet.by_mac.get(mac)
    known = firmware or (node.firmware if node else None)
    return Client(
        mac=mac,
        stage=Stage.PXE,
        arch_type=None,
        firmware=known,
        # It asked before, or it is what most machines are.
        arch=(node.arch if node else None) or (_USUAL_ARCH[known] if known else None),
        serial=node.facts.get("serial", "") if node else "",
        speaks_http=True,
    )


_USUAL_ARCH = {
    Firmware.BIOS: Arch.AMD64,
    Firmware.UEFI: Arch.AMD64,
    Firmware.UBOOT: Arch.ARM64,
    Firmware.RASPBERRY: Arch.ARM64,
}
_STAGES = {
    Firmware.BIOS: (Stage.PXE, Stage.IPXE),
    Firmware.UEFI: (Stage.PXE, Stage.HTTP, Stage.IPXE),
    Firmware.UBOOT: (Stage.UBOOT,),
    Firmware.RASPBERRY: (Stage.RASPBERRY,),
}


def _lines(
    fleet: Fleet,
    decision: Decision,
    client: Client,
    urls: Urls,
    loaders: Container[str],
    *,
    show_secrets: bool,
) -> Iterator[str]:
    yield f"decision: {decision.outcome}"
    yield f"why:      {decision.reason}"
    yield from choice_lines(fleet, client.mac)
    if client.firmware is None:
        yield "DHCP:     it has not asked yet: see with --firmware bios or --firmware uefi"
    recipes = load_recipes()
    for stage in _STAGES[client.firmware] if client.firmware else ():
        asking = replace(client, stage=stage)
        boot = boot_for(asking, fleet, urls, loaders)
        recipe = recipe_for(decision, asking, recipes, fleet.vendor_recipes)
        answer = f"{boot.file} (recipe {recipe.name})" if boot.file else f"no answer: {boot.reason}"
        yield f"DHCP:     {describe_client(asking)} → {answer}"
        if boot.file and boot.chain and decision.node:
            yield from (f"note:     {line}" for line in advice(boot.chain, decision.node, fleet))
    if decision.outcome is Outcome.NOTHING:
        return
    chain = boot_for(_first_asking(fleet, client), fleet, urls, loaders).chain
    if not decision.loads:
        yield from _section(*_without_plan(decision, chain, client, urls))
    else:
        yield from _install(fleet, decision, chain, client, urls, show_secrets=show_secrets)


def _first_asking(fleet: Fleet, client: Client) -> Client:
    """As it asked last: by HTTP Boot, or by PXE."""
    node = fleet.by_mac.get(client.mac)
    by_http = node is not None and node.facts.get("vendor-class", "").startswith("HTTPClient")
    return replace(client, stage=Stage.HTTP) if by_http else client


_GRUBS = (Method.GRUB, Method.SHIM)


def _without_plan(
    decision: Decision, chain: Chain | None, client: Client, urls: Urls
) -> tuple[str, str]:
    """The title and the text of what starts no kernel: the way to its disk, a menu, a wait."""
    scripts = load_scripts()
    if chain is not None and chain.method in _GRUBS:
        where = Where.MEDIUM if chain.first == MEDIUM else Where.TFTP
        arch = client.arch
        return "grub.cfg", grub_without_plan(scripts, decision, client.mac, urls, where, arch)
    if client.firmware is Firmware.UBOOT:
        return "extlinux.conf", extlinux_disk_config(scripts, decision)
    return "script", scripts.without_plan(decision, client.mac, urls)


def _started(plan: BootPlan, chain: Chain | None, client: Client) -> tuple[str, str]:
    """The same for the installer."""
    if isinstance(plan.files, Medium):
        return "boot file", f"{plan.urls.blob(plan.mac, plan.files.blob, plan.files.name)}\n"
    if chain is not None and chain.method in _GRUBS:
        where = Where.MEDIUM if chain.first == MEDIUM else Where.TFTP
        return "grub.cfg", grub_config(load_scripts(), plan, where=where)
    if client.firmware is Firmware.UBOOT:
        return "extlinux.conf", extlinux_config(load_scripts(), plan, device_trees=False)
    if client.firmware is Firmware.RASPBERRY:
        return "cmdline.txt", f"{plan.command_line}\n"
    return "script", load_scripts().install(plan)


def _loader_of(chain: Chain | None, client: Client, image: Image | None) -> Stage:
    """What reads the plan."""
    if image is not None and isinstance(image.files, Medium):
        return Stage.HTTP
    if chain is not None and chain.method in _GRUBS:
        return Stage.GRUB
    own = {Firmware.UBOOT: Stage.UBOOT, Firmware.RASPBERRY: Stage.RASPBERRY}
    return own.get(client.firmware or Firmware.BIOS, Stage.IPXE)


def _install(
    fleet: Fleet,
    decision: Decision,
    chain: Chain | None,
    client: Client,
    urls: Urls,
    *,
    show_secrets: bool,
) -> Iterator[str]:
    node, profile = decision.node, decision.profile
    if node is None or node.spec is None or profile is None:
        return
    loader = _loader_of(chain, client, decision.image)
    plan = make_plan(decision, client.mac, urls, _NO_TOKENS, loader)
    built = document_for(fleet, node, urls, _NO_TOKENS.report, plan.action)
    title, script = _started(plan, chain, client)
    document = built.text
    if not show_secrets:
        in_cluster = cluster_variables(seat_of(fleet, node), urls.report(_NO_TOKENS.report))
        document = masked(profile, document, variables_of(profile, node.spec, urls, in_cluster))
    yield from _section(title, _without_tokens(script))
    yield from _section("document", _without_tokens(document))
    for finding in built.findings:
        yield f"note: {finding}"


def _without_tokens(text: str) -> str:
    return text.replace(_NO_TOKENS.document, "********").replace(_NO_TOKENS.report, "********")


def _section(title: str, text: str) -> Iterator[str]:
    yield f"\n--- {title} ---"
    yield text.rstrip("\n")
