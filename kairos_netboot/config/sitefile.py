"""The site file: images, profiles, nodes. Each mistake with its file, line, key and way out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from ..boot.network import DhcpSite
from ..boot.site import (
    Action,
    Compression,
    ImageSource,
    NodeSpec,
    Profile,
    RegistryHost,
    Site,
    Template,
)
from ..cloudconfig.spelling import hint
from ..cloudconfig.yamlnodes import parse
from ..errors import SiteMistake
from ..images import reference as references
from ..images.keys import check_authority, load_public_key
from ..values import Mac
from .fields import (
    card,
    checked,
    choice,
    document_key,
    exits,
    kernel_args,
    macs,
    named,
    one_of,
    platform,
    required,
    texts,
    variables,
)
from .located import Located
from .networks import address, boot_table, dhcp_options, dhcp_site, kernel_network

_MAX_FILE = 4 << 20
_PROFILE = (
    *("image", "action", "cloud-config", "kernel-args", "variables", "exit"),
    *("boot", "network", "document-key"),
)
_NODE = ("macs", "profile", "variables", "exit", "recipe", "boot", "address", "dhcp")
# A node's name becomes a host name and a word in scripts (RFC 1123).
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def load_site(path: Path, recipes: Iterable[str]) -> Site:
    """Read the site file and the templates it names, or raise SiteMistake.

    `recipes`: the names that a node's `recipe` may have.
    """
    return load_with_files(path, recipes)[0]


def load_with_files(path: Path, recipes: Iterable[str]) -> tuple[Site, dict[str, str]]:
    """As load_site; and every file that was read, by the path the site file gives it."""
    reader = _Reader(folder=path.parent, recipes=tuple(sorted(recipes)))
    text = _read(path)
    site = reader.site(Located(node=parse(text, str(path), SiteMistake)))
    return site, {path.name: text, **reader.files}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SiteMistake(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SiteMistake(f"{path}: is no UTF-8 text: save it as UTF-8") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    folder: Path
    recipes: tuple[str, ...]
    # Filled while reading:
    owners: dict[Mac, tuple[str, Located]] = field(default_factory=dict)
    addresses: dict[IPv4Address, tuple[str, Located]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def site(self, root: Located) -> Site:
        fields = root.fields(
            "registries", "images", "profiles", "nodes", "vendor-recipes", "boot", "dhcp"
        )
        dhcp = dhcp_site(fields.get("dhcp"))
        images = {name: self._image(name, at) for name, at in named(fields, "images")}
        profiles = {name: self._profile(name, at, images) for name, at in named(fields, "profiles")}
        nodes = {name: self._node(name, at, profiles) for name, at in named(fields, "nodes")}
        self._check_addresses(dhcp)
        return Site(
            images=images,
            profiles=profiles,
            nodes=nodes,
            vendor_recipes=self._vendors(fields.get("vendor-recipes")),
            boot=boot_table(fields.get("boot")),
            dhcp=dhcp,
            registries={
                known.host: known
                for known in (self._registry(*entry) for entry in named(fields, "registries"))
            },
        )

    def _image(self, name: str, at: Located) -> ImageSource:
        checked(at, references.check_name, name)
        if not at.empty and isinstance(at.value(), str):
            return ImageSource(name=name, reference=self._reference(at))
        fields = at.fields("source", "platform", "insecure", "compression", "verify")
        return ImageSource(
            name=name,
            reference=self._reference(required(at, fields, "source")),
            arch=platform(fields.get("platform")),
            insecure=fields["insecure"].flag() if "insecure" in fields else False,
            compression=choice(fields, "compression", Compression.AUTO),
            verify_key=self._key(fields["verify"]) if "verify" in fields else "",
        )

    def _reference(self, at: Located) -> str:
        """A file's path counts from the site file, wherever the command is called."""
        reference = checked(at, references.parse, at.text())
        if isinstance(reference, references.RegistryReference):
            return at.text()
        return str(references.anchored(reference, self.folder))

    def _key(self, at: Located) -> str:
        """The text of a public key beside the site file."""
        text = self._text(at)
        checked(at, load_public_key, text, at.text())
        return text

    def _registry(self, host: str, at: Located) -> RegistryHost:
        fields = at.fields("mirrors", "ca", "insecure")
        ca = ""
        if "ca" in fields:
            checked(fields["ca"], check_authority, self._text(fields["ca"]), fields["ca"].text())
            ca = str((self.folder / fields["ca"].text()).absolute())
        insecure = fields["insecure"].flag() if "insecure" in fields else False
        mirrors = texts(fields.get("mirrors"))
        return RegistryHost(
            host=checked(at, references.registry_host, host),
            mirrors=tuple(checked(m, references.check_mirror, m.text()) for m in mirrors),
            ca=ca,
            insecure=insecure,
        )

    def _profile(self, name: str, at: Located, images: Mapping[str, object]) -> Profile:
        fields = at.fields(*_PROFILE)
        return Profile(
            name=name,
            image=one_of(required(at, fields, "image"), images, "image"),
            action=choice(fields, "action", Action.INSTALL),
            templates=tuple(map(self._template, texts(fields.get("cloud-config")))),
            kernel_args=kernel_args(fields.get("kernel-args")),
            variables=variables(fields.get("variables")),
            exits=exits(fields.get("exit")),
            boot=boot_table(fields.get("boot")),
            network=kernel_network(fields.get("network")),
            documents_opened_by=document_key(fields.get("document-key")),
        )

    def _template(self, at: Located) -> Template:
        return Template(name=at.text(), text=self._text(at))

    def _text(self, at: Located) -> str:
        """What is in the file that is named here."""
        path = self.folder / at.text()
        try:
            # A site file may come in a bundle from strangers: no pipe, no device, nothing huge.
            if path.exists() and (not path.is_file() or path.stat().st_size > _MAX_FILE):
                raise at.mistake(f"{path} is no text file of at most {_MAX_FILE >> 20} MiB")
            text = self.files[at.text()] = path.read_text(encoding="utf-8")
            return text
        except UnicodeDecodeError:
            raise at.mistake(f"{path} is no UTF-8 text: save it as UTF-8") from None
        except OSError as error:
            beside = [p.name for p in path.parent.glob("*") if p.is_file()]
            near = hint(path.name, beside)
            raise at.mistake(f"cannot read {path}: {error.strerror}{near}") from error

    def _node(self, name: str, at: Located, profiles: Mapping[str, object]) -> NodeSpec:
        if not _NAME.fullmatch(name):
            raise at.mistake("a node's name is its host name: small letters, digits, - and .")
        fields = at.fields(*_NODE)
        recipe = fields["recipe"].choice(*self.recipes) if "recipe" in fields else ""
        return NodeSpec(
            name=name,
            macs=tuple(self._claimed(mac, name) for mac in macs(required(at, fields, "macs"))),
            profile=one_of(required(at, fields, "profile"), profiles, "profile"),
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
        if mac in self.owners:
            other, first = self.owners[mac]
            raise at.mistake(f"{mac} is node {other}'s already, at {first.place}: '{node}'?")
        self.owners[mac] = (node, at)
        return mac

    def _reserved(self, at: Located, node: str) -> IPv4Address:
        """An address that no node before this one has."""
        found = address(at)
        if found in self.addresses:
            other, first = self.addresses[found]
            raise at.mistake(f"{found} is node {other}'s already, at {first.place}: '{node}'?")
        self.addresses[found] = (node, at)
        return found

    def _check_addresses(self, dhcp: DhcpSite) -> None:
        for reserved, (_, at) in self.addresses.items():
            subnet = dhcp.subnet_of(reserved)
            if subnet is None:
                raise at.mistake(f"{reserved} is in no subnet of `dhcp.subnets`: name its network")
            network = subnet.network
            ends = (network.network_address, network.broadcast_address)
            if reserved in (*ends, *subnet.options.routers):
                raise at.mistake(f"{reserved} is {network}'s own, its broadcast or its router's")

    def _vendors(self, at: Located | None) -> dict[str, str]:
        """MAC prefixes of whole bytes, in any spelling, to recipes."""
        found = {}
        for prefix, recipe in at.entries() if at else ():
            digits = re.sub(r"[.:-]", "", prefix.lower())
            if not re.fullmatch(r"([0-9a-f]{2}){1,6}", digits):
                raise recipe.mistake("no MAC prefix: write it like 52:54:00")
            spelt = ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
            found[spelt] = recipe.choice(*self.recipes)
        return found
