"""What a Kairos image holds: its kernel, its initrd, and what it says of itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from ..boot.site import ImageFacts
from ..errors import ImageProblem
from ..values import Arch, printable
from .kernel import KernelFacts
from .tree import Found, Inode, Kind, find

_KERNEL = re.compile(r"(?:vmlinuz|vmlinux|[zu]?Image)-(.+)")
_MODULES = ("/usr/lib/modules", "/lib/modules")
_MAX_TEXT = 1 << 20  # a kernel's config has 300 KB


@dataclass(frozen=True, slots=True, kw_only=True)
class BootTree:
    """Where an image keeps what it boots from. `config` is the kernel's, `release` Kairos'."""

    kernel: Found
    initrd: Found
    kernel_version: str
    config: Found | None
    release: Found | None


def find_boot_files(root: Inode) -> BootTree:
    """Kernel and initrd as the image itself names them; raises ImageProblem without."""
    kernel = _find_file(root, "/boot/vmlinuz") or _newest_kernel(root)
    if kernel is None:
        raise ImageProblem(
            "it has no kernel, neither /boot/vmlinuz nor /boot/vmlinuz-VERSION with"
            " /usr/lib/modules/VERSION: take a Kairos image"
        )
    initrd = _find_file(root, "/boot/initrd")
    if initrd is None:
        raise ImageProblem(
            "it has a kernel but no /boot/initrd, as images for trusted boot have none:"
            " take the image without trusted boot"
        )
    if initrd.inode is kernel.inode:
        raise ImageProblem("its /boot/initrd is its kernel: take a Kairos image")
    version = find_kernel_version(root, kernel.path)
    return BootTree(
        kernel=kernel,
        initrd=initrd,
        kernel_version=version,
        config=_find_text(root, f"/boot/config-{version}", f"/usr/lib/modules/{version}/config"),
        release=find_release(root),
    )


def find_release(root: Inode) -> Found | None:
    """The file in which the system says what it is."""
    return _find_text(root, "/etc/kairos-release", "/etc/os-release")


def facts_from(release: str, *, kernel_version: str, arch: Arch, kernel: KernelFacts) -> ImageFacts:
    """The facts in the text of /etc/kairos-release; ImageProblem if it, or the kernel, is for
    another `arch`."""
    values = parse_release(release)
    stated = values.get("KAIROS_ARCH") or values.get("KAIROS_TARGETARCH") or arch
    if stated != arch and stated in set(Arch):
        raise ImageProblem(
            f"its manifest says {arch}, its /etc/kairos-release {stated}:"
            " have it built for one of them"
        )
    if kernel.arch not in (None, arch):
        raise ImageProblem(
            f"it is made for {arch}, its kernel for {kernel.arch}: have it built for one of them"
        )
    return ImageFacts(
        arch=arch,
        flavor=values.get("KAIROS_FLAVOR", ""),
        flavor_release=values.get("KAIROS_FLAVOR_RELEASE", ""),
        variant=values.get("KAIROS_VARIANT", ""),
        model=values.get("KAIROS_MODEL", ""),
        version=values.get("KAIROS_VERSION", ""),
        kernel_version=printable(kernel_version),  # it was a file's name
        efi_stub=kernel.efi_stub,
    )


def parse_release(text: str) -> Mapping[str, str]:
    """The assignments of an os-release file; what is no assignment is skipped."""
    values = {}
    for line in text.splitlines():
        key, separator, value = line.strip().partition("=")
        if separator and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            values[key] = _unquote(value)
    return values


def _unquote(value: str) -> str:
    try:
        plain = "".join(shlex.split(value, comments=True))
    except ValueError:  # an open quote
        plain = value.strip("\"' ")
    return printable(plain)


def _find_file(root: Inode, path: str) -> Found | None:
    found = find(root, path)
    if found is None or found.inode.kind is not Kind.FILE or found.inode.size == 0:
        return None
    return found


def _find_text(root: Inode, *paths: str) -> Found | None:
    for path in paths:
        found = _find_file(root, path)
        if found is not None and found.inode.size <= _MAX_TEXT:
            return found
    return None


def _newest_kernel(root: Inode) -> Found | None:
    """Only a kernel with its modules counts: the alphabetically first is often a leftover."""
    boot = find(root, "/boot")
    modules = _module_versions(root)
    named = {
        match.group(1): name
        for name in (boot.inode.children if boot else ())
        if (match := _KERNEL.fullmatch(name)) and match.group(1) in modules
    }
    for version in sorted(named, key=_version_key, reverse=True):
        found = _find_file(root, f"/boot/{named[version]}")
        if found is not None:
            return found
    return None


def find_kernel_version(root: Inode, path: str = "") -> str:
    """By the kernel's path; without one, of the only modules there are. Empty: not known."""
    modules = _module_versions(root)
    match = _KERNEL.fullmatch(path.rpartition("/")[2])
    name = match.group(1) if match else ""
    if name in modules:
        return name
    # Fedora keeps /usr/lib/modules/VERSION/vmlinuz; Alpine's vmlinuz-lts is VERSION-lts.
    parent = path.rpartition("/")[0].rpartition("/")[2]
    if parent in modules:
        return parent
    fitting = [version for version in modules if not name or version.endswith(f"-{name}")]
    return fitting[0] if len(fitting) == 1 else name


def _module_versions(root: Inode) -> set[str]:
    found = filter(None, (find(root, path) for path in _MODULES))
    return {
        name
        for directory in found
        for name, inode in directory.inode.children.items()
        if inode.kind is Kind.DIRECTORY
    }


def _version_key(version: str) -> list[tuple[int, str]]:
    """6.1.0-9 before 6.1.0-10, as people count."""
    parts = re.findall(r"(\d+)|(\D+)", version)
    return [(int(digits), "") if digits else (-1, other) for digits, other in parts]
