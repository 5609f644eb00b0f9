import pytest

from kairos_netboot.cloudconfig.checkinstall import check_install
from kairos_netboot.cloudconfig.findings import Finding
from kairos_netboot.cloudconfig.yamlnodes import parse

DEVICE = "device: /dev/disk/by-id/nvme-x"
GOOD = f"auto: true, reboot: true, {DEVICE}"


def findings(install: str) -> list[Finding]:
    return list(check_install(parse(f"install: {{{install}}}", "a.yaml")))


def errors(install: str) -> list[str]:
    return [f"{f.key}: {f.message}" for f in findings(install) if f.is_error]


def warnings(install: str) -> list[str]:
    return [f"{f.key}: {f.message}" for f in findings(install) if not f.is_error]


@pytest.mark.parametrize("end", ["reboot: true", "poweroff: true", "reboot: true, poweroff: false"])
def test_an_unattended_install_passes(end: str) -> None:
    assert findings(f"auto: true, {end}, {DEVICE}") == []


@pytest.mark.parametrize("text", ["hostname: x", "install:", "install: null"])
def test_a_missing_block_is_one_error(text: str) -> None:
    (finding,) = check_install(parse(text, "a.yaml"))
    assert finding.message == "it is missing: add 'install: {auto: true, reboot: true}'"


def test_a_block_that_is_no_mapping_is_one_error() -> None:
    (finding,) = check_install(parse("install: [auto]", "a.yaml"))
    assert finding.message == "a list is here: write a mapping"


@pytest.mark.parametrize("auto", ["", "auto: false,", "auto: ,"])
def test_without_auto_the_installer_would_wait(auto: str) -> None:
    assert errors(f"{auto} reboot: true, {DEVICE}") == [
        "install.auto: it must be true: the installer would wait for someone at the console"
    ]


@pytest.mark.parametrize("word", ["yes", "on", "'true'", "1"])
def test_what_looks_true_and_is_not_is_an_error(word: str) -> None:
    assert "install.reboot" in errors(f"auto: true, reboot: {word}, {DEVICE}")[0]
    assert "write true or false" in errors(f"auto: true, reboot: {word}, {DEVICE}")[0]


@pytest.mark.parametrize("end", ["", "reboot: false", "reboot: false, poweroff: false"])
def test_without_an_end_the_installer_would_stop(end: str) -> None:
    assert errors(f"auto: true, {DEVICE}, {end}") == [
        "install.reboot: set reboot or poweroff to true: the installer would stop at 'press enter'"
    ]


def test_reboot_and_poweroff_exclude_each_other() -> None:
    assert errors(f"{GOOD}, poweroff: true") == [
        "install.poweroff: reboot is true too: keep one of them"
    ]


@pytest.mark.parametrize("device", ["", ", device: auto", ", device: ''", ", device: "])
def test_an_unnamed_disk_is_a_warning(device: str) -> None:
    assert warnings(f"auto: true, reboot: true{device}") == [
        "install.device: the largest disk wins, which may be a USB stick: "
        "name one, like /dev/disk/by-id/…"
    ]


@pytest.mark.parametrize("device", ["/dev/vda", "script:///usr/bin/pick", "/dev/disk/by-path/x"])
def test_a_named_disk_passes(device: str) -> None:
    assert findings(f"auto: true, reboot: true, device: '{device}'") == []


@pytest.mark.parametrize("device", ["sda", "/dev/", "5", "[/dev/sda]"])
def test_a_device_that_is_no_path_is_an_error(device: str) -> None:
    assert "write auto, /dev/…" in errors(f"auto: true, reboot: true, device: {device}")[0]


@pytest.mark.parametrize("link", ["by-partlabel/state", "by-partuuid/1-2"])
def test_a_partition_is_refused(link: str) -> None:
    assert errors(f"auto: true, reboot: true, device: /dev/disk/{link}") == [
        f"install.device: /dev/disk/{link} is a partition, which Kairos refuses: name a disk"
    ]


@pytest.mark.parametrize("link", ["by-label/DATA", "by-uuid/1-2"])
def test_a_file_system_is_a_warning(link: str) -> None:
    (told,) = warnings(f"auto: true, reboot: true, device: /dev/disk/{link}")
    assert "a blank disk has not" in told


def test_a_source_passes_and_an_image_is_told_to_be_ignored() -> None:
    assert findings(f"{GOOD}, source: 'oci:x'") == []
    assert warnings(f"{GOOD}, image: 'oci:x'") == [
        "install.image: Kairos ignores it, whatever its schema says: write 'source'"
    ]


def test_no_format_is_written_with_a_hyphen() -> None:
    assert findings(f"{GOOD}, no-format: true") == []
    assert warnings(f"{GOOD}, no_format: true") == [
        "install.no_format: Kairos ignores it, whatever its schema says: write 'no-format'"
    ]


def test_a_key_near_a_known_one_is_a_warning() -> None:
    assert warnings(f"{GOOD}, grub-options: {{}}") == [
        "install.grub-options: Kairos knows no such key; nearest: 'grub_options'"
    ]


def test_a_system_uri_is_deprecated() -> None:
    assert findings(f"{GOOD}, system: {{source: 'oci:x'}}") == []
    assert warnings(f"{GOOD}, system: {{uri: 'oci:x'}}") == [
        "install.system.uri: it is deprecated: write 'source'"
    ]


def test_grub_options_are_known_by_name() -> None:
    assert findings(f"{GOOD}, grub_options: {{extra_cmdline: quiet}}") == []
    assert warnings(f"{GOOD}, grub_options: {{extra_cmdlin: quiet}}") == [
        "install.grub_options.extra_cmdlin: no such option; nearest: 'extra_cmdline'"
    ]
    assert "known: default_fallback, " in warnings(f"{GOOD}, grub_options: {{zebra: 1}}")[0]


SIZED = "partitions: {persistent: {size: 1000}}"


@pytest.mark.parametrize(
    "partitions",
    [
        "extra-partitions: []",
        "extra-partitions: [{name: a, size: 10}, {name: b, size: 20}]",
        f"{SIZED}, extra-partitions: [{{name: a, size: 10}}, {{name: b, size: 0}}]",
        f"{SIZED}, extra-partitions: [{{name: a}}]",
    ],
)
def test_partitions_of_which_one_takes_the_rest_pass(partitions: str) -> None:
    assert findings(f"{GOOD}, {partitions}") == []


@pytest.mark.parametrize(
    "partitions",
    [
        "extra-partitions: [{name: a, size: 0}]",
        "extra-partitions: [{name: a}]",
        f"{SIZED}, extra-partitions: [{{name: a, size: 0}}, {{name: b, size: 0}}]",
    ],
)
def test_two_partitions_cannot_take_the_rest(partitions: str) -> None:
    (told,) = errors(f"{GOOD}, {partitions}")
    assert "two partitions would take the rest of the disk" in told


def test_an_extra_partition_has_a_name() -> None:
    assert errors(f"{GOOD}, extra-partitions: [{{size: 10}}]") == [
        "install.extra-partitions[0]: this partition has no name: add 'name: data'"
    ]


def test_extra_partitions_are_a_list() -> None:
    assert errors(f"{GOOD}, extra-partitions: {{name: a}}") == [
        "install.extra-partitions: a mapping is here: write a list"
    ]
