"""The site file: images, profiles, nodes. Each mistake with its file, line, key and way out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from ..boot.cmdline import ROOM_FOR_ARGUMENTS, refuse_meaningful
from ..boot.site import (
    ONLY_FOR,
    Action,
    Compression,
    ExitMethod,
    ImageSource,
    NodeSpec,
    Profile,
    RegistryHost,
    Site,
    Template,
)
from ..cloudconfig.spelling import hint, hint_or_known
from ..cloudconfig.yamlnodes import parse
from ..errors import InvalidValue, SiteMistake
from ..images import reference as references
from ..images.reference import registry_host
from ..images.signature import load_public_key
from ..values import Arch, Firmware, Mac
from .located import Located

# A node's name becomes a host name and a word in scripts (RFC 1123).
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")

_Word = TypeVar("_Word", bound=StrEnum)


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
    files: dict[str, str] = field(default_factory=dict)

    def site(self, root: Located) -> Site:
        fields = root.fields("registries", "images", "profiles", "nodes", "vendor-recipes")
        images = {name: self._image(name, at) for name, at in _named(fields, "images")}
        profiles = {
            name: self._profile(name, at, images) for name, at in _named(fields, "profiles")
        }
        nodes = {name: self._node(name, at, profiles) for name, at in _named(fields, "nodes")}
        return Site(
            images=images,
            profiles=profiles,
            nodes=nodes,
            vendor_recipes=self._vendors(fields.get("vendor-recipes")),
            registries={
                host: self._registry(host, at) for host, at in _named(fields, "registries")
            },
        )

    def _image(self, name: str, at: Located) -> ImageSource:
        if not at.empty and isinstance(at.value(), str):
            return ImageSource(name=name, reference=self._reference(at))
        fields = at.fields("source", "platform", "insecure", "compression", "verify")
        return ImageSource(
            name=name,
            reference=self._reference(_required(at, fields, "source")),
            arch=_platform(fields.get("platform")),
            insecure=fields["insecure"].flag() if "insecure" in fields else False,
            compression=_choice(fields, "compression", Compression.AUTO),
            verify_key=self._key(fields["verify"]) if "verify" in fields else "",
        )

    def _reference(self, at: Located) -> str:
        """A file's path counts from the site file, wherever the command is called."""
        try:
            reference = references.parse(at.text())
        except InvalidValue as error:
            raise at.mistake(str(error)) from None
        if isinstance(reference, references.RegistryReference):
            return at.text()
        return str(references.anchored(reference, self.folder))

    def _key(self, at: Located) -> str:
        """The text of a public key beside the site file."""
        text = self._text(at)
        try:
            load_public_key(text, at.text())
        except InvalidValue as error:
            raise at.mistake(str(error)) from None
        return text

    def _registry(self, host: str, at: Located) -> RegistryHost:
        fields = at.fields("mirrors", "ca", "insecure")
        ca = ""
        if "ca" in fields:
            self._text(fields["ca"])
            ca = str((self.folder / fields["ca"].text()).absolute())
        insecure = fields["insecure"].flag() if "insecure" in fields else False
        reached = _reached(at, host)
        for mirror in _texts(fields.get("mirrors")):
            more = _reached(mirror, host, mirror.text())
            reached = replace(reached, mirrors=(*reached.mirrors, *more.mirrors))
        return replace(reached, ca=ca, insecure=insecure)

    def _profile(self, name: str, at: Located, images: Mapping[str, object]) -> Profile:
        fields = at.fields("image", "action", "cloud-config", "kernel-args", "variables", "exit")
        return Profile(
            name=name,
            image=_one_of(_required(at, fields, "image"), images, "image"),
            action=_choice(fields, "action", Action.INSTALL),
            templates=tuple(map(self._template, _texts(fields.get("cloud-config")))),
            kernel_args=_kernel_args(fields.get("kernel-args")),
            variables=_variables(fields.get("variables")),
            exits=_exits(fields.get("exit")),
        )

    def _template(self, at: Located) -> Template:
        return Template(name=at.text(), text=self._text(at))

    def _text(self, at: Located) -> str:
        """What is in the file that is named here."""
        path = self.folder / at.text()
        try:
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
        fields = at.fields("macs", "profile", "variables", "exit", "recipe")
        recipe = fields["recipe"].choice(*self.recipes) if "recipe" in fields else ""
        return NodeSpec(
            name=name,
            macs=tuple(self._claimed(mac, name) for mac in _macs(_required(at, fields, "macs"))),
            profile=_one_of(_required(at, fields, "profile"), profiles, "profile"),
            variables=_variables(fields.get("variables")),
            exits=_exits(fields.get("exit")),
            recipe=recipe,
        )

    def _claimed(self, at: Located, node: str) -> Mac:
        """A MAC address that no node before this one has."""
        mac = _mac(at)
        if mac in self.owners:
            other, first = self.owners[mac]
            raise at.mistake(f"{mac} is node {other}'s already, at {first.place}: '{node}'?")
        self.owners[mac] = (node, at)
        return mac

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


