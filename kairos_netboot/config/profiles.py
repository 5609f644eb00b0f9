"""The site file's `profiles`."""

from __future__ import annotations

from collections.abc import Mapping

from ..boot.actions import Action, Menu, Ram, disk_path, ssh_key
from ..boot.clusters import Role
from ..boot.families import KAIROS
from ..boot.site import Profile
from .fields import (
    checked,
    choice,
    document_key,
    duration,
    exits,
    flag,
    kernel_args,
    number,
    one_of,
    required,
    texts,
    variables,
    word,
)
from .files import Files
from .keys import names
from .located import Located
from .networks import boot_table, kernel_network
from .phone import phone_home
from .selectors import hostname, selectors
from .systems import check_family, family

# These load nothing of their own.
_WITHOUT_IMAGE = (Action.LOCAL, Action.MENU)
# `reset` is what Kairos calls it where its recovery system does the same.
_ACTIONS = {**{action.value: action for action in Action}, "reset": Action.WIPE}


def profile(name: str, at: Located, files: Files, images: Mapping[str, object]) -> Profile:
    fields = at.fields(*names("profile"))
    does = action(fields["action"]) if "action" in fields else Action.INSTALL
    if does not in _WITHOUT_IMAGE:
        required(at, fields, "image")
    documents = [*texts(fields.get("cloud-config")), *texts(fields.get("document"))]
    said = variables(fields.get("variables"))
    system = family(fields)
    found = Profile(
        name=name,
        image=one_of(fields["image"], images, "image") if "image" in fields else "",
        family=system,
        action=does,
        templates=tuple(map(files.template, documents)),
        kernel_args=kernel_args(fields.get("kernel-args"), is_kairos=system == KAIROS),
        variables=said,
        exits=exits(fields.get("exit")),
        boot=boot_table(fields.get("boot")),
        network=kernel_network(fields.get("network")),
        documents_opened_by=document_key(fields.get("document-key")),
        match=selectors(fields.get("match")),
        hostname=hostname(fields["hostname"], said) if "hostname" in fields else "",
        ram=_ram(fields.get("ram")),
        menu=_menu(fields.get("menu")),
        disks=tuple(map(disk, texts(fields.get("disks")))),
        ssh_keys=tuple(checked(at, ssh_key, at.text()) for at in texts(fields.get("ssh-keys"))),
        timeout=duration(fields, "timeout", 3600),
        cluster=word(fields, "cluster", ""),
        role=choice(fields, "role", Role.AGENT) if "role" in fields else None,
        phone_home=phone_home(fields["phone-home"]) if "phone-home" in fields else None,
    )
    check_family(at, fields, found, images)
    return found


def action(at: Located) -> Action:
    return _ACTIONS[at.choice(*_ACTIONS)]


def disk(at: Located) -> str:
    return checked(at, disk_path, at.text())


def _ram(at: Located | None) -> Ram:
    if at is None:
        return Ram()
    fields = at.fields(*names("ram"))
    partitions = ""
    if "partitions" in fields:
        partitions = fields["partitions"].text()
        if partitions != "auto":
            disk(fields["partitions"])
    wipe = flag(fields, "wipe", default=False)
    for name in ("wipe", "oem", "persistent"):
        if name in fields and not partitions and (name != "wipe" or wipe):
            raise fields[name].mistake("on which disk? `partitions` says it, or says auto")
    return Ram(
        partitions=partitions,
        wipe=wipe,
        oem=_mib(fields, "oem"),
        persistent=_mib(fields, "persistent"),
    )


def _mib(fields: Mapping[str, Located], name: str) -> int | None:
    size = number(fields, name, None)
    if size is not None and size < 1:
        raise fields[name].mistake("a size in MiB, at least 1: without it, Kairos' own is taken")
    return size


def _menu(at: Located | None) -> Menu:
    if at is None:
        return Menu()
    fields = at.fields(*names("menu"))
    usual = Menu()
    items = tuple(map(_item, texts(fields["items"]))) if "items" in fields else usual.items
    default = _item(fields["default"]) if "default" in fields else usual.default
    if default not in items:
        raise at.mistake(f"its default '{default}' is not one of its items")
    return Menu(items=items, default=default, timeout=duration(fields, "timeout", usual.timeout))


def _item(at: Located) -> Action:
    found = action(at)
    if found in (Action.MENU, Action.WIPE):
        raise at.mistake(f"'{found}' is no item of a menu")
    return found
