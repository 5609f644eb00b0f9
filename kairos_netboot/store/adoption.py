"""Machines that nobody named: known by what they tell, or named by selectors.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, func, select

from ..boot.changes import disputed_sentence
from ..boot.fleet import Event, Fleet, Node
from ..boot.hostnames import STEP, choose_name, name_variables
from ..boot.identity import identity_of, same_uuid, shows
from ..boot.lifecycle import Kind, State
from ..boot.matching import Match, match_nodes
from ..boot.select import Candidate, choice_for
from ..boot.select import select as select_profile
from ..boot.site import NodeSpec, Origin, Profile
from ..cloudconfig.render import render
from ..errors import DocumentProblem, InvalidValue
from .clusters import place, read_clusters
from .given import give_name, given_to, holder_of, taken_names
from .nodes import append, read_node, read_nodes
from .rows import to_unknown
from .schema import nodes
from .settings import setting
from .site import Profiles, put_node, read_profiles
from .vendors import vendor_of, with_vendor

# How many machines selectors name by themselves: a hostile network must not fill the disk.
MAX_ADOPTED = 4096


@dataclass(slots=True)
class Adoption:
    """One round of it: the fleet as it stands by now."""

    connection: Connection
    at: datetime
    fleet: Fleet

    def settle(self, ids: Iterable[int]) -> list[str]:
        """Each of these machines, as far as what it told decides; what changed, a sentence each."""
        lines: list[str] = []
        for number in ids:
            node = next((n for n in self.fleet.nodes if n.id == number), None)
            if node is not None and not node.denied:
                lines += self._settle(node)
        return lines

    def _settle(self, node: Node) -> list[str]:
        if node.spec is not None:
            return self._choose(node)
        if lines := self._recognise(node):
            return lines
        return self._adopt(node)

    def _recognise(self, node: Node) -> list[str]:
        """A machine that tells what a named node is known by is that node."""
        for other in self.fleet.nodes:
            spec = other.spec
            if spec is None or not shows(node.facts, spec):
                continue
            matching = match_nodes(self.fleet.nodes, {spec.name: spec})
            if spec.name in matching.disputed:
                return self._tell(node, disputed_sentence(spec, matching.disputed[spec.name]))
            match = matching.matches[0]
            if node in (match.node, *match.absorbed):
                cards = ", ".join(node.macs)
                known_by = f"it is the machine {cards}, by its {identity_of(spec)}"
                return [*self._put(match, known_by), *self._choose(self.fleet.named(spec.name))]
        return []

    def _choose(self, node: Node) -> list[str]:
        """The profile of a node that the site named without one."""
        spec = node.spec
        if spec is None or not _waits(node) or not node.macs:
            return []
        best = select_profile(self.fleet, with_vendor(self.fleet, node))
        if best is None:
            return []
        learnt = tuple(mac for mac in node.macs if mac not in spec.macs)
        chosen = replace(spec, profile=best.profile)
        return self._put(Match(spec=chosen, node=node, learnt=learnt), _because(best))

    def _adopt(self, node: Node) -> list[str]:
        """Name a machine that a selector, or its network's word, has a profile for. One that was
        named before, and taken out, only comes back by hand."""
        if node.state is not State.DISCOVERED or not node.macs or self.fleet.unknown.approval:
            return []
        best = choice_for(self.fleet, with_vendor(self.fleet, node))
        if best is None:
            return []
        if twin := self._twin(node):
            return self._tell(
                node,
                f"tells the UUID of {twin.name}, and may be another card of it: not named by "
                f"itself; `kairos-netboot nodes approve {node.macs[0]}` names it all the same",
            )
        if self._is_full():
            return self._tell(node, f"more than {MAX_ADOPTED} machines were named by selectors")
        try:
            name = name_for(self.connection, node, self.fleet.profiles[best.profile], {})
        except (DocumentProblem, InvalidValue) as error:
            return self._tell(node, f"profile '{best.profile}' fits, but not its pattern: {error}")
        spec = NodeSpec(name=name, macs=node.macs, profile=best.profile, origin=Origin.SELECTED)
        return self.name(node, spec, _because(best))

    def with_places(self, lines: list[str]) -> list[str]:
        """And the places in clusters that are given with names."""
        return lines + place(self.connection, self.at) if lines and self.fleet.clusters else lines

    def name(self, node: Node | None, spec: NodeSpec, because: str) -> list[str]:
        """Give a machine its name, for ever."""
        return self.name_as(Match(spec=spec, node=node), because)

    def name_as(self, match: Match, because: str) -> list[str]:
        if match.cards:
            give_name(self.connection, match.spec.name, match.cards[0])
        return self._put(match, because)

    def _twin(self, node: Node) -> Node | None:
        """A machine with the same UUID that is, or was, a node: by another card it must not be
        installed over itself."""
        others = (n for n in self.fleet.nodes if n.id != node.id and same_uuid(node.facts, n.facts))
        return next((n for n in others if n.spec or n.state is not State.DISCOVERED), None)

    def _is_full(self) -> bool:
        origin = nodes.c.spec["origin"].as_string()
        adopted = select(func.count()).where(origin == Origin.SELECTED)
        return self.connection.execute(adopted).scalar_one() >= MAX_ADOPTED

    def _put(self, match: Match, because: str) -> list[str]:
        profiles = Profiles(self.fleet.profiles, self.fleet.profiles)
        lines = put_node(self.connection, match, profiles, self.at, because)
        number = holder_of(self.connection, match.spec.name)
        gone = {number, *(other.id for other in match.absorbed)}
        kept = tuple(node for node in self.fleet.nodes if node.id not in gone)
        now = () if number is None else (read_node(self.connection, number),)
        self.fleet = replace(self.fleet, nodes=(*kept, *now))
        return lines

    def _tell(self, node: Node, sentence: str) -> list[str]:
        """Once: it would be told at each of its requests."""
        event = Event(node=node.id, at=self.at, kind=Kind.REFUSED, text=sentence)
        is_new = append(self.connection, event, f"adoption:{sentence}")
        return [f"machine {node.name}: {sentence}"] if is_new else []


def _because(choice: Candidate) -> str:
    return f"profile '{choice.profile}' fits ({choice.why})"


def adoption(connection: Connection, at: datetime) -> Adoption:
    fleet = Fleet(
        read_nodes(connection),
        read_profiles(connection),
        unknown=to_unknown(setting(connection, "unknown", {})),
        clusters=read_clusters(connection),
    )
    return Adoption(connection, at, fleet)


def adopt(connection: Connection, ids: Iterable[int], at: datetime) -> list[str]:
    """These machines, after they told something of themselves; what changed, a sentence each."""
    waiting = [number for number in ids if _waits(read_node(connection, number))]
    if not waiting:
        return []
    work = adoption(connection, at)
    return work.with_places(work.settle(waiting))


def adopt_all(connection: Connection, at: datetime) -> list[str]:
    """Every machine that waits, after the site was changed; what changed, a sentence each."""
    waiting = [node.id for node in read_nodes(connection) if _waits(node)]
    return adoption(connection, at).settle(waiting) if waiting else []


def _waits(node: Node) -> bool:
    """Whether it has no name yet, or no profile."""
    return node.spec is None or (not node.spec.profile and node.state is State.DISCOVERED)


def name_for(
    connection: Connection, node: Node, profile: Profile, labels: Mapping[str, str]
) -> str:
    """The name that the machine was given before, or one by its profile's pattern; raises
    InvalidValue or DocumentProblem where that gives none that is free."""
    taken = taken_names(connection, node.id, node.macs)
    known = given_to(connection, node.macs)
    if known is not None and known not in taken:
        return known
    own = node.macs[0].replace(":", "")
    pattern = profile.hostname or f"node-{own}"
    told = dict(node.facts)
    if "vendor" in pattern:
        told["vendor"] = vendor_of(node.macs[0])
    given = {**name_variables(told), **profile.variables, **name_variables(labels), "mac": own}

    def names(start: int) -> list[str]:
        loop = f"{{% for index in range({start}, {start + STEP}) %}}{pattern}\n{{% endfor %}}"
        return render(loop, f"hostname of profile '{profile.name}'", given).splitlines()

    return choose_name(names, taken)
