"""The boot plan: what one machine loads, and with which command line."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidValue
from ..values import Arch, Blob, Mac, Stage
from .actions import STARTS, Action
from .cmdline import Boot, command_line
from .decide import Decision
from .families import KAIROS, system_line
from .fleet import Node
from .lifecycle import COUNTED, MAX_BOOTS, State
from .site import BootFiles, Image, KernelFiles, Medium, Profile
from .tokens import BootTokens
from .urls import Urls


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """`boot` counts from 1 since the node was armed, where what destroys is counted; `max_boots`
    is 0 where nothing is. `loader` is what will read the plan."""

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
    def heading(self) -> str:
        """For the first line of what a loader reads."""
        if not self.max_boots:
            return self.action
        return f"{self.starts} start {self.boot} of at most {self.max_boots}"

    @property
    def sentence(self) -> str:
        """What the machine does now, for its console."""
        if not self.max_boots:
            return f"{self.node} does '{self.action}' with {self.image}"
        does = "installs" if self.action is Action.INSTALL else "erases its disks with"
        return f"{self.node} {does} {self.image} ({self.boot} of at most {self.max_boots} tries)"

    @property
    def starts(self) -> str:
        """What the kernel is started for."""
        return {Action.INSTALL: "installer", Action.WIPE: "eraser"}.get(self.action, "kernel")

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
    action = decision.action or Action.INSTALL
    is_counted = STARTS[action] in COUNTED
    line = ""
    if profile.family != KAIROS and not isinstance(image.files, Medium):
        line = _other_line(profile, image, image.files, action, mac, urls, tokens, loader)
    elif isinstance(image.files, BootFiles):
        boot = _boot(node, profile, image, image.files, mac, urls, tokens, loader)
        line = command_line(action, boot)
    plan = BootPlan(
        action=action,
        family=profile.family,
        node=node.name,
        mac=mac,
        loader=loader,
        image=image.name,
        image_digest=image.digest,
        arch=image.facts.arch,
        files=image.files,
        boot=node.boots + 1 if is_counted else 0,
        max_boots=MAX_BOOTS if is_counted else 0,
        command_line=line,
        urls=urls,
        report_url=urls.report(tokens.report),
        report_token=tokens.report,
    )
    if loader is not Stage.HTTP:
        plan.kernel_files  # noqa: B018 raises for a medium
    return plan


def _other_line(
    profile: Profile,
    image: Image,
    files: KernelFiles,
    action: Action,
    mac: Mac,
    urls: Urls,
    tokens: BootTokens,
    loader: Stage,
) -> str:
    """Of a system that is no Kairos."""
    return system_line(
        profile,
        action,
        urls=urls,
        mac=mac,
        files=files,
        document_token=tokens.document,
        report_url=urls.report(tokens.report),
        loader=loader,
        arch=image.facts.arch,
    )


def _boot(
    node: Node,
    profile: Profile,
    image: Image,
    files: BootFiles,
    mac: Mac,
    urls: Urls,
    tokens: BootTokens,
    loader: Stage,
) -> Boot:
    return Boot(
        rootfs_url=urls.blob(mac, files.rootfs, "rootfs.squashfs"),
        document_url=urls.document(tokens.document),
        loader=loader,
        arch=image.facts.arch,
        mac=mac,
        several_cards=len(node.macs) > 1,
        network=profile.network,
        kairos=image.facts.kairos,
        flavor=image.facts.flavor,
        extra=profile.kernel_args,
        ram=profile.ram,
        # Once for each arming: what starts leaves this state (boot/lifecycle.py).
        may_write=node.state is State.ARMED,
    )
