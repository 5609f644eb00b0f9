"""Boot scripts: a plan or an exit, rendered by a template of boot-templates/."""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import DictLoader, Environment, StrictUndefined

from .decide import Decision
from .plan import BootPlan
from .site import ExitMethod
from .urls import DISK_STARTER, Urls


class Scripts:
    """The boot scripts of one family of systems; `templates` maps file names to texts."""

    def __init__(self, templates: Mapping[str, str]) -> None:
        self._environment = Environment(
            loader=DictLoader(dict(templates)),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            trim_blocks=True,
            autoescape=False,  # iPXE, not HTML
        )
        self._environment.filters["spoken"] = _spoken

    def install(self, plan: BootPlan) -> str:
        return self._environment.get_template("install.ipxe.j2").render(plan=plan)

    def to_disk(self, decision: Decision, urls: Urls) -> str:
        """SILENCE too: a machine that came as far as asking for a script must leave again."""
        template = self._environment.get_template("disk.ipxe.j2")
        return template.render(
            reason=decision.reason,
            sanboot=decision.exit is ExitMethod.SANBOOT,
            grub_url=urls.loader(DISK_STARTER) if decision.exit is ExitMethod.GRUB else "",
        )


def _spoken(text: str) -> str:
    """A sentence as an argument of iPXE's `echo`, which would expand `${…}` and end at a line's
    end."""
    return " ".join(text.replace("$", "").split())
