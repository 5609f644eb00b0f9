"""The boot plan: what one machine loads, and with which command line."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidValue
from ..values import Arch, Blob, Mac, Stage
from .actions import Action
from .cmdline import install_command_line
from .decide import Decision
from .lifecycle import MAX_BOOTS
from .site import BootFiles, KernelFiles, Medium
from .tokens import BootTokens
from .urls import Urls


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """`boot` counts from 1 since the node was armed. `loader` is what will read the plan."""

    action: Action
    family: str
    node: str
    mac: Mac
    loader: Stage
    image: str
    image_digest: str
    arch: Arch
    files: KernelFiles | Medium
    boot: int
    max_boots: int
    command_line: str  # empty for a medium, which has its own
    urls: Urls
    report_url: str
    report_token: str

    @property
    def kernel_files(self) -> KernelFiles:
        """Raises InvalidValue for an image that is one file."""
        if isinstance(self.files, Medium):
            raise InvalidValue(
                f"image '{self.image}' is one {self.files.kind} file, which only UEFI HTTP Boot "
                f"starts: enable HTTP Boot on {self.node}, or give it an image with a kernel"
            )
        return self.files

    @property
    def rootfs(self) -> Blob | None:
        return self.files.rootfs if isinstance(self.files, BootFiles) else None

    @property
    def kernel_url(self) -> str:
        return self.urls.blob(self.mac, self.kernel_files.kernel, "kernel")

    @property
    def initrd_url(self) -> str:
        return self.urls.blob(self.mac, self.kernel_files.initrd, "initrd")


def make_plan(
    decision: Decision, mac: Mac, urls: Urls, tokens: BootTokens, loader: Stage = Stage.IPXE
) -> BootPlan:
    """The plan of a decision that loads; raises InvalidValue for an unusable command line."""
    node, profile, image = decision.node, decision.profile, decision.image
    if node is None or profile is None or image is None:
        raise AssertionError("a decision that loads has a node, a profile and an image")
    command_line = ""
    if isinstance(image.files, BootFiles):
        command_line = install_command_line(
            rootfs_url=urls.blob(mac, image.files.rootfs, "rootfs.squashfs"),
            document_url=urls.document(tokens.document),
            loader=loader,
            arch=image.facts.arch,
            mac=mac,
            several_cards=len(node.macs) > 1,
            network=profile.network,
            kairos_version=image.facts.version,
            extra=profile.kernel_args,
        )
    plan = BootPlan(
        action=decision.action or Action.INSTALL,
        family=profile.family,
        node=node.name,
        mac=mac,
        loader=loader,
        image=image.name,
        image_digest=image.digest,
        arch=image.facts.arch,
        files=image.files,
        boot=node.boots + 1,
        max_boots=MAX_BOOTS,
        command_line=command_line,
        urls=urls,
        report_url=urls.report(tokens.report),
        report_token=tokens.report,
    )
    if loader is not Stage.HTTP:
        plan.kernel_files  # noqa: B018 raises for a medium
    return plan
