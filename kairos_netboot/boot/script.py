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
            lstrip_blocks=True,
            autoescape=False,  # iPXE, not HTML
        )
        self._environment.filters["spoken"] = _spoken
        self._environment.filters["quoted"] = _quoted

    def install(self, plan: BootPlan) -> str:
        return self.render("install.ipxe.j2", plan=plan)

    def to_disk(self, decision: Decision, urls: Urls) -> str:
        """SILENCE too: a machine that came as far as asking for a script must leave again."""
        return self.render(
            "disk.ipxe.j2",
            reason=decision.reason,
            sanboot=decision.exit is ExitMethod.SANBOOT,
            grub_url=urls.loader(DISK_STARTER) if decision.exit is ExitMethod.GRUB else "",
        )

    def render(self, template: str, **values: object) -> str:
        return self._environment.get_template(template).render(values)


def _spoken(text: str) -> str:
    """A sentence as an argument of an `echo`, which would expand `${…}` and `\\n`, and end at a
    line's end."""
    return " ".join(text.replace("$", "").replace("\\", "").split())


def _quoted(text: str) -> str:
    """One word of a shell: GRUB's and U-Boot's expand nothing between single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"
