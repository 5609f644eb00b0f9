"""The site file's `nodes`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from ..boot.clusters import Role
from ..boot.network import DhcpSite
from ..boot.site import NodeSpec
from ..values import Mac
from .fields import card, choice, exits, macs, one_of, variables, word
from .files import Files
from .keys import names
from .located import Located
from .networks import address, boot_table, dhcp_options
from .power import power

# A node's name becomes a host name and a word in scripts (RFC 1123).
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IDENTITIES = ("uuid", "serial", "asset")


def is_host_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name))


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
        recipe = fields["recipe"].choice(*self.recipes) if "recipe" in fields else ""
        return NodeSpec(
            name=name,
            macs=tuple(self._claimed(mac, name) for mac in known),
            profile=one_of(fields["profile"], profiles, "profile") if "profile" in fields else "",
            uuid=self._identity(fields, "uuid", name).lower(),
            serial=self._identity(fields, "serial", name),
            asset=self._identity(fields, "asset", name),
            labels={key: value.text() for key, value in fields["labels"].entries()}
            if "labels" in fields
            else {},
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
        if not text or (key == "uuid" and not _UUID.fullmatch(text.lower())):
            raise at.mistake(f"'{text}' is no {key} of a machine")
        self._claim(f"{key} {text.lower()}", at, node, f"{key} {text}")
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
