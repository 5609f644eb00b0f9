"""Between the values of boot/ and what a row's JSON columns hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..boot.site import Action, BootFiles, ExitMethod, ImageFacts, NodeSpec, Profile, Template
from ..values import Arch, Blob, Digest, Firmware, Mac

Json = dict[str, Any]


def from_profile(profile: Profile) -> Json:
    return {
        "image": profile.image,
        "action": profile.action,
        "templates": [[template.name, template.text] for template in profile.templates],
        "kernel_args": list(profile.kernel_args),
        "variables": dict(profile.variables),
        "exits": dict(profile.exits),
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
    )


def from_spec(spec: NodeSpec) -> Json:
    """Without its name, which has a column of its own."""
    return {
        "macs": list(spec.macs),
        "profile": spec.profile,
        "variables": dict(spec.variables),
        "exits": dict(spec.exits),
        "recipe": spec.recipe,
    }


def to_spec(name: str, row: Mapping[str, Any]) -> NodeSpec:
    return NodeSpec(
        name=name,
        macs=tuple(map(Mac, row["macs"])),
        profile=row["profile"],
        variables=row["variables"],
        exits=_exits(row["exits"]),
        recipe=row["recipe"],
    )


def to_files(row: Mapping[str, Any]) -> BootFiles:
    blobs = {
        name: Blob(digest=Digest(blob["digest"]), size=blob["size"]) for name, blob in row.items()
    }
    return BootFiles(**blobs)


def to_facts(row: Mapping[str, Any]) -> ImageFacts:
    return ImageFacts(**{**row, "arch": Arch(row["arch"])})


def _exits(row: Mapping[str, str]) -> dict[Firmware, ExitMethod]:
    return {Firmware(firmware): ExitMethod(method) for firmware, method in row.items()}
