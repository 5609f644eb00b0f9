from __future__ import annotations

import pytest

from kairos_netboot.boot.hooks import Webhook
from kairos_netboot.boot.phone import DEFAULT_COMMANDS, PhoneHome
from kairos_netboot.cloudconfig.yamlnodes import parse
from kairos_netboot.config.located import Located
from kairos_netboot.config.phone import phone_home, webhooks
from kairos_netboot.errors import SiteMistake


def at(key: str, text: str) -> Located:
    whole = Located(node=parse(f"{key}: {text}", "site.yaml", SiteMistake))
    return whole.fields(key)[key]


def read(text: str) -> PhoneHome:
    return phone_home(at("phone-home", text))


def hooks(text: str) -> tuple[Webhook, ...]:
    return webhooks(at("webhooks", text))


def test_nobody_phones_home_where_nothing_is_written() -> None:
    assert phone_home(None) == PhoneHome()
    assert not phone_home(None).enabled


def test_all_keys() -> None:
    text = "{enabled: true, heartbeat: 2m, commands: [upgrade, exec]}"
    assert read(text) == PhoneHome(enabled=True, heartbeat=120, commands=("upgrade", "exec"))


def test_whoever_writes_the_block_wants_it() -> None:
    assert read("{heartbeat: 10s}") == PhoneHome(enabled=True, heartbeat=10)
    assert read("{}").enabled
    assert not read("{enabled: false}").enabled


def test_without_commands_they_are_those_that_an_agent_takes_by_itself() -> None:
    assert read("{enabled: true}").commands == DEFAULT_COMMANDS


def test_one_command_may_stand_for_a_list() -> None:
    assert read("{commands: reboot}").commands == ("reboot",)


def test_an_empty_list_lets_nobody_order_anything() -> None:
    assert read("{commands: []}").commands == ()


def test_a_command_that_is_named_twice_is_one() -> None:
    assert read("{commands: [reboot, upgrade, reboot]}").commands == ("reboot", "upgrade")


@pytest.mark.parametrize("heartbeat", ["1s", "1", "30", "60m", "1h", "3600"])
def test_a_heartbeat_is_between_a_second_and_an_hour(heartbeat: str) -> None:
    assert 1 <= read(f"{{heartbeat: {heartbeat}}}").heartbeat <= 3600


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "nothing is here: write `phone-home: {enabled: true}`"),
        ("yes please", "phone-home: the text 'yes please' is here: write a mapping"),
        ("[]", "phone-home: a list is here: write a mapping"),
        ("{enable: true}", "phone-home.enable: no such key; nearest: 'enabled'"),
        ("{enabled: maybe}", "phone-home.enabled: the text 'maybe' is here: write true or false"),
        ("{heartbeat: 0}", "phone-home.heartbeat: a heartbeat is between a second and an hour"),
        ("{heartbeat: 61m}", "phone-home.heartbeat: a heartbeat is between"),
        ("{heartbeat: -5s}", "phone-home.heartbeat: no time: write 90s"),
        ("{heartbeat: 1.5s}", "phone-home.heartbeat: no time: write 90s"),
        ("{heartbeat: [30s]}", "phone-home.heartbeat: a list is here: write a text"),
        ("{commands: [upgrad]}", "'upgrad' is not known here; nearest: 'upgrade'"),
        ("{commands: [reboot, 7]}", "commands[1]: '7' is not known here"),
        ("{commands: }", "phone-home.commands: nothing is here: write a list of commands"),
        ("{commands: {reboot: true}}", "phone-home.commands: a mapping is here: write a list"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(SiteMistake) as mistake:
        read(text)
    assert str(mistake.value).startswith("site.yaml:1: phone-home")
    assert told in str(mistake.value)


# Webhooks


def test_a_webhook_with_all_its_keys() -> None:
    text = "[{url: 'https://ops.lan:8443/hook?x=1', secret: s3cret, events: [ready, ready]}]"
    (hook,) = hooks(text)
    assert hook == Webhook(url="https://ops.lan:8443/hook?x=1", secret="s3cret", kinds=("ready",))


def test_no_webhooks_are_none() -> None:
    assert webhooks(None) == ()
    assert hooks("[]") == ()


@pytest.mark.parametrize(
    "url",
    [
        *("ops.lan/hook", "ftp://ops.lan/", "https://", "http:///hook", "//ops.lan"),
        *("http://[::1", "http://ops.lan:99999/", "http://ops.lan:0/", "http://ops.lan:x/"),
        *("http://ops.lan/a b", "javascript:alert(1)"),
    ],
)
def test_what_is_no_address_is_a_mistake(url: str) -> None:
    with pytest.raises(SiteMistake, match="is no address: write it like https://HOST/PATH"):
        hooks(f"[{{url: '{url}'}}]")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[{secret: x}]", "webhooks[0]: 'url' is missing"),
        ("[{url: 'http://x/', secret: ''}]", "webhooks[0].secret: it is empty"),
        ("[{url: 'http://x/', events: [reddy]}]", "'reddy' is not known here; nearest: 'ready'"),
        ("[{url: 'http://x/', header: y}]", "webhooks[0].header: no such key"),
        ("{url: 'http://x/'}", "webhooks: a mapping is here: write a list"),
    ],
)
def test_a_mistake_in_a_webhook_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(SiteMistake) as mistake:
        hooks(text)
    assert told in str(mistake.value)
