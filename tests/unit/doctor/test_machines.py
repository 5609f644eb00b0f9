from __future__ import annotations

from dataclasses import replace

from kairos_netboot.boot.fleet import Fleet
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.doctor.findings import Level
from kairos_netboot.doctor.machines import check_machines
from tests.unit.boot.sample import PROFILE, SPEC, STRANGER, fleet, node

UEFI = {"firmware": "uefi", "arch": "amd64"}
HOW = {"snponly.efi": "install the package 'ipxe'"}


def found(machines: Fleet, *loaders: str) -> list[tuple[Level, str]]:
    return [(f.level, f"{f.text} → {f.remedy}") for f in check_machines(machines, loaders, HOW)]


def test_a_loader_that_a_machine_asks_for_and_is_missing_is_told_with_the_way_out() -> None:
    machines = fleet(node(facts=UEFI))
    assert found(machines) == [
        (
            Level.BROKEN,
            "snponly.efi is not here: alpha will get no answer → install the package 'ipxe'",
        )
    ]
    assert found(machines, "snponly.efi") == [(Level.FINE, "snponly.efi is here, for alpha → ")]


def test_what_the_first_file_asks_for_itself_is_looked_for_as_well() -> None:
    spec = replace(SPEC, boot={"http-amd64": "shim", "uefi-amd64": "shim"})
    machines = fleet(node(spec=spec, facts=UEFI))
    texts = [text for level, text in found(machines, "shimx64.efi") if level is Level.BROKEN]
    assert texts[0].startswith("grubx64.efi is not here")


def test_secure_boot_beside_a_foreign_dhcp_server_comes_with_advice() -> None:
    machines = fleet(node(facts=UEFI), profile=replace(PROFILE, boot={"uefi-amd64": "shim"}))
    told = [text for level, text in found(machines, "shimx64.efi", "grubx64.efi")]
    assert any("put HTTP Boot before PXE" in text for text in told)


def test_firmware_that_nobody_knows_is_shown_with_its_options() -> None:
    odd = node(State.DISCOVERED, id=2, macs=(STRANGER,), spec=None, facts={"unknown": "60=X 93=FF"})
    told = found(fleet(odd))
    assert (Level.DOUBTFUL) in [level for level, _ in told]
    assert any("is not answered: 60=X 93=FF" in text for _, text in told)


def test_without_machines_there_is_nothing_to_miss() -> None:
    assert [level for level, _ in found(fleet())] == [Level.FINE]


def test_a_loader_for_a_machine_that_nobody_named_is_a_doubt() -> None:
    stranger = node(State.DISCOVERED, id=2, macs=(STRANGER,), spec=None, facts=UEFI)
    (level, text) = found(fleet(stranger))[0]
    assert level is Level.DOUBTFUL
    assert "would get no answer once named" in text
