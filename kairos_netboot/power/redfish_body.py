"""What Redfish services say and want to hear (DSP0266, DSP2046). Pure: bodies are parsed JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ..errors import PowerProblem
from .switch import NetworkBoot, Supply

Json: TypeAlias = Mapping[str, Any]

ROOT = "/redfish/v1/"
_SESSIONS = "/redfish/v1/SessionService/Sessions"
_SUPPLIES = {
    "On": Supply.ON,
    "Off": Supply.OFF,
    "PoweringOn": Supply.TURNING,
    "PoweringOff": Supply.TURNING,
    "Paused": Supply.ON,
}
_TARGETS = {
    NetworkBoot.PXE: ("Pxe", "UefiHttp"),
    NetworkBoot.BIOS: ("Pxe",),
    NetworkBoot.HTTP: ("UefiHttp",),
}
_FAILED_TASKS = ("Exception", "Killed", "Cancelled", "Interrupted")
_ENDED_TASKS = ("Completed", *_FAILED_TASKS)
_LONGEST = 200


def part(body: object, *keys: str) -> Json:
    """The object under these keys; an empty one where there is none."""
    for key in keys:
        body = body.get(key) if isinstance(body, Mapping) else None
    return body if isinstance(body, Mapping) else {}


def link(body: object, *keys: str) -> str:
    """Where another resource is; empty where none is named."""
    found = part(body, *keys).get("@odata.id")
    return found if isinstance(found, str) else ""


def sessions_of(root: Json) -> str:
    return link(root, "Links", "Sessions") or _SESSIONS


def members(collection: Json) -> list[str]:
    listed = collection.get("Members")
    return [link(one) for one in listed if link(one)] if isinstance(listed, list) else []


def choose_system(paths: Sequence[str], wanted: str) -> str:
    """One of them; raises PowerProblem that names them all."""
    if wanted:
        fits = [p for p in paths if wanted in (p, p.rstrip("/"), _last(p))]
        if fits:
            return fits[0]
        raise PowerProblem(f"its service has no system '{wanted}', but {_named(paths)}")
    if len(paths) == 1:
        return paths[0]
    if not paths:
        raise PowerProblem("its service has no systems: is this the address of its controller?")
    raise PowerProblem(
        f"its service has several systems: name one of them as `system`: {_named(paths)}"
    )


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _named(paths: Sequence[str]) -> str:
    return ", ".join(_shown(_last(path)) for path in paths[:16]) or "none"


def supply(system: Json) -> Supply:
    return _SUPPLIES.get(str(system.get("PowerState")), Supply.UNKNOWN)


def reset_target(system: Json) -> str:
    found = part(system, "Actions", "#ComputerSystem.Reset").get("target")
    if not isinstance(found, str):
        raise PowerProblem("its service offers no way to reset it: is this a system's address?")
    return found


def reset_types(system: Json) -> Sequence[str] | None:
    """None where it does not say here."""
    action = part(system, "Actions", "#ComputerSystem.Reset")
    return _texts(action.get("ResetType@Redfish.AllowableValues"))


def reset_info(system: Json) -> str:
    """Where it says so else (DSP0266, 9.9.3, ActionInfo)."""
    found = part(system, "Actions", "#ComputerSystem.Reset").get("@Redfish.ActionInfo")
    return found if isinstance(found, str) else ""


def reset_types_in(info: Json) -> Sequence[str] | None:
    parameters = info.get("Parameters")
    for parameter in parameters if isinstance(parameters, list) else ():
        if part(parameter).get("Name") == "ResetType":
            return _texts(part(parameter).get("AllowableValues"))
    return None


def _texts(value: object) -> Sequence[str] | None:
    return [str(one) for one in value] if isinstance(value, list) and value else None


def first_of(wanted: Sequence[str], offered: Sequence[str] | None) -> str | None:
    """The best of what is offered; the best of all where nobody says what is."""
    if offered is None:
        return wanted[0]
    return next((one for one in wanted if one in offered), None)


def boot_target(system: Json, how: NetworkBoot) -> str:
    offered = _texts(part(system, "Boot").get("BootSourceOverrideTarget@Redfish.AllowableValues"))
    found = first_of(_TARGETS[how], offered)
    if found is None:
        raise PowerProblem(
            f"its service does not offer {' or '.join(_TARGETS[how])} for its next boot, but"
            f" {', '.join(map(_shown, offered or ()))}"
        )
    return found


def boot_orders(target: str, *known: Json) -> list[Json]:
    """Bodies to try, the next where one is refused.

    Supermicro's services put the boot mode back to its default unless it is told with each order
    (DMTF Redfishtool, pull request 106); HPE's refuse the whole order where it is (Ansible
    community.general, issue 3509).
    """
    plain = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": target}
    modes = [part(body, "Boot").get("BootSourceOverrideMode") for body in known]
    mode = next((mode for mode in modes if isinstance(mode, str)), None)
    with_mode = [{"Boot": {**plain, "BootSourceOverrideMode": mode}}] if mode else []
    return [*with_mode, {"Boot": plain}]


def will_boot(body: Json, target: str) -> bool:
    """Whether it shows the order."""
    boot = part(body, "Boot")
    enabled = boot.get("BootSourceOverrideEnabled", "Once")
    return boot.get("BootSourceOverrideTarget") == target and enabled not in ("Disabled", None)


def settings_of(system: Json) -> str:
    """Where what shall become so is written, on services that part it from what is so."""
    return link(system, "@Redfish.Settings", "SettingsObject")


def takes_boot_orders(settings: Json) -> bool:
    return "BootSourceOverrideTarget" in part(settings, "Boot")


def matches(etag: str) -> list[str]:
    """What to send as If-Match, the next where one is answered by 412; empty: nothing.

    AMI's and Huawei's services want one with each change (gofish, issue 171; Ansible, issue
    60031). It should be the tag as it came, but there are services that give a weak one out and
    take it back only as a strong one, or not at all (Ansible community.general, pull requests
    6434 and 11270).
    """
    return list(dict.fromkeys([etag, etag.removeprefix("W/"), ""]))


def task_runs(body: Json) -> bool:
    state = body.get("TaskState")
    return isinstance(state, str) and state not in _ENDED_TASKS


def task_failed(body: Json) -> bool:
    return body.get("TaskState") in _FAILED_TASKS


def message(body: Json) -> str:
    """What a service says in its own words; empty where it says nothing."""
    for one in (part(body, "error").get("@Message.ExtendedInfo"), body.get("Messages")):
        for info in one if isinstance(one, list) else ():
            said = part(info).get("Message")
            if isinstance(said, str) and said.strip():
                return _shown(said)
    said = part(body, "error").get("message")
    return _shown(said) if isinstance(said, str) else ""


def _shown(text: str) -> str:
    """One line, as a terminal can take it."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
