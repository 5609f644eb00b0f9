"""Between the values of boot/ and what a row's JSON columns hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from ipaddress import IPv4Address
from typing import Any

from ..boot.site import (
    Action,
    BootFiles,
    Compression,
    Content,
    ExitMethod,
    Image,
    ImageFacts,
    ImageSource,
    Medium,
    MediumKind,
    NodeSpec,
    Profile,
    RegistryHost,
    Template,
)
from ..values import Arch, Blob, Digest, Firmware, Mac
from .network_rows import from_kernel, from_options, to_kernel, to_options

Json = dict[str, Any]


def from_profile(profile: Profile) -> Json:
    return {
        "image": profile.image,
        "action": profile.action,
        "templates": [[template.name, template.text] for template in profile.templates],
        "kernel_args": list(profile.kernel_args),
        "variables": dict(profile.variables),
        "exits": dict(profile.exits),
        "boot": dict(profile.boot),
        "network": from_kernel(profile.network),
        "documents_opened_by": profile.documents_opened_by,
    }


def to_profile(name: str, row: Mapping[str, Any]) -> Profile:
    return Profile(
        name=name,
        image=row["image"],
        action=Action(row["action"]),
        templates=tuple(Template(name=name, text=text) for name, text in row["templates"]),
        kernel_args=tuple(row["kernel_args"]),
        variables=row["variables"],
        exits=_exits(row["exits"]),
        boot=row.get("boot", {}),
        network=to_kernel(row.get("network", {})),
        documents_opened_by=row.get("documents_opened_by", ""),
    )


def from_spec(spec: NodeSpec) -> Json:
    """Without its name, which has a column of its own."""
    return {
        "macs": list(spec.macs),
        "profile": spec.profile,
        "variables": dict(spec.variables),
        "exits": dict(spec.exits),
        "recipe": spec.recipe,
        "boot": dict(spec.boot),
        "address": str(spec.address) if spec.address else "",
        "dhcp": from_options(spec.dhcp),
    }


def to_spec(name: str, row: Mapping[str, Any]) -> NodeSpec:
    return NodeSpec(
        name=name,
        macs=tuple(map(Mac, row["macs"])),
        profile=row["profile"],
        variables=row["variables"],
        exits=_exits(row["exits"]),
        recipe=row["recipe"],
        boot=row.get("boot", {}),
        address=IPv4Address(row["address"]) if row.get("address") else None,
        dhcp=to_options(row.get("dhcp", {})),
    )


def from_image(image: Image) -> Json:
    """Without its name, which has a column of its own."""
    return {
        "source": {k: v for k, v in asdict(image.source).items() if k != "name"},
        "digest": image.digest,
        "facts": asdict(image.facts),
        "files": asdict(image.files),
        "content": asdict(image.content) if image.content else None,
        "imported": image.imported,
    }


def to_image(name: str, row: Mapping[str, Any]) -> Image:
    """Raises ValueError, KeyError or TypeError where the row is no image."""
    return Image(
        name=name,
        source=_source(name, row["source"]),
        digest=Digest(row["digest"]),
        facts=ImageFacts(**{**row["facts"], "arch": Arch(row["facts"]["arch"])}),
        files=_files(row["files"]),
        content=_content(row["content"]) if row["content"] else None,
        imported=bool(row.get("imported")),
    )


def _files(row: Mapping[str, Any]) -> BootFiles | Medium:
    if "kind" in row:
        return Medium(blob=_blob(row["blob"]), kind=MediumKind(row["kind"]))
    return BootFiles(**{part: _blob(blob) for part, blob in row.items()})


def _source(name: str, row: Mapping[str, Any]) -> ImageSource:
    known = {**row, "arch": Arch(row["arch"])}
    if "compression" in row:
        known["compression"] = Compression(row["compression"])
    return ImageSource(name=name, **known)


def _content(row: Mapping[str, Any]) -> Content:
    return Content(
        media_type=row["media_type"],
        manifest=_blob(row["manifest"]),
        blobs=tuple(map(_blob, row["blobs"])),
    )


def _blob(row: Mapping[str, Any]) -> Blob:
    return Blob(digest=Digest(row["digest"]), size=int(row["size"]))


def from_registry(host: RegistryHost) -> Json:
    return {"mirrors": list(host.mirrors), "ca": host.ca, "insecure": host.insecure}


def to_registry(name: str, row: Mapping[str, Any]) -> RegistryHost:
    return RegistryHost(
        host=name, mirrors=tuple(row["mirrors"]), ca=row["ca"], insecure=row["insecure"]
    )


def _exits(row: Mapping[str, str]) -> dict[Firmware, ExitMethod]:
    return {Firmware(firmware): ExitMethod(method) for firmware, method in row.items()}
