"""Boot scripts: a plan or an exit, rendered by a template of boot-templates/."""

from __future__ import annotations

import re
from collections.abc import Mapping

from jinja2 import DictLoader, Environment, StrictUndefined

from ..values import Mac
from .actions import Action
from .decide import Decision, Outcome
from .plan import BootPlan
from .site import ExitMethod
from .urls import DISK_STARTER, Urls

# How long a machine that has to wait does so before it asks again.
WAIT_SECONDS = 10

# What a person at the console reads; `{image}` is the profile's.
_TITLES = {
    Action.LOCAL: "boot its disk",
    Action.INSTALL: "install {image} on its disk",
    Action.RAM: "run {image} from memory",
    Action.RESCUE: "rescue: {image} from memory, disks untouched",
    Action.RECOVERY: "remote recovery by {image}",
    Action.SHELL: "a shell, to look for a fault",
}


class Scripts:
    """The boot scripts of one family of systems; `templates` maps file names to texts."""

    def __init__(self, templates: Mapping[str, str]) -> None:
        self._environment = Environment(
            loader=DictLoader(dict(templates)),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # iPXE, not HTML
        )
        self._environment.filters["spoken"] = _spoken
        self._environment.globals["log_server"] = lambda urls: ""
        self._environment.filters["quoted"] = _quoted

    def send_logs(self) -> None:
        """From now on iPXE is told to log to us; it knows the usual port alone."""
        self._environment.globals["log_server"] = _log_server

    def install(self, plan: BootPlan) -> str:
        """Whatever the plan is for; a shell is iPXE's own."""
        is_shell = plan.action is Action.SHELL
        return self.render("shell.ipxe.j2" if is_shell else "install.ipxe.j2", plan=plan)

    def without_plan(self, decision: Decision, mac: Mac, urls: Urls) -> str:
        """iPXE's script of a decision that starts no kernel of ours."""
        match decision.outcome:
            case Outcome.WAIT:
                again = "" if decision.restarts else urls.script(mac)
                return self.render(
                    "wait.ipxe.j2", reason=decision.reason, again_url=again, seconds=WAIT_SECONDS
                )
            case Outcome.MENU:
                return self._menu(decision, mac, urls)
            case Outcome.INVENTORY:
                return self.to_disk(decision, urls, urls.inventory(mac) + _INVENTORY)
            case Outcome.DISK | Outcome.NOTHING | Outcome.INSTALL | Outcome.LIVE:
                return self.to_disk(decision, urls)

    def _menu(self, decision: Decision, mac: Mac, urls: Urls) -> str:
        menu = decision.menu
        return self.render(
            "menu.ipxe.j2",
            node=decision.node.name if decision.node else mac,
            items=titles(decision),
            default=menu.default,
            timeout=menu.timeout,
            has_shell=Action.SHELL in menu.items,
            choice_url=urls.script(mac) + "?choice=",
        )

    def to_disk(self, decision: Decision, urls: Urls, inventory_url: str = "") -> str:
        """SILENCE too: a machine that came as far as asking for a script must leave again."""
        return self.render(
            "disk.ipxe.j2",
            reason=decision.reason,
            inventory_url=inventory_url,
            sanboot=decision.exit is ExitMethod.SANBOOT,
            grub_url=urls.loader(DISK_STARTER) if decision.exit is ExitMethod.GRUB else "",
        )

    def render(self, template: str, **values: object) -> str:
        return self._environment.get_template(template).render(values)


# `uristring` is known to every iPXE; new ones encode what they fetch anyway. What it has no name
# for (2019's has none for memory) is empty.
_FACTS = ("manufacturer", "product", "serial", "asset")
_INVENTORY = (
    "?"
    + "&".join(f"{name}=${{{name}:uristring}}" for name in _FACTS)
    + "&uuid=${uuid}&platform=${platform}&arch=${buildarch}&memory=${memsize}"
)


def titles(decision: Decision) -> list[tuple[Action, str]]:
    """What is offered, in its order, and how it is called."""
    image = decision.profile.image if decision.profile else ""
    return [(action, _TITLES[action].format(image=image)) for action in decision.menu.items]


def _log_server(urls: Urls) -> str:
    """Where machines reach us; empty for a name: iPXE wants an IPv4 address there."""
    host = urls.base.partition("://")[2].partition("/")[0].rpartition(":")[0]
    return host if re.fullmatch(r"[0-9]+(\.[0-9]+){3}", host, re.ASCII) else ""


_NEXT_COMMAND = (";", "&&", "||")


def _spoken(text: str) -> str:
    """A sentence as an argument of an `echo`, which would expand `${…}` and `\\n`, and end at a
    line's end, or at a word that begins the next command."""
    words = text.replace("$", "").replace("\\", "").split()
    return " ".join(word for word in words if word not in _NEXT_COMMAND)


def _quoted(text: str) -> str:
    """One word of a shell: GRUB's and U-Boot's expand nothing between single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"
