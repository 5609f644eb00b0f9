from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.boot.power import (
    IPMI_PORT,
    Host,
    broadcast,
    check_login_name,
    host_and_port,
    monitor,
    redfish_url,
)
from kairos_netboot.errors import InvalidValue


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://192.0.2.10", "https://192.0.2.10"),
        ("https://192.0.2.10/", "https://192.0.2.10"),
        ("https://bmc.example:8443/redfish/v1/", "https://bmc.example:8443"),
        ("http://[2001:db8::1]:8000", "http://[2001:db8::1]:8000"),
    ],
)
def test_a_redfish_address_is_its_scheme_host_and_port(written: str, meant: str) -> None:
    assert redfish_url(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        "",
        "192.0.2.10",
        "ftp://192.0.2.10",
        "https://",
        "https://192.0.2.10/redfish/v1/Systems/1",
        "https://192.0.2.10?x=1",
        "https://192.0.2.10#x",
        "https://192.0.2.10:99999",
        "https://192.0.2.300",
        "https://bmc_one!",
        "https://[2001:db8::g]",
    ],
)
def test_what_is_no_redfish_address_is_refused(written: str) -> None:
    with pytest.raises(InvalidValue, match="write https://HOST"):
        redfish_url(written)


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidValue, match="power login") as caught:
        redfish_url("https://root:hunter2@192.0.2.10")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("192.0.2.10", Host("192.0.2.10", IPMI_PORT)),
        ("bmc.example:6230", Host("bmc.example", 6230)),
        ("[2001:db8::1]", Host("2001:db8::1", IPMI_PORT)),
        ("[2001:db8::1]:6230", Host("2001:db8::1", 6230)),
        ("bmc:65535", Host("bmc", 65535)),
    ],
)
def test_a_host_has_the_usual_port_unless_it_names_one(written: str, meant: Host) -> None:
    assert host_and_port(written, IPMI_PORT) == meant
    assert host_and_port(str(meant), 1) == meant


@pytest.mark.parametrize(
    "written", ["", ":623", "2001:db8::1", "bmc:0", "bmc:65536", "bmc:x", "-H", "a b", "192.0.2"]
)
def test_what_is_no_host_is_refused(written: str) -> None:
    with pytest.raises(InvalidValue, match="is no host"):
        host_and_port(written, IPMI_PORT)


def test_a_monitor_is_a_socket_or_a_port() -> None:
    assert monitor("/run/alpha.qmp") == "/run/alpha.qmp"
    assert monitor("unix:/run/alpha.qmp") == "/run/alpha.qmp"
    assert monitor("tcp:127.0.0.1:4444") == Host("127.0.0.1", 4444)


@pytest.mark.parametrize("written", ["", "alpha.qmp", "tcp:127.0.0.1", "tcp:", "/run/a\nb"])
def test_what_is_no_monitor_is_refused(written: str) -> None:
    with pytest.raises(InvalidValue, match="tcp:HOST:PORT"):
        monitor(written)


def test_a_broadcast_address_is_ipv4() -> None:
    assert broadcast("192.0.2.255") == IPv4Address("192.0.2.255")
    for wrong in ("", "2001:db8::1", "0.0.0.0", "224.0.0.1", "192.0.2.256"):
        with pytest.raises(InvalidValue, match="broadcast"):
            broadcast(wrong)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 65, "ä"])
def test_a_login_is_a_plain_name(name: str) -> None:
    with pytest.raises(InvalidValue, match="no name for a login"):
        check_login_name(name)
    assert check_login_name("rack-1.bmc_2") == "rack-1.bmc_2"


@given(st.text(max_size=40))
@example("https://[")
@example("https://[::1")
@example("tcp:[::1]:٣")
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for read in (redfish_url, monitor, broadcast, check_login_name):
        try:
            read(text)
        except InvalidValue:
            continue
    try:
        found = host_and_port(text, IPMI_PORT)
    except InvalidValue:
        return
    assert host_and_port(str(found), 1) == found