def _named(fields: Mapping[str, Located], key: str) -> Iterable[tuple[str, Located]]:
    return fields[key].entries() if key in fields else ()


def _required(at: Located, fields: Mapping[str, Located], key: str) -> Located:
    if key not in fields:
        raise at.mistake(f"'{key}' is missing")
    return fields[key]


def _choice(fields: Mapping[str, Located], key: str, default: _Word) -> _Word:
    words = type(default)
    return words(fields[key].choice(*words)) if key in fields else default


def _reached(at: Located, host: str, *mirrors: str) -> RegistryHost:
    try:
        return registry_host(host, mirrors=mirrors, ca="", insecure=False)
    except InvalidValue as error:
        raise at.mistake(str(error)) from None


def _platform(at: Located | None) -> Arch:
    """`amd64` or, as container tools say it, `linux/amd64`."""
    if at is None:
        return Arch.AMD64
    text = at.text().removeprefix("linux/")
    return Arch(text) if text in set(Arch) else Arch(at.choice(*Arch))


def _one_of(at: Located, known: Mapping[str, object], what: str) -> str:
    name = at.text()
    if name not in known:
        raise at.mistake(f"no {what} '{name}'{hint_or_known(name, known)}")
    return name


def _texts(at: Located | None) -> list[Located]:
    """A list, or one text that stands for a list of one."""
    if at is None:
        return []
    return [at] if isinstance(at.value(), str) else at.elements()


def _macs(at: Located) -> list[Located]:
    found = _texts(at) if not isinstance(at.value(), int) else [at]
    if not found:
        raise at.mistake("a node needs at least one MAC address")
    return found


def _mac(at: Located) -> Mac:
    try:
        mac = Mac(at.text())
    except InvalidValue as error:
        raise at.mistake(str(error)) from None
    if int(mac[:2], 16) & 1:
        raise at.mistake(f"{mac} is a group address, not one machine's")
    return mac


def _kernel_args(at: Located | None) -> tuple[str, ...]:
    """Checked here, where a mistake has a line, and once more with the whole command line."""
    words = _texts(at)
    for word in words:
        if not word.text().isprintable():
            raise word.mistake("a kernel argument is one line of text")
        try:
            refuse_meaningful(word.text())
        except InvalidValue as error:
            raise word.mistake(str(error)) from None
    if at and sum(len(word.text()) + 1 for word in words) > ROOM_FOR_ARGUMENTS:
        raise at.mistake(
            f"more than {ROOM_FOR_ARGUMENTS} characters: the kernel would cut its command line"
        )
    return tuple(word.text() for word in words)


def _variables(at: Located | None) -> dict[str, object]:
    return {name: value.value() for name, value in at.entries()} if at else {}


def _exits(at: Located | None) -> dict[Firmware, ExitMethod]:
    """`exit: silence` for every firmware that can do it, or one method for each firmware."""
    if at is None:
        return {}
    if isinstance(at.value(), str):
        method = ExitMethod(at.choice(*ExitMethod))
        return {f: method for f in Firmware if ONLY_FOR.get(method, f) is f}
    found = {}
    for key, value in at.fields(*Firmware).items():
        firmware, method = Firmware(key), ExitMethod(value.choice(*ExitMethod))
        if ONLY_FOR.get(method, firmware) is not firmware:
            raise value.mistake(f"{method} is for {ONLY_FOR[method].upper()} machines only")
        found[firmware] = method
    return found
