"""The finished cloud-config: templates rendered, merged, checked, completed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from ..boot.clusters import Seat
from ..boot.site import Template
from ..errors import DocumentProblem
from .check import HEADERS, check, check_config_url, check_header
from .cluster import with_cluster
from .findings import Finding, error, warning
from .hooks import hook_stages
from .merge import clashes, merge
from .phone import phone_clash
from .render import render
from .yamlnodes import (
    MAX_TEXT,
    is_null,
    kind,
    line_of,
    map_node,
    parse,
    source_of,
    text_node,
    write,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """`text` is fit to be served where none of the findings is an error."""

    text: str
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.is_error)


def build(
    templates: Sequence[Template],
    variables: Mapping[str, object],
    report_url: str,
    *,
    installs: bool = True,
    seat: Seat | None = None,
    phone: yaml.Node | None = None,
) -> Document:
    """Raises DocumentProblem where there is no document to speak of; else tells its findings.

    The machine's reports go to `report_url`, a slash and the event. `seat`: in its cluster.
    `phone`: the block for its agent.
    """
    found: list[Finding] = []
    root: yaml.Node = map_node({})
    for template in templates:
        part = _part(template, variables, found)
        found += _clash_findings(root, part)
        root = merge(root, part) if root.value else part
    found += [*check(root, installs=installs), *phone_clash(root, phone)]
    whole = with_cluster(root, seat, report_url, variables) if seat else root
    whole = merge(whole, phone) if phone else whole
    text = write_document(merge(whole, _added(report_url)))
    if len(text.encode()) > MAX_TEXT:
        found.append(error(root, "", f"the finished document is larger than {MAX_TEXT} bytes"))
    return Document(text=text, findings=tuple(dict.fromkeys(found)))


def write_document(root: yaml.Node) -> str:
    """YAML with the header first, where Kairos and yip both look for it."""
    return f"{HEADERS[0]}\n{write(root)}"


def _part(template: Template, variables: Mapping[str, object], found: list[Finding]) -> yaml.Node:
    """One template's mapping. What the merge could hide from later checks is checked here."""
    text = render(template.text, template.name, variables)
    found += check_header(text, template.name)
    node = parse(text, template.name)
    if is_null(node):
        return yaml.MappingNode(node.tag, [], node.start_mark, flow_style=True)
    if not isinstance(node, yaml.MappingNode):
        place = f"{template.name}:{line_of(node)}"
        raise DocumentProblem(f"{place}: {kind(node)} is here: write a mapping (key: value)")
    found += check_config_url(node)
    return node


def _clash_findings(base: yaml.Node, over: yaml.Node) -> list[Finding]:
    return [
        warning(
            later,
            key,
            f"{kind(later)} takes the place of {kind(earlier)} "
            f"from {source_of(earlier)}:{line_of(earlier)}",
        )
        for key, earlier, later in clashes(base, over)
    ]


def _added(report_url: str) -> yaml.Node:
    """Last, so that it wins: an empty config_url keeps the installed node from coming back."""
    return map_node({"config_url": text_node(""), "stages": hook_stages(report_url)})
