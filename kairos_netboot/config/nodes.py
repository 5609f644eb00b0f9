"""The site file's `nodes`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from ..boot.clusters import Role
from ..boot.hostnames import is_host_name
from ..boot.identity import either_order, is_uuid
from ..boot.network import DhcpSite
from ..boot.site import NodeSpec, Profile
from ..values import Mac, printable
from .fields import card, choice, exits, macs, one_of, variables, word
from .files import Files
from .keys import names
from .located import Located
from .networks import address, boot_table, dhcp_options
from .power import power
from .selectors import labels

_IDENTITIES = ("uuid", "serial", "asset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Reads them; what two of them claim is a mistake."""

    files: Files
    recipes: tuple[str, ...]
    # Filled while reading:
    owners: dict[str, tuple[str, Located]] = field(default_factory=dict)
    addresses: dict[IPv4Address, tuple[str, Located]] = field(default_factory=dict)

    def node(self, name: str, at: Located, profiles: Mapping[str, object]) -> NodeSpec:
        if not is_host_name(name):
            raise at.mistake("a node's name is its host name: small letters, digits, - and .")
        fields = at.fields(*names("node"))
        if "macs" not in fields and not any(key in fields for key in _IDENTITIES):
            raise at.mistake("'macs' is missing, or its uuid, serial or asset")
        known = macs(fields["macs"]) if "macs" in fields else []
        selects = any(isinstance(p, Profile) and p.match for p in profiles.values())
        if "profile" not in fields and not selects:
            raise at.mistake("'profile' is missing: no profile has a `match` that could choose it")
        recipe = fields["recipe"].choice(*self.recipes) if "recipe" in fields else ""
        return NodeSpec(
            name=name,
            macs=tuple(self._claimed(mac, name) for mac in known),
            profile=one_of(fields["profile"], profiles, "profile") if "profile" in fields else "",
            uuid=self._identity(fields, "uuid", name).lower(),
            serial=self._identity(fields, "serial", name),
            asset=self._identity(fields, "asset", name),
            labels=labels(fields.get("labels")),
            cluster=word(fields, "cluster", ""),
            role=choice(fields, "role", Role.AGENT) if "role" in fields else None,
            power=power(fields["power"], self.files) if "power" in fields else None,
            variables=variables(fields.get("variables")),
            exits=exits(fields.get("exit")),
            recipe=recipe,
            boot=boot_table(fields.get("boot")),
            address=self._reserved(fields["address"], name) if "address" in fields else None,
            dhcp=dhcp_options(fields.get("dhcp")),
        )

    def _claimed(self, at: Located, node: str) -> Mac:
        """A MAC address that no node before this one has."""
        mac = card(at)
        self._claim(mac, at, node, mac)
        return mac

    def _claim(self, key: str, at: Located, node: str, shown: str) -> None:
        if key in self.owners:
            other, first = self.owners[key]
            raise at.mistake(f"{shown} is node {other}'s already, at {first.place}: '{node}'?")
        self.owners[key] = (node, at)

    def _identity(self, fields: Mapping[str, Located], key: str, node: str) -> str:
        if key not in fields:
            return ""
        at = fields[key]
        text = at.text().strip()
        if key == "uuid" and not is_uuid(text.lower()):
            raise at.mistake(
                f"'{text}' is no UUID of one machine: write it like "
                "4c4c4544-0042-3510-8052-b4c04f4e4d31, as `dmidecode -s system-uuid` prints it"
            )
        if not text or text != printable(text):
            raise at.mistake(f"'{printable(text)}' is no {key} of a machine: write what it tells")
        # Told in either order of its bytes, it is the same machine's.
        same = min(either_order(text)) if key == "uuid" else text.lower()
        self._claim(f"{key} {same}", at, node, f"{key} {text}")
        return text

    def _reserved(self, at: Located, node: str) -> IPv4Address:
        """An address that no node before this one has."""
        found = address(at)
        if found in self.addresses:
            other, first = self.addresses[found]
            raise at.mistake(f"{found} is node {other}'s already, at {first.place}: '{node}'?")
        self.addresses[found] = (node, at)
        return found

    def check_addresses(self, dhcp: DhcpSite) -> None:
        for reserved, (_, at) in self.addresses.items():
            subnet = dhcp.subnet_of(reserved)
            if subnet is None:
                raise at.mistake(f"{reserved} is in no subnet of `dhcp.subnets`: name its network")
            network = subnet.network
            ends = (network.network_address, network.broadcast_address)
            if reserved in (*ends, *subnet.options.routers):
                raise at.mistake(f"{reserved} is {network}'s own, its broadcast or its router's")
