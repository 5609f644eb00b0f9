"""A boot plan for the tests of its renderings."""

from __future__ import annotations

from kairos_netboot.boot.actions import Action
from kairos_netboot.boot.plan import BootPlan
from kairos_netboot.boot.urls import Urls
from kairos_netboot.values import Arch, Stage
from tests.unit.boot import sample

URLS = Urls("http://192.0.2.1:8080")


def plan_of(command_line: str = "console=ttyS0 netboot", urls: Urls = URLS) -> BootPlan:
    return BootPlan(
        action=Action.INSTALL,
        family="kairos",
        node="alpha",
        mac=sample.MAC,
        loader=Stage.GRUB,
        image="debian",
        image_digest="sha256:00",
        arch=Arch.AMD64,
        files=sample.IMAGE.files,
        boot=1,
        max_boots=3,
        command_line=command_line,
        urls=urls,
        report_url=urls.report("abc"),
        report_token="abc",
    )
