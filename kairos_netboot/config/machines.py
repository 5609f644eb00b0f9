"""Machines out of a table: CSV with a heading, one machine a line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..boot.clusters import Role
from ..boot.fleet import Fleet, Node
from ..boot.hostnames import is_host_name
from ..boot.identity import either_order, is_uuid, shows
from ..boot.site import NodeSpec, Origin
from ..cloudconfig.spelling import hint_or_known
from ..errors import InvalidValue, SiteMistake
from ..values import Mac, printable
from .selectors import is_label

COLUMNS = ("mac", "name", "profile", "uuid", "serial", "asset", "cluster", "role")
_LABEL = "label:"
Row = Mapping[str, str]


def read_machines(text: str, source: str, fleet: Fleet) -> list[NodeSpec]:
    """What the table says, checked against what is here; raises SiteMistake with a line for each
    mistake. A machine without a name is given one later."""
    reader = csv.reader(text.removeprefix("\ufeff").splitlines(), skipinitialspace=True)
    table = _Table(source, fleet)
    heading = [column.strip() for column in next(table.lines(reader), [])]
    table.check_heading(heading)
    specs = []
    for cells in table.lines(reader):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(heading):
            table.mistake(f"{len(cells)} cells here, the heading has {len(heading)}")
            continue
        told = zip(heading, (cell.strip() for cell in cells), strict=True)
        specs.append(table.machine({column: cell for column, cell in told if cell}))
    if table.mistakes:
        raise SiteMistake("\n".join(table.mistakes))
    return specs


@dataclass(slots=True)
class _Table:
    source: str
    fleet: Fleet
    line: int = 1
    mistakes: list[str] = field(default_factory=list)
    owners: dict[str, int] = field(default_factory=dict)  # what a line before has claimed

    def lines(self, reader: Any) -> Iterator[list[str]]:
        """Until one that is no CSV."""
        try:
            for cells in reader:
                self.line = reader.line_num
                yield cells
        except csv.Error as error:
            self.mistake(f"no CSV: {error}")

    def mistake(self, message: str) -> None:
        self.mistakes.append(f"{self.source}:{self.line}: {message}")

    def check_heading(self, heading: Sequence[str]) -> None:
        """Without a right one nothing below it means anything."""
        odd = [c for c in heading if c not in COLUMNS and not is_label(c.removeprefix(_LABEL))]
        odd += [c for c in heading if c not in COLUMNS and not c.startswith(_LABEL)]
        known = (*COLUMNS, f"{_LABEL}KEY")
        for column in dict.fromkeys(odd):
            self.mistake(f"no column '{printable(column, 40)}'{hint_or_known(column, known)}")
        if len(set(heading)) != len(heading):
            self.mistake("a column is here twice")
        if not heading or not {"mac", "uuid", "serial", "asset"} & set(heading):
            self.mistake("the first line names the columns: mac,name,profile,…")
        if self.mistakes:
            raise SiteMistake("\n".join(self.mistakes))

    def machine(self, row: Row) -> NodeSpec:
        """What the line says; its mistakes are kept."""
        macs = tuple(self._checked(Mac, word) for word in row.get("mac", "").split())
        role = self._known(row, "role", {role.value: role for role in Role}, "role")
        spec = NodeSpec(
            name=row.get("name", ""),
            macs=tuple(mac for mac in macs if mac),
            profile=self._known(row, "profile", self.fleet.profiles, "profile"),
            uuid=row.get("uuid", "").lower(),
            serial=row.get("serial", ""),
            asset=row.get("asset", ""),
            labels={k.removeprefix(_LABEL): v for k, v in row.items() if k.startswith(_LABEL)},
            cluster=self._known(row, "cluster", self.fleet.clusters, "cluster"),
            role=Role(role) if role else None,
            origin=Origin.APPROVED,
        )
        for message in (*self._missing(row), *self._odd(spec), *self._claims(spec)):
            self.mistake(message)
        return spec

    def _checked(self, read: Callable[[str], Mac], word: str) -> Mac | None:
        try:
            mac = read(word)
        except InvalidValue as error:
            self.mistake(str(error))
            return None
        if int(mac[:2], 16) & 1:
            self.mistake(f"{mac} is a group address, not one machine's")
        return mac

    def _known(self, row: Row, column: str, known: Mapping[str, object], what: str) -> str:
        word = row.get(column, "")
        if word and word not in known:
            self.mistake(f"no {what} '{printable(word, 60)}'{hint_or_known(word, known)}")
            return ""
        return word

    def _missing(self, row: Row) -> Iterator[str]:
        if not {"mac", "uuid", "serial", "asset"} & row.keys():
            yield "neither a mac nor a uuid, serial or asset: which machine is it?"
        elif "mac" not in row and "name" not in row:
            yield "a machine known without its mac needs a name"
        if "profile" not in row and not any(p.match for p in self.fleet.profiles.values()):
            yield "no profile, and none has a `match` that could choose it"

    def _odd(self, spec: NodeSpec) -> Iterator[str]:
        if spec.name and not is_host_name(spec.name):
            yield f"'{printable(spec.name, 60)}' is no host name: small letters, digits, - and ."
        if spec.uuid and not is_uuid(spec.uuid):
            yield f"'{printable(spec.uuid, 60)}' is no UUID of one machine"
        for text in (spec.serial, spec.asset, *spec.labels.values()):
            if text != printable(text):
                yield f"'{printable(text, 60)}' is too long, or has letters that cannot be printed"

    def _claims(self, spec: NodeSpec) -> Iterator[str]:
        """What another line, or another machine here, has already."""
        uuid = min(either_order(spec.uuid), default="")
        told = {"name": spec.name, "uuid": uuid, "serial": spec.serial, "asset": spec.asset}
        claims = [f"{key} {text.lower()}" for key, text in told.items() if text]
        for claim in (*claims, *(f"mac {mac}" for mac in spec.macs)):
            if claim in self.owners:
                yield f"{claim} is in line {self.owners[claim]} already"
            self.owners.setdefault(claim, self.line)
        for node in self.fleet.nodes:
            yield from _conflicts(spec, node)


def _conflicts(spec: NodeSpec, node: Node) -> Iterator[str]:
    if node.spec is None:
        return
    is_it = not set(spec.macs).isdisjoint(node.macs) or shows(node.facts, spec)
    is_sites = node.spec.origin is Origin.SITE
    if is_it and is_sites:
        yield f"this machine is node {node.name} of the site file: change it there"
    elif not is_it and spec.name == node.name and (node.macs or is_sites):
        cards = ", ".join(node.macs) or "of the site file, not seen yet"
        yield f"another machine is '{spec.name}' ({cards}): name this one otherwise"
