"""The JSON schema and the reader agree on keys: both come from config/keys.py."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest

from kairos_netboot.config.keys import SECTIONS, names
from kairos_netboot.config.resources import load_recipes
from kairos_netboot.config.schema import json_schema, reference
from kairos_netboot.config.sitefile import load_site
from kairos_netboot.errors import SiteMistake

SCHEMA = json_schema()
SITE = {
    "images": {"debian": "oci:debian"},
    "profiles": {"server": {"image": "debian"}},
    "nodes": {"k1": {"macs": "52:54:00:00:00:01", "profile": "server"}},
}


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_mapping_of_it_stands_somewhere() -> None:
    used = {key.section for keys in SECTIONS.values() for key in keys if key.section}
    assert used | {"site"} == set(SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
def test_no_key_is_there_twice_or_without_a_word(section: str) -> None:
    assert len(set(names(section))) == len(names(section))
    assert all(key.says and not key.says.endswith(".") for key in SECTIONS[section])


@pytest.mark.parametrize(
    "site",
    [
        SITE,
        {},
        {"images": None},
        {"images": {"debian": {"source": "oci:debian", "platform": "arm64"}}},
        {"profiles": {"a": {"image": "debian", "exit": {"uefi": "grub"}, "cloud-config": ["b"]}}},
        {"profiles": {"a": {"image": "debian", "match": {"arch": "arm64"}, "timeout": "30m"}}},
        {"profiles": {"a": {"image": "debian", "match": [{"arch": "arm64"}], "timeout": 90}}},
        {"unknown": "inventory"},
        {"unknown": {"others": "ignore", "networks": {"10.0.0.0/8": "inventory"}}},
        {"boot": "shim"},
        {"boot": {"bios": "my.kpxe"}},
        {"dhcp": {"mode": "proxy", "subnets": {"10.0.0.0/8": {"mtu": 9000}}}},
        {"webhooks": [{"url": "https://host/path", "events": "ready"}]},
    ],
)
def test_what_people_write_fits(site: dict[str, object]) -> None:
    jsonschema.validate(site, SCHEMA)


@pytest.mark.parametrize(
    "site",
    [
        {"imagse": {}},
        {"images": {"debian": {"platform": "arm64"}}},
        {"images": {"debian": {"source": "oci:x", "compression": "bzip2"}}},
        {"profiles": {"server": {"image": "debian", "timeout": "soon"}}},
        {"profiles": {"server": {"image": "debian", "action": "explode"}}},
        {"nodes": {"k1": {"macs": "52:54:00:00:00:01", "power": {"address": "x"}}}},
        {"dhcp": {"check-address": "yes"}},
    ],
)
def test_what_is_none_does_not_fit(site: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(site, SCHEMA)


@pytest.mark.parametrize("section", sorted({"site", "profile", "node", "image", "cluster", "dhcp"}))
def test_the_reader_takes_no_key_that_the_schema_does_not_know(
    section: str, tmp_path: Path
) -> None:
    at = {
        "site": "{}: 1",
        "profile": "profiles: {{p: {{{}: 1}}}}",
        "node": "nodes: {{n: {{{}: 1}}}}",
        "image": "images: {{i: {{{}: 1}}}}",
        "cluster": "clusters: {{c: {{{}: 1}}}}",
        "dhcp": "dhcp: {{{}: 1}}",
    }[section]
    (tmp_path / "site.yaml").write_text(at.format("no-such-key"))
    with pytest.raises(SiteMistake, match="no such key"):
        load_site(tmp_path / "site.yaml", load_recipes().recipes)


def test_no_cell_of_the_reference_is_broken_by_a_bar() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) == sum(map(len, SECTIONS.values()))
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}
