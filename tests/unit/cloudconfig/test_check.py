import pytest

from kairos_netboot.cloudconfig.check import check, check_config_url, check_header
from kairos_netboot.cloudconfig.yamlnodes import parse

GOOD = """\
users:
- name: kairos
  groups: [admin]
install: {auto: true, reboot: true, device: /dev/disk/by-id/x}
"""


def lines(text: str) -> list[str]:
    return [str(finding) for finding in check(parse(text, "a.yaml"))]


def test_a_good_document_has_no_findings() -> None:
    assert lines(GOOD) == []


def test_a_key_near_a_known_one_is_told_where_it_stands() -> None:
    assert lines(GOOD + "hostnam:\n  x\n") == [
        "a.yaml:5: hostnam: Kairos knows no such key; nearest: 'hostname'"
    ]


@pytest.mark.parametrize("key", ["k3s", "hostname", "x-anything", "our_own"])
def test_known_keys_and_those_like_no_other_pass(key: str) -> None:
    assert lines(GOOD + f"{key}: {{}}\n") == []


@pytest.mark.parametrize("header", ["#cloud-config", "#kairos-config", "#node-config  "])
def test_a_header_in_the_tenth_line_will_do(header: str) -> None:
    assert list(check_header("# x\n" * 9 + header + "\n", "a.yaml")) == []


@pytest.mark.parametrize(
    "text", ["a: 1\n", "# cloud-config\n", "#cloud-config: x\n", "# x\n" * 10 + "#cloud-config\n"]
)
def test_a_missing_or_late_header_is_an_error(text: str) -> None:
    assert [str(finding) for finding in check_header(text, "a.yaml")] == [
        "a.yaml:1: no line '#cloud-config' among the first ten: make it the first"
    ]


@pytest.mark.parametrize("value", ['""', "", "null"])
def test_an_empty_config_url_passes(value: str) -> None:
    assert list(check_config_url(parse(f"config_url: {value}\n", "a.yaml"))) == []


def test_a_config_url_is_an_error() -> None:
    (finding,) = check_config_url(parse("\nconfig_url: http://a/b\n", "a.yaml"))
    assert finding.is_error
    assert str(finding).startswith("a.yaml:2: config_url: remove it")


@pytest.mark.parametrize("value", ["5", "text", "[a]", "{a: 1}", ""])
@pytest.mark.parametrize("key", ["users", "install", "stages"])
def test_whatever_stands_there_is_told_not_tripped_over(key: str, value: str) -> None:
    assert isinstance(lines(f"{key}: {value}\n"), list)
