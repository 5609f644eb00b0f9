"""The documents of systems other than Kairos: one template each, rendered, checked by what it is
for, completed where the system has a place for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import yaml

from ..boot.actions import Action
from ..boot.families import FAMILIES, KAIROS, Family, Form
from ..boot.site import Profile
from ..boot.urls import Urls
from ..errors import DocumentProblem
from .document import Document
from .findings import Finding, Severity
from .ignition import ignition_document, installer_config, read_json, write_json
from .k3os import k3os_document
from .mask import STARS, mask, mask_text
from .render import render
from .talos import parts_of, talos_document
from .units import coreos_units, flatcar_units
from .yamlnodes import MAX_TEXT, items, parse, to_value, triples, write

# Further arguments of flatcar-install, a list or one text: a mirror, a channel, an OEM.
FLATCAR_ARGS = "flatcar_install_args"


def system_document(
    profile: Profile,
    variables: Mapping[str, object],
    report_url: str,
    action: Action,
) -> Document:
    """Raises DocumentProblem where there is none to speak of; else tells its findings. Without a
    template there is none, and nothing is wrong with that."""
    if not profile.templates:
        return Document(text="")
    family = FAMILIES[profile.family]
    template = profile.templates[0]
    if "report_url" in variables:
        raise DocumentProblem(
            f"{template.name}: the variable 'report_url' is ours: give yours another name"
        )
    text = render(template.text, template.name, {**variables, "report_url": report_url})
    match family.form:
        case Form.TALOS:
            return talos_document(text, template.name)
        case Form.IGNITION:
            return ignition_document(text, template.name, report_url, action)
        case Form.K3OS:
            return k3os_document(text, template.name, report_url)
        case Form.TEXT:
            return _any_document(text, template.name)


def _any_document(text: str, name: str) -> Document:
    findings: tuple[Finding, ...] = ()
    if len(text) > MAX_TEXT:
        said = f"it has more than {MAX_TEXT} characters"
        error = Finding(severity=Severity.ERROR, source=name, line=1, key="", message=said)
        findings = (error,)
    return Document(text=text, findings=findings)


def installer_document(
    profile: Profile, urls: Urls, document_token: str, report_url: str
) -> Document:
    """The config of the live system that installs; raises DocumentProblem where it has none."""
    family = FAMILIES.get(profile.family)
    if family is None or not family.installer:
        raise DocumentProblem(f"{profile.family} has no config for its installer")
    if profile.family == "fedora-coreos":
        return Document(text=installer_config(coreos_units(report_url)))
    more = profile.variables.get(FLATCAR_ARGS, "")
    if isinstance(more, list):
        more = " ".join(map(str, more))
    url = urls.document(document_token, family.file)
    units = flatcar_units(report_url, url, profile.disks[0], str(more))
    return Document(text=installer_config(units))


# Hiding secrets


def masked(profile: Profile, text: str, variables: Mapping[str, object]) -> str:
    """A finished document as people may see it."""
    family = FAMILIES.get(profile.family)
    if profile.family == KAIROS or family is None:
        return mask(text, variables)
    return _masked(family, text, variables) if text else ""


def _masked(family: Family, text: str, variables: Mapping[str, object]) -> str:
    match family.form:
        case Form.TEXT:
            return mask_text(text, variables)
        case Form.IGNITION:
            # What is in a file is encoded, and so is every secret in it.
            config = _without_data(read_json(text, "document"))
            hidden = mask(json.dumps(config, ensure_ascii=False), variables)
            return write_json(to_value(parse(hidden, "document")))
        case Form.TALOS:
            parts = parts_of(text, "document")
            known = {**variables, "secrets": [*_keys(parts)]}
            return "---\n".join(_plain(mask(write(part), known)) for part in parts)
        case Form.K3OS:
            return _plain(mask(text, variables))


def _plain(text: str) -> str:
    """Without the header that Kairos wants."""
    return text.partition("\n")[2] if text.startswith("#") else text


def _without_data(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_data(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_data(inner) for inner in value]
    if isinstance(value, str) and value.startswith("data:"):
        return f"data:,{STARS}"
    return value


# Talos calls a private key nothing but that.
_PRIVATE = ("key", "bootstraptoken", "secret")


def _keys(nodes: list[yaml.Node]) -> Iterator[str]:
    for node in nodes:
        for name, _, value in triples(node):
            if name in _PRIVATE and isinstance(value, yaml.ScalarNode):
                yield value.value
        inner = [value for _, _, value in triples(node)]
        yield from _keys([*inner, *items(node)])
