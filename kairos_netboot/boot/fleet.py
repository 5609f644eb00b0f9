"""Everything a decision needs, in memory: nodes as they stand, profiles, images. Frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..errors import InvalidValue, UnknownName
from ..values import Arch, Firmware, Mac
from .actions import LIVE, Action, Order
from .clusters import Cluster, Standing
from .lifecycle import MAY_INSTALL, MAY_WIPE, Kind, State
from .network import DhcpSite
from .phone import PhoneHome
from .site import Image, NodeSpec, Profile
from .unknown import Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine. `spec` is None for one that nobody named; its MAC is then its name.

    `document_key` is the digest of its present boot's document token, `report_keys` those of the
    report tokens of all its boots since it was armed: whoever fetches the script anew does not
    silence an installer that is at work. `phone_keys` are those of the tokens that an agent
    installed by one of these boots registers with. `running`: what its present boot is for;
    `order`: what a person wants of its next. `seen`: when it last gave a sign of itself.
    """

    id: int
    macs: tuple[Mac, ...]
    state: State
    spec: NodeSpec | None = None
    boots: int = 0
    document_key: str = ""
    report_keys: frozenset[str] = frozenset()
    facts: Mapping[str, str] = field(default_factory=dict)
    phone_keys: frozenset[str] = frozenset()
    running: Action | None = None
    order: Order | None = None
    denied: bool = False  # a person said that it gets nothing
    seen: datetime | None = None

    @property
    def opens_document(self) -> bool:
        """Whether the document of its present boot may be read now."""
        if self.running in LIVE:
            return self.state is not State.DISCOVERED
        if self.running is Action.WIPE:
            return self.state in MAY_WIPE
        return self.state in MAY_INSTALL

    @property
    def name(self) -> str:
        if self.spec:
            return self.spec.name
        return self.macs[0] if self.macs else f"#{self.id}"  # its cards are another's now

    @property
    def firmware(self) -> Firmware | None:
        """What it asked with last; None before its first request."""
        return Firmware(self.facts["firmware"]) if "firmware" in self.facts else None

    @property
    def arch(self) -> Arch | None:
        return Arch(self.facts["arch"]) if "arch" in self.facts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a node. `text` is the sentence its timeline shows."""

    node: int
    at: datetime
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """A snapshot; replaced whole when something changes."""

    nodes: tuple[Node, ...] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    images: Mapping[str, Image] = field(default_factory=dict)
    vendor_recipes: Mapping[str, str] = field(default_factory=dict)
    former: Mapping[str, Image] = field(default_factory=dict)  # each image's version before
    boot: Mapping[str, str] = field(default_factory=dict)  # the site's table, see boot/chains.py
    dhcp: DhcpSite = field(default_factory=DhcpSite)
    unknown: Unknown = field(default_factory=Unknown)
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    standings: Mapping[str, Standing] = field(default_factory=dict)  # by cluster
    phone_home: PhoneHome = field(default_factory=PhoneHome)
    by_mac: Mapping[Mac, Node] = field(init=False)

    def __post_init__(self) -> None:
        by_mac = {mac: node for node in self.nodes for mac in node.macs}
        object.__setattr__(self, "by_mac", by_mac)

    def named(self, name: str) -> Node:
        """By name, or by any of its MACs; raises UnknownName."""
        for node in self.nodes:
            if node.name == name:
                return node
        try:
            return self.by_mac[Mac(name)]
        except (InvalidValue, KeyError):
            raise UnknownName(f"no node '{name}' here: see `kairos-netboot nodes list`") from None

    def by_document_key(self, key: str) -> Node | None:
        return next((n for n in self.nodes if key and n.document_key == key), None)

    def by_phone_key(self, key: str) -> Node | None:
        return next((n for n in self.nodes if key in n.phone_keys), None)

    def profile_of(self, node: Node) -> Profile | None:
        return self.profiles.get(node.spec.profile) if node.spec else None

    def by_report_key(self, key: str) -> Node | None:
        return next((n for n in self.nodes if key in n.report_keys), None)

    def with_node(self, node: Node) -> Fleet:
        """The same fleet with one node replaced or added."""
        others = tuple(n for n in self.nodes if n.id != node.id)
        return replace(self, nodes=(*others, node))
