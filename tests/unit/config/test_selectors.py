"""`match`, `hostname`, `unknown`, nodes known by what their firmware says: mistakes with places."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from kairos_netboot.boot.site import Site
from kairos_netboot.boot.unknown import Selector, Unknown
from kairos_netboot.config.sitefile import load_site
from kairos_netboot.errors import SiteMistake

SITE = """\
images: {{debian: "registry.example/debian:12"}}
profiles:
  plain: {{image: debian}}
  rack:
    image: debian
    variables: {{site: ber, floor: 2, odd: "A 1"}}
    {profile}
nodes:
  alpha: {node}
{site}
"""
NAMED = "{macs: '52:54:00:00:00:01', profile: plain}"


def load(tmp_path: Path, profile: str = "", node: str = NAMED, site: str = "") -> Site:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(profile=profile, node=node, site=site))
    return load_site(path, [])


def match(tmp_path: Path, text: str) -> tuple[Selector, ...]:
    return load(tmp_path, f"match: {text}").profiles["rack"].match


def test_a_selector_asks_for_facts_a_subnet_and_labels(tmp_path: Path) -> None:
    text = "{manufacturer: 'Dell*', mac: '3C-EC-EF', subnet: 10.1.0.0/16, labels: {rack: 'r7*'}}"
    assert match(tmp_path, text) == (
        Selector(
            facts={"manufacturer": "Dell*", "mac": "3c-ec-ef"},
            subnet=IPv4Network("10.1.0.0/16"),
            labels={"rack": "r7*"},
        ),
    )


def test_several_selectors_are_a_list(tmp_path: Path) -> None:
    found = match(tmp_path, "[{arch: arm64}, {firmware: 'u*'}]")
    assert [selector.facts for selector in found] == [{"arch": "arm64"}, {"firmware": "u*"}]


def test_the_first_bytes_of_a_card_may_look_like_a_number_to_yaml(tmp_path: Path) -> None:
    assert match(tmp_path, "{mac: 52:54:00}")[0].facts == {"mac": "52:54:00"}


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[]", "match: nothing is asked for here: name facts, or leave `match` out"),
        ("{}", "match: nothing is asked for here, so every machine would fit"),
        ("[{}]", "match[0]: nothing is asked for here"),
        ("{labels: {}}", "every machine would fit"),
        ("{vendr: Intel}", "match.vendr: no such key; nearest: 'vendor'"),
        ("{product: ''}", "match.product: '' is no pattern"),
        ('{product: "a\\tb"}', "'a b' is no pattern"),
        ("{product: 'R[67]50'}", "'[' means nothing in a pattern: * stands for any letters"),
        ("{product: 'Dell.*'}", "'.*' means nothing in a pattern"),
        ("{product: 'a|b'}", "a list of selectors for alternatives"),
        ("{arch: x86_64}", "match.arch: 'x86_64' is no arch; known: amd64, arm64, riscv64"),
        ("{firmware: efi}", "match.firmware: 'efi' is no firmware"),
        ("{mac: '52:54:0'}", "match.mac: '52:54:0' is no MAC address and no first bytes"),
        ("{mac: 'Intel*'}", "is no MAC address"),
        ("{mac: '52:54:00:00:00:00:01'}", "is no MAC address"),
        ("{uuid: 1234}", "match.uuid: '1234' is no UUID of one machine"),
        ("{subnet: 10.1.0.5/16}", "match.subnet: no network like 192.168.77.0/24"),
        ("{subnet: 10.1.0.0/33}", "match.subnet: no network"),
        ("{labels: {'a b': x}}", "'a b' is no label"),
        ("{labels: {rack: 'r[1]'}}", "'[' means nothing"),
    ],
)
def test_mistakes_of_a_selector(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(SiteMistake) as error:
        match(tmp_path, text)
    assert mistake in str(error.value)
    assert "site.yaml:7: profiles.rack.match" in str(error.value)


@pytest.mark.parametrize(
    "pattern",
    [
        "{{ rack }}-{{ index }}",
        "{{ site }}{{ floor }}-{{ '%02d' % index }}",
        "node-{{ mac }}",
        "{{ serial }}.{{ site }}.example",
        "{% if rack %}{{ rack }}-{% endif %}{{ index }}",
    ],
)
def test_patterns_of_names(tmp_path: Path, pattern: str) -> None:
    site = load(tmp_path, f'hostname: "{pattern}"')
    assert site.profiles["rack"].hostname == pattern


@pytest.mark.parametrize(
    ("pattern", "mistake"),
    [
        ("only", "every machine would be 'only': put {{ index }}"),
        ("Rack-{{ index }}", "it gives names like 'Rack-1', which are none"),
        ("r_{{ index }}", "it gives names like 'r_1'"),
        ("{{ odd }}-{{ index }}", "it gives names like 'A 1-1'"),
        ("{{ rack.nr }}", "no pattern of names"),
        ("{{ index", "no pattern of names"),
        ("{{ index | nofilter }}", "no filter is named 'nofilter'"),
        ("{{ index }}" + "x" * 64, "it gives names like"),
        ("{{ index }}" + "x" * 200, "one line of at most 200"),
    ],
)
def test_mistakes_of_a_pattern(tmp_path: Path, pattern: str, mistake: str) -> None:
    with pytest.raises(SiteMistake) as error:
        load(tmp_path, f'hostname: "{pattern}"')
    assert "site.yaml:7: profiles.rack.hostname: " in str(error.value)
    assert mistake in str(error.value)


def test_machines_nobody_named_may_get_a_word_for_everybody(tmp_path: Path) -> None:
    assert load(tmp_path).unknown == Unknown()
    assert load(tmp_path, site="unknown: inventory").unknown == Unknown(others="inventory")
    assert load(tmp_path, site="unknown: rack").unknown == Unknown(others="rack")


def test_networks_may_have_words_of_their_own(tmp_path: Path) -> None:
    text = "unknown: {others: inventory, networks: {10.1.0.0/16: rack}, approval: true}"
    assert load(tmp_path, site=text).unknown == Unknown(
        others="inventory", networks={IPv4Network("10.1.0.0/16"): "rack"}, approval=True
    )


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("rak", "unknown: 'rak' is not known here; nearest: 'rack'"),
        ("{others: nobody}", "unknown.others: 'nobody' is not known here"),
        ("{networks: {10.1.0.0/16: rak}}", "nearest: 'rack'"),
        ("{networks: {lan: rack}}", "no network like 192.168.77.0/24"),
        ("{networks: {10.1.0.5/16: rack}}", "has host bits set"),
        ("{networks: {10.1.0.0/16: rack, 10.1.0.0/255.255.0.0: plain}}", "is here twice"),
        ("{approval: maybe}", "unknown.approval: "),
        ("{network: {}}", "unknown.network: no such key; nearest: 'networks'"),
    ],
)
def test_mistakes_of_what_is_done_with_unknown_machines(
    tmp_path: Path, text: str, mistake: str
) -> None:
    with pytest.raises(SiteMistake) as error:
        load(tmp_path, site=f"unknown: {text}")
    assert "site.yaml:10: unknown" in str(error.value)
    assert mistake in str(error.value)


def test_a_profile_must_not_have_a_name_that_means_something_else(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(
        "images: {debian: a}\nprofiles: {inventory: {image: debian}}\nunknown: inventory\n"
    )
    with pytest.raises(SiteMistake, match="is a word of ours, and a profile's name"):
        load_site(tmp_path / "site.yaml", [])


UUID = "4C4C4544-0042-3510-8052-B4C04F4E4D31"


def test_a_node_may_be_known_by_what_its_firmware_says(tmp_path: Path) -> None:
    site = load(tmp_path, node=f"{{uuid: {UUID}, profile: plain, labels: {{rack: r7}}}}")
    alpha = site.nodes["alpha"]
    assert (alpha.macs, alpha.uuid, alpha.labels) == ((), UUID.lower(), {"rack": "r7"})


def test_a_node_needs_no_profile_where_selectors_choose(tmp_path: Path) -> None:
    site = load(tmp_path, "match: {arch: amd64}", "{macs: '52:54:00:00:00:01'}")
    assert site.nodes["alpha"].profile == ""


@pytest.mark.parametrize(
    ("node", "mistake"),
    [
        ("{profile: plain}", "'macs' is missing, or its uuid, serial or asset"),
        ("{macs: '52:54:00:00:00:01'}", "'profile' is missing: no profile has a `match`"),
        ("{uuid: x, profile: plain}", "alpha.uuid: 'x' is no UUID of one machine"),
        (
            "{uuid: 00000000-0000-0000-0000-000000000000, profile: plain}",
            "is no UUID of one machine",
        ),
        ("{serial: '', profile: plain}", "alpha.serial: '' is no serial of a machine"),
        ('{asset: "a\\nb", profile: plain}', "is no asset of a machine"),
        ("{macs: '52:54:00:00:00:01', profile: plain, labels: {a: ''}}", "is no label's value"),
        ("{macs: '52:54:00:00:00:01', profile: plain, labels: {1a: b}}", "'1a' is no label"),
    ],
)
def test_mistakes_of_a_node(tmp_path: Path, node: str, mistake: str) -> None:
    with pytest.raises(SiteMistake) as error:
        load(tmp_path, node=node)
    assert "site.yaml:9: nodes.alpha" in str(error.value)
    assert mistake in str(error.value)


@pytest.mark.parametrize("key", ["uuid", "serial", "asset"])
def test_two_nodes_are_not_known_by_the_same_word(tmp_path: Path, key: str) -> None:
    turned = "44454c4c-4200-1035-8052-b4c04f4e4d31"
    first, second = (UUID, turned) if key == "uuid" else ("A1", "a1")
    node = f"{{{key}: {first}, profile: plain}}\n  beta: {{{key}: {second}, profile: plain}}"
    with pytest.raises(SiteMistake, match="is node alpha's already"):
        load(tmp_path, node=node)
