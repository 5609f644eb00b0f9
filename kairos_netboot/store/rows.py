"""Between the values of boot/ and what a row's JSON columns hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ..boot.actions import Action, Menu, Order, Ram
from ..boot.clusters import Role
from ..boot.phone import PhoneHome
from ..boot.power import Power, PowerKind
from ..boot.site import (
    BootFiles,
    Compression,
    Content,
    ExitMethod,
    Image,
    ImageFacts,
    ImageSource,
    KernelFiles,
    Medium,
    MediumKind,
    NodeSpec,
    Origin,
    Profile,
    RegistryHost,
    Template,
)
from ..boot.unknown import Selector, Unknown
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
        "family": profile.family,
        "match": [_from_selector(selector) for selector in profile.match],
        "hostname": profile.hostname,
        "ram": asdict(profile.ram),
        "menu": asdict(profile.menu),
        "disks": list(profile.disks),
        "ssh_keys": list(profile.ssh_keys),
        "timeout": profile.timeout,
        "cluster": profile.cluster,
        "role": profile.role,
        "phone_home": asdict(profile.phone_home) if profile.phone_home else None,
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
        **_later_of_profile(row),
    )


def _later_of_profile(row: Mapping[str, Any]) -> Json:
    """What rows of older versions lack."""
    return {
        "family": row.get("family", "kairos"),
        "match": tuple(map(_to_selector, row.get("match", ()))),
        "hostname": row.get("hostname", ""),
        "ram": Ram(**row.get("ram", {})),
        "menu": _to_menu(row["menu"]) if "menu" in row else Menu(),
        "disks": tuple(row.get("disks", ())),
        "ssh_keys": tuple(row.get("ssh_keys", ())),
        "timeout": row.get("timeout", 3600),
        "cluster": row.get("cluster", ""),
        "role": Role(row["role"]) if row.get("role") else None,
        "phone_home": to_phone_home(row["phone_home"]) if row.get("phone_home") else None,
    }


def _to_menu(row: Mapping[str, Any]) -> Menu:
    return Menu(
        items=tuple(map(Action, row["items"])),
        default=Action(row["default"]),
        timeout=row["timeout"],
    )


def _from_selector(selector: Selector) -> Json:
    return {
        "facts": dict(selector.facts),
        "subnet": str(selector.subnet) if selector.subnet else "",
        "labels": dict(selector.labels),
    }


def _to_selector(row: Mapping[str, Any]) -> Selector:
    return Selector(
        facts=row["facts"],
        subnet=IPv4Network(row["subnet"]) if row["subnet"] else None,
        labels=row["labels"],
    )


def to_phone_home(row: Mapping[str, Any]) -> PhoneHome:
    """An empty row is a site that says nothing of it."""
    return PhoneHome(**{**row, "commands": tuple(row["commands"])}) if row else PhoneHome()


def from_unknown(unknown: Unknown) -> Json:
    return {
        "others": unknown.others,
        "networks": {str(network): word for network, word in unknown.networks.items()},
        "approval": unknown.approval,
    }


def to_unknown(row: Mapping[str, Any]) -> Unknown:
    if not row:
        return Unknown()
    networks = {IPv4Network(text): word for text, word in row["networks"].items()}
    return Unknown(others=row["others"], networks=networks, approval=row["approval"])


def from_order(order: Order | None) -> Json | None:
    return {"action": order.action, "disks": list(order.disks)} if order else None


def to_order(row: Mapping[str, Any] | None) -> Order | None:
    return Order(action=Action(row["action"]), disks=tuple(row["disks"])) if row else None


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
        "uuid": spec.uuid,
        "serial": spec.serial,
        "asset": spec.asset,
        "labels": dict(spec.labels),
        "cluster": spec.cluster,
        "role": spec.role,
        "power": asdict(spec.power) if spec.power else None,
        "origin": spec.origin,
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
        uuid=row.get("uuid", ""),
        serial=row.get("serial", ""),
        asset=row.get("asset", ""),
        labels=row.get("labels", {}),
        cluster=row.get("cluster", ""),
        role=Role(row["role"]) if row.get("role") else None,
        power=_to_power(row["power"]) if row.get("power") else None,
        origin=Origin(row.get("origin", Origin.SITE)),
    )


def _to_power(row: Mapping[str, Any]) -> Power:
    return Power(**{**row, "kind": PowerKind(row["kind"])})


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


def _files(row: Mapping[str, Any]) -> KernelFiles | Medium:
    if "kind" in row:
        return Medium(blob=_blob(row["blob"]), kind=MediumKind(row["kind"]))
    parts = {part: _blob(blob) for part, blob in row.items()}
    return BootFiles(**parts) if "rootfs" in parts else KernelFiles(**parts)


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
