"""GRUB's configuration for one machine, and who we are for the GRUB that is made here."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import urlsplit

from ..errors import InvalidValue
from ..values import Arch, Mac
from .actions import Action
from .decide import Decision, Outcome
from .plan import BootPlan
from .script import WAIT_SECONDS, Scripts, titles
from .urls import Urls, tftp_path

# Places in the network GRUB's configuration, filled in when it is served: the file keeps its
# length. The longest values are IPv6 addresses.
SERVER = "@@kairos-netboot:tftp-server-without-brackets-@@"
HTTP = "@@kairos-netboot:http-server-and-port---------------@@"
HTTP_80 = "@@kairos-netboot:http-server-on-port-80------------@@"
MAC = "@@kairos-netboot:mac@@"

# What UEFI calls each architecture in the file it starts from a disk.
_UEFI_NAMES = {Arch.AMD64: "X64", Arch.ARM64: "AA64", Arch.RISCV64: "RISCV64"}


class Where(StrEnum):
    """Where GRUB finds what its configuration names."""

    TFTP = "tftp"
    HTTP = "http"
    MEDIUM = "medium"  # at the root of the disk that the configuration itself is on


def addressed(loader: bytes, urls: Urls, mac: Mac | None = None) -> bytes:
    """A boot loader that knows where it came from; any but the network GRUB stays as it is.

    `mac`: of the machine, where the request says it; else GRUB takes its first card's.
    """
    if SERVER.encode() not in loader:
        return loader
    http = _http_host(urls)
    port_80 = "" if http.rpartition("]")[2].count(":") else http
    values = {SERVER: server_address(urls), HTTP: http, HTTP_80: port_80, MAC: mac or ""}
    for place, value in values.items():
        loader = loader.replace(place.encode(), value.ljust(len(place)).encode())
    return loader


def grub_config(scripts: Scripts, plan: BootPlan, *, where: Where) -> str:
    """Starts the installer; raises InvalidValue for a command line that GRUB would change."""
    return scripts.render(
        "install.grub.cfg.j2",
        plan=plan,
        words=_words(plan.command_line),
        kernel=_file(plan, "kernel", where),
        initrd=_file(plan, "initrd", where),
        report=_report(plan, where),
        reasons=where is not Where.HTTP,
        network=where is Where.MEDIUM,
    )


def grub_disk_config(scripts: Scripts, decision: Decision, arch: Arch | None) -> str:
    """Leaves the network for the boot loader of a disk."""
    name = _UEFI_NAMES.get(arch or Arch.AMD64, "X64")
    loader = f"/EFI/BOOT/BOOT{name}.EFI"
    return scripts.render("disk.grub.cfg.j2", reason=decision.reason, loader=loader)


def grub_without_plan(
    scripts: Scripts,
    decision: Decision,
    mac: Mac,
    urls: Urls,
    where: Where,
    arch: Arch | None = None,
) -> str:
    """Of a decision that starts no kernel of ours."""
    match decision.outcome:
        case Outcome.WAIT:
            is_here = where is not Where.MEDIUM and not decision.restarts
            again = _configuration(urls, mac, where) if is_here else ""
            return scripts.render(
                "wait.grub.cfg.j2", reason=decision.reason, again=again, seconds=WAIT_SECONDS
            )
        case Outcome.MENU:
            return _menu(scripts, decision, mac, urls, where)
        case Outcome.DISK | Outcome.INVENTORY | Outcome.NOTHING | Outcome.INSTALL | Outcome.LIVE:
            return grub_disk_config(scripts, decision, arch)


def _menu(scripts: Scripts, decision: Decision, mac: Mac, urls: Urls, where: Where) -> str:
    """Each entry is a configuration of its own, so that the choice reaches us."""
    return scripts.render(
        "menu.grub.cfg.j2",
        node=decision.node.name if decision.node else mac,
        items=[(a, title, _configuration(urls, mac, where, a)) for a, title in titles(decision)],
        default=decision.menu.default,
        timeout=decision.menu.timeout,
        network=where is Where.MEDIUM,
    )


def _configuration(urls: Urls, mac: Mac, where: Where, chosen: Action | None = None) -> str:
    """By TFTP from the medium as well: the signed GRUB on it knows no HTTP."""
    device = _device(urls, where if where is Where.HTTP else Where.TFTP)
    return f"{device}/boot/{mac.hyphens}/grub{f'-{chosen}' if chosen else ''}.cfg"


def generic_config(scripts: Scripts) -> str:
    """For a GRUB that does not say which machine it runs on: sends it on to its own."""
    return scripts.render("generic.grub.cfg.j2")


def why_failed(reason: str) -> str:
    """The sentence for a `boot-failed-…` that a configuration of ours reported."""
    return _REASONS.get(reason, "GRUB could not start the installer")


_REASONS = {
    "kernel": "GRUB could not load the kernel",
    "kernel-secure-boot": "Secure Boot is on and GRUB did not start the kernel: where it arrived "
    "whole, it is not signed by a key that the firmware or shim trusts; use an image with a signed "
    "kernel, enroll its key, or switch Secure Boot off",
    "initrd": "GRUB could not load the initrd",
    "start": "the kernel that GRUB loaded did not start",
}


def _file(plan: BootPlan, name: str, where: Where) -> str:
    if where is Where.MEDIUM:
        return f"/{name}"
    blob = plan.kernel_files.kernel if name == "kernel" else plan.kernel_files.initrd
    return f"{_device(plan.urls, where)}/{tftp_path(plan.mac, blob, name)}"


def _report(plan: BootPlan, where: Where) -> str:
    if where is Where.HTTP:
        return f"{_device(plan.urls, where)}/reports/{plan.report_token}/boot-failed"
    # By TFTP from the medium as well: the signed GRUB on it knows no HTTP.
    return f"{_device(plan.urls, Where.TFTP)}/report/{plan.report_token}/boot-failed"


def _device(urls: Urls, where: Where) -> str:
    if where is Where.HTTP:
        return f"(http,{_http_host(urls)})"
    return f"(tftp,{server_address(urls)})"


def server_address(urls: Urls) -> str:
    """Our address, an IPv6 one without brackets: how GRUB and U-Boot write it."""
    return urlsplit(urls.base).hostname or ""


def _http_host(urls: Urls) -> str:
    """With the port unless it is 80, which every GRUB takes for granted and old ones alone know."""
    return urlsplit(urls.base).netloc.removesuffix(":80")


def _words(command_line: str) -> list[str]:
    """The arguments as the kernel separates them, without the quotes: GRUB hands each over as one,
    and puts quotes of its own around one with a space in it."""
    words, word, is_quoted = [], "", False
    for char in command_line + " ":
        if char == '"':
            is_quoted = not is_quoted
        elif char.isspace() and not is_quoted:
            words += [word] if word else []
            word = ""
        elif char in "'\\":
            raise InvalidValue(
                f"the kernel command line has a {char}, before which GRUB puts a backslash that "
                "the kernel keeps: take it out of kernel-args, or boot this machine by iPXE"
            )
        else:
            word += char
    if is_quoted:
        raise InvalidValue('the kernel command line has a " without its second: see kernel-args')
    return words
