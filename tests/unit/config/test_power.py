from __future__ import annotations

from pathlib import Path

import pytest

from kairos_netboot.boot.power import Power, PowerKind
from kairos_netboot.cloudconfig.yamlnodes import parse
from kairos_netboot.config.files import Files
from kairos_netboot.config.located import Located
from kairos_netboot.config.power import power
from kairos_netboot.errors import SiteMistake
from tests.certificates import certificate


def read(text: str, folder: Path = Path("/nowhere")) -> Power:
    at = Located(node=parse(f"power: {{{text}}}", "site.yaml", SiteMistake))
    return power(at.fields("power")["power"], Files(folder))


REDFISH = "kind: redfish, address: 'https://192.0.2.10', login: bmc"


def test_redfish_with_all_its_keys(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(certificate())
    assert read(f"{REDFISH}, system: '1', ca: ca.pem", tmp_path) == Power(
        kind=PowerKind.REDFISH,
        address="https://192.0.2.10",
        login="bmc",
        system="1",
        ca=str(tmp_path / "ca.pem"),
    )


def test_what_a_service_adds_to_its_address_is_not_kept() -> None:
    found = read("kind: redfish, address: 'https://bmc/redfish/v1', login: bmc, insecure: true")
    assert (found.address, found.insecure) == ("https://bmc", True)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("kind: ipmi, address: '192.0.2.10:6230', login: bmc", "192.0.2.10:6230"),
        ("kind: qemu, address: /run/alpha.qmp", "/run/alpha.qmp"),
        ("kind: qemu, address: 'tcp:192.0.2.1:4444'", "tcp:192.0.2.1:4444"),
        ("kind: wake-on-lan", ""),
        ("kind: wake-on-lan, address: 192.0.2.255", "192.0.2.255"),
    ],
)
def test_each_kind_has_its_form_of_address(text: str, address: str) -> None:
    assert read(text).address == address


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("address: x", "power: 'kind' is missing"),
        ("kind: redfsh", "power.kind: 'redfsh' is not known here; nearest: 'redfish'"),
        ("kind: redfish, login: bmc", "power: 'address' is missing"),
        ("kind: ipmi, login: bmc", "power: 'address' is missing"),
        ("kind: qemu", "power: 'address' is missing"),
        ("kind: redfish, address: 'https://bmc'", "power: 'login' is missing"),
        ("kind: ipmi, address: bmc", "power: 'login' is missing"),
        ("kind: redfish, address: bmc, login: b", "power.address: 'bmc' is no Redfish address"),
        ("kind: ipmi, address: 'https://bmc', login: b", "power.address: 'https://bmc' is no host"),
        ("kind: qemu, address: alpha.qmp", "power.address: 'alpha.qmp' is no QMP address"),
        ("kind: wake-on-lan, address: bmc", "power.address: 'bmc' is no IPv4 broadcast"),
        ("kind: ipmi, address: bmc, login: a/b", "power.login: 'a/b' is no name for a login"),
        ("kind: qemu, address: /x, login: b", "power.login: qemu asks for no login"),
        ("kind: wake-on-lan, login: b", "power.login: wake-on-lan asks for no login"),
        ("kind: ipmi, address: bmc, login: b, system: s", "power.system: is for redfish"),
        ("kind: qemu, address: /x, insecure: true", "power.insecure: is for redfish"),
        ("kind: wake-on-lan, ca: x", "power.ca: is for redfish"),
        ("kind: redfish, address: 'http://bmc', login: b", "power.address: http:// lets everybody"),
        (f"{REDFISH}, pasword: x", "power.pasword: no such key"),
        (f"{REDFISH}, insecure: 1", "power.insecure: '1' is here: write true or false"),
        (f"{REDFISH}, ca: missing.pem", "power.ca: cannot read"),
    ],
)
def test_each_mistake_has_its_place(text: str, told: str) -> None:
    with pytest.raises(SiteMistake) as caught:
        read(text)
    assert str(caught.value).startswith(f"site.yaml:1: {told}")


def test_an_authority_is_of_no_use_where_no_certificate_is_checked(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(certificate())
    with pytest.raises(SiteMistake, match=r"power\.ca: with `insecure: true`"):
        read(f"{REDFISH}, ca: ca.pem, insecure: true", tmp_path)
    with pytest.raises(SiteMistake, match=r"power\.ca: http:// has no certificate"):
        read("kind: redfish, address: 'http://bmc', login: b, ca: ca.pem", tmp_path)


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(SiteMistake, match="power login") as caught:
        read("kind: redfish, address: 'https://u:hunter2@bmc', login: b")
    assert "hunter2" not in str(caught.value)
