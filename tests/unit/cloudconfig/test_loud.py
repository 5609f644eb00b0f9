import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kairos_netboot.cloudconfig.check import check
from kairos_netboot.cloudconfig.loud import refusal
from kairos_netboot.cloudconfig.yamlnodes import find, parse, to_value


def test_the_whole_document() -> None:
    assert (
        refusal("this address is of an earlier boot")
        == """\
#cloud-config
config_url: ""
install:
  auto: true
  device: "/dev/kairos-netboot/refused-this-address-is-of-an-earlier-boot"
users:
- name: "kairos"
  groups:
  - "admin"
stages:
  kairos-install.pre:
  - name: "kairos-netboot: say why nothing is installed"
    commands:
    - "printf '\\\\n%s\\\\n\\\\n' 'kairos-netboot gave this machine no configuration: this address\
 is of an earlier boot' > /dev/console || true"
"""
    )


@settings(max_examples=50)
@given(st.text())
@example("")
@example("it's {{ .Values }}\n$(reboot) `x` \x1b[2J\"")
@example("/../../sda")
@example("x" * 5000)
def test_no_reason_makes_it_install_anything(reason: str) -> None:
    root = parse(refusal(reason), "refusal")
    device = to_value(find(root, "install", "device"))
    assert isinstance(device, str)
    assert device.startswith("/dev/kairos-netboot/refused-")
    assert device.count("/") == 3
    assert to_value(find(root, "install")) == {"auto": True, "device": device}
    assert to_value(find(root, "config_url")) == ""


def test_kairos_first_checks_pass_so_that_the_last_is_what_people_read() -> None:
    found = check(parse(refusal("stale"), "refusal"))
    assert [finding.key for finding in found] == ["install.reboot"]


@pytest.mark.parametrize("reason", ["it's {{ x }}", '$(echo no) `no` "q" \\n', "a\nb\x1b[2J"])
def test_the_hook_says_the_reason_and_does_nothing_else(reason: str) -> None:
    text = to_value(
        find(parse(refusal(reason), "x"), "stages", "kairos-install.pre", 0, "commands", 0)
    )
    assert isinstance(text, str)
    assert "{{" not in text
    said = subprocess.run(
        ["/bin/sh", "-c", text.replace("/dev/console", "/dev/stdout")],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    expected = " ".join(reason.replace("{{", "{ {").replace("\x1b", "").split())
    assert said == f"\nkairos-netboot gave this machine no configuration: {expected}\n\n"
