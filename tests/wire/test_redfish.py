"""Our Redfish against a service of ours, with the quirks of those in racks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from kairos_netboot.boot.power import Power, PowerKind
from kairos_netboot.errors import PowerProblem
from kairos_netboot.power.redfish import Redfish, open_redfish
from kairos_netboot.power.switch import NetworkBoot, Patience, Supply
from kairos_netboot.store.logins import Login
from tests.redfish import PASSWORD, USER, Quirks, Service, serve
from tests.registries import make_certificates

pytestmark = pytest.mark.wire

T = TypeVar("T")
QUICK = Patience(request=1.0, tries=3, pause=0.01, settle=0.3, shutdown=0.3, poll=0.01)
LOGIN = Login(user=USER, password=PASSWORD)


def ask(
    act: Callable[[Redfish], Awaitable[T]],
    quirks: Quirks | None = None,
    *,
    power: str = "On",
    login: Login = LOGIN,
    system: str = "",
    patience: Patience = QUICK,
) -> tuple[T, Service]:
    async def run() -> tuple[T, Service]:
        async with serve(quirks) as service:
            service.power = power
            where = Power(kind=PowerKind.REDFISH, address=service.base, login="bmc", system=system)
            async with open_redfish(where, login, patience) as redfish:
                done = await act(redfish)
            return done, service

    return asyncio.run(run())


def fails(
    act: Callable[[Redfish], Awaitable[object]], quirks: Quirks, match: str, login: Login = LOGIN
) -> None:
    with pytest.raises(PowerProblem, match=match) as caught:
        ask(act, quirks, login=login)
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)


async def pxe(redfish: Redfish) -> str:
    return await redfish.boot_from_network_once(NetworkBoot.PXE)


def on(redfish: Redfish) -> Awaitable[str]:
    return redfish.on()


def off(redfish: Redfish) -> Awaitable[str]:
    return redfish.off()


def shut_down(redfish: Redfish) -> Awaitable[str]:
    return redfish.off(graceful=True)


def cycle(redfish: Redfish) -> Awaitable[str]:
    return redfish.cycle()


def status(redfish: Redfish) -> Awaitable[object]:
    return redfish.status()


@pytest.mark.parametrize(
    ("act", "power", "told", "resets"),
    [
        (on, "Off", "switched on", ["On"]),
        (on, "On", "was on already", []),
        (off, "On", "switched off", ["ForceOff"]),
        (off, "Off", "was off already", []),
        (shut_down, "On", "shut down", ["GracefulShutdown"]),
        (cycle, "On", "restarted (ForceRestart)", ["ForceRestart"]),
        (cycle, "Off", "was off: switched on", ["On"]),
        (
            lambda r: r.cycle(graceful=True),
            "On",
            "restarted (GracefulRestart)",
            ["GracefulRestart"],
        ),
    ],
)
def test_each_order_is_one_reset(
    act: Callable[[Redfish], Awaitable[str]], power: str, told: str, resets: list[str]
) -> None:
    said, service = ask(act, Quirks(slow=2), power=power)
    assert (said, service.resets) == (told, resets)


def test_the_state_is_what_it_says() -> None:
    found = {word: ask(status, power=word)[0] for word in ("On", "Off", "PoweringOn", "Odd")}
    assert [getattr(one, "supply", None) for one in found.values()] == [
        Supply.ON,
        Supply.OFF,
        Supply.TURNING,
        Supply.UNKNOWN,
    ]


def test_without_a_restart_it_is_switched_off_and_on() -> None:
    said, service = ask(cycle, Quirks(resets=("On", "ForceOff"), slow=1))
    assert (said, service.resets) == ("switched off and on again", ["ForceOff", "On"])


def test_a_power_button_is_pushed_where_there_is_no_shutdown() -> None:
    assert ask(shut_down, Quirks(resets=("PushPowerButton",)))[1].resets == ["PushPowerButton"]


def test_what_it_offers_may_be_told_elsewhere_or_not_at_all() -> None:
    elsewhere = Quirks(resets=("On", "ForceOff"), resets_elsewhere=True)
    assert ask(cycle, elsewhere)[1].resets == ["ForceOff", "On"]
    assert ask(cycle, Quirks(resets=None))[1].resets == ["ForceRestart"]


def test_what_it_does_not_offer_is_told_with_what_it_does() -> None:
    fails(off, Quirks(resets=("On", "Nmi")), "does not offer ForceOff, but On, Nmi")


def test_a_reset_that_is_a_task_is_waited_for() -> None:
    said, service = ask(off, Quirks(task=3))
    assert said == "switched off"
    assert service.asked["GET /redfish/v1/Tasks/1"] == 3


def test_a_controller_may_call_itself_by_another_name() -> None:
    quirks = Quirks(calls_itself="https://bmc.example", task=2)
    quirks.session_only, quirks.basic_challenge = True, False
    said, service = ask(off, quirks)
    assert (said, service.tokens) == ("switched off", set())
    assert service.asked["GET /redfish/v1/Tasks/1"] == 2


def test_a_task_that_fails_or_never_ends_is_told() -> None:
    fails(off, Quirks(task=1, task_fails=True), "could not do it: the fan is on strike")
    fails(off, Quirks(task=-1), "has not done it after")


def test_an_order_that_shows_no_effect_is_told() -> None:
    fails(off, Quirks(stuck=True), "not off .* after the order")
    fails(shut_down, Quirks(stuck=True), "without --graceful")


# The next boot


def test_it_boots_once_from_the_network_in_the_mode_that_it_has() -> None:
    said, service = ask(pxe, Quirks(forgets_mode=True))
    assert said == "boots once from the network (Pxe)"
    assert service.boot == {
        "BootSourceOverrideEnabled": "Once",
        "BootSourceOverrideTarget": "Pxe",
        "BootSourceOverrideMode": "UEFI",
    }


def test_a_service_that_takes_no_mode_is_told_none() -> None:
    said, service = ask(pxe, Quirks(refuses_mode=True, mode="Legacy"))
    assert said == "boots once from the network (Pxe)"
    assert service.boot["BootSourceOverrideTarget"] == "Pxe"


@pytest.mark.parametrize(
    ("given", "taken", "sent"),
    [
        ("", (), [""]),
        ('"abc"', (), ['"abc"']),
        ('W/"abc"', (), ['W/"abc"']),
        ('W/"abc"', ('"abc"',), ['W/"abc"', '"abc"']),
        ('W/"abc"', ("nothing",), ['W/"abc"', '"abc"', ""]),
    ],
)
def test_tags_are_sent_as_they_came_then_strong_then_not(
    given: str, taken: tuple[str, ...], sent: list[str]
) -> None:
    assert ask(pxe, Quirks(etag=given, takes_etag=taken))[1].etags == sent


def test_a_service_that_wants_a_tag_gets_it() -> None:
    said, service = ask(pxe, Quirks(etag='"1"', wants_etag=True))
    assert (said, service.etags) == ("boots once from the network (Pxe)", ['"1"'])


def test_a_tag_that_it_wants_and_does_not_give_is_told() -> None:
    fails(pxe, Quirks(wants_etag=True), "answered 428 .If-Match is missing")


def test_the_order_goes_where_settings_are_taken() -> None:
    said, service = ask(pxe, Quirks(settings=True))
    assert said == "boots once from the network (Pxe)"
    assert service.asked["PATCH /redfish/v1/Systems/1/Settings"] == 1


def test_an_order_that_does_not_show_is_said_so() -> None:
    assert ask(pxe, Quirks(silent=True))[0].endswith("which its controller took and does not show")


def test_http_boot_is_asked_for_where_the_image_needs_it_or_there_is_no_pxe() -> None:
    _, service = ask(lambda r: r.boot_from_network_once(NetworkBoot.HTTP))
    assert service.boot["BootSourceOverrideTarget"] == "UefiHttp"
    _, service = ask(pxe, Quirks(targets=("Hdd", "UefiHttp")))
    assert service.boot["BootSourceOverrideTarget"] == "UefiHttp"
    _, service = ask(pxe, Quirks(targets=None))
    assert service.boot["BootSourceOverrideTarget"] == "Pxe"


def test_a_boot_that_it_does_not_offer_is_told() -> None:
    fails(pxe, Quirks(targets=("Hdd", "Cd")), "does not offer Pxe or UefiHttp .* but Hdd, Cd")


# Who and where


def test_one_of_several_systems_has_to_be_named() -> None:
    quirks = Quirks(systems=("left", "right"), pages=True)
    fails(status, quirks, "several systems: name one of them as `system`: left, right")
    _, service = ask(status, quirks, system="right")
    assert service.asked["GET /redfish/v1/Systems/right"] == 1


def test_a_system_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(PowerProblem, match="no system 'x', but 1"):
        ask(status, system="x")


def test_a_wrong_login_is_tried_once() -> None:
    wrong = Login(user=USER, password="wrong")

    async def run() -> None:
        async with serve() as service:
            where = Power(kind=PowerKind.REDFISH, address=service.base, login="bmc")
            async with open_redfish(where, wrong, QUICK) as redfish:
                with pytest.raises(PowerProblem, match="refuses the login 'bmc'") as caught:
                    await redfish.status()
            assert "wrong" not in str(caught.value)
            assert USER not in str(caught.value)
            assert service.asked["GET /redfish/v1/Systems"] == 1
            assert service.logins == 0

    asyncio.run(run())


def test_a_service_without_basic_login_gets_a_session_that_is_ended() -> None:
    found, service = ask(status, Quirks(session_only=True, basic_challenge=False))
    assert getattr(found, "supply", None) is Supply.ON
    assert (service.logins, service.tokens) == (1, set())


def test_a_wrong_login_for_a_session_is_told() -> None:
    wrong = Login(user=USER, password="wrong")
    quirks = Quirks(session_only=True, basic_challenge=False)
    fails(status, quirks, "refuses the login 'bmc'", wrong)


def test_a_login_without_the_right_is_told() -> None:
    fails(status, Quirks(forbidden=True), "'bmc' may not do that.*no … for you")


def test_a_web_server_that_is_no_controller_is_told() -> None:
    fails(status, Quirks(page_instead=True), "no Redfish service with systems")


def test_the_login_goes_to_no_other_address() -> None:
    fails(status, Quirks(points_away=True), "points to another address")


def test_a_busy_controller_is_asked_again_and_not_for_ever() -> None:
    assert ask(status, Quirks(busy=2))[1].asked["GET /redfish/v1/"] == 3
    assert ask(status, Quirks(busy=2, retry_after="0"))[1].asked["GET /redfish/v1/"] == 3
    fails(status, Quirks(busy=99), "answered 503")


def test_a_controller_that_is_not_there_is_told() -> None:
    async def run() -> None:
        where = Power(kind=PowerKind.REDFISH, address="http://127.0.0.1:1", login="bmc")
        async with open_redfish(where, LOGIN, QUICK) as redfish:
            await redfish.status()

    with pytest.raises(PowerProblem, match=r"127\.0\.0\.1:1 cannot be reached: "):
        asyncio.run(run())


def test_a_silent_controller_is_told_and_a_reset_not_sent_twice() -> None:
    hasty = Patience(request=0.1, tries=3, pause=0.01, settle=0.1, poll=0.01)

    async def run(hangs: str) -> tuple[str, Service]:
        async with serve(Quirks(hangs=hangs)) as service:
            where = Power(kind=PowerKind.REDFISH, address=service.base, login="bmc")
            async with open_redfish(where, LOGIN, hasty) as redfish:
                with pytest.raises(PowerProblem) as caught:
                    await redfish.off()
            return str(caught.value), service

    said, service = asyncio.run(run("POST"))
    assert "does not answer; whether it was heard is not known" in said
    assert service.asked["POST /redfish/v1/Systems/1/Actions/Reset"] == 1
    said, service = asyncio.run(run("GET"))
    assert said.endswith("does not answer")
    assert service.asked["GET /redfish/v1/"] == 3


def test_a_certificate_is_checked_unless_that_is_waived(tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "tls")

    async def run(**how: object) -> tuple[object, Service]:
        async with serve(tls=made.server()) as service:
            bare = Power(kind=PowerKind.REDFISH, address=service.base, login="bmc")
            where = replace(bare, **how)  # type: ignore[arg-type]
            try:
                async with open_redfish(where, LOGIN, QUICK) as redfish:
                    return (await redfish.status()).supply, service
            except PowerProblem as error:
                return str(error), service

    assert asyncio.run(run(ca=str(made.ca)))[0] is Supply.ON
    assert asyncio.run(run(insecure=True))[0] is Supply.ON
    told, service = asyncio.run(run())
    assert "is not trusted" in str(told)
    assert "give its authority as `ca`, or `insecure: true`" in str(told)
    assert not service.asked
    assert "cannot be read" in str(asyncio.run(run(ca=str(tmp_path / "gone.pem")))[0])
