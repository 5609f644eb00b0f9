"""The boot plan: what one machine loads, and with which command line."""

from __future__ import annotations

from dataclasses import dataclass

from ..values import Mac
from .cmdline import install_command_line
from .decide import Decision
from .lifecycle import MAX_BOOTS
from .tokens import BootTokens
from .urls import Urls


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """`boot` counts from 1 since the node was armed."""

    node: str
    image: str
    image_digest: str
    boot: int
    max_boots: int
    kernel_url: str
    initrd_url: str
    command_line: str
    report_url: str


def plan_install(decision: Decision, mac: Mac, urls: Urls, tokens: BootTokens) -> BootPlan:
    """The plan of an INSTALL decision; raises InvalidValue for an unusable command line."""
    node, profile, image = decision.node, decision.profile, decision.image
    if node is None or profile is None or image is None:
        raise AssertionError("an INSTALL decision has a node, a profile and an image")
    command_line = install_command_line(
        rootfs_url=urls.blob(mac, image.files.rootfs, "rootfs.squashfs"),
        document_url=urls.document(tokens.document),
        boot_mac=mac if len(node.macs) > 1 else None,
        kairos_version=image.facts.version,
        extra=profile.kernel_args,
    )
    return BootPlan(
        node=node.name,
        image=image.name,
        image_digest=image.digest,
        boot=node.boots + 1,
        max_boots=MAX_BOOTS,
        kernel_url=urls.blob(mac, image.files.kernel, "kernel"),
        initrd_url=urls.blob(mac, image.files.initrd, "initrd"),
        command_line=command_line,
        report_url=urls.report(tokens.report),
    )
