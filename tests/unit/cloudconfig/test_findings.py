from kairos_netboot.cloudconfig.findings import error, warning
from kairos_netboot.cloudconfig.yamlnodes import parse


def test_a_finding_reads_as_place_key_message() -> None:
    node = parse("\n\na: 1", "base.yaml")
    assert str(error(node, "install.auto", "it must be true")) == (
        "base.yaml:3: install.auto: it must be true"
    )


def test_a_finding_about_a_whole_file_has_no_key() -> None:
    assert str(warning(parse("a: 1", "base.yaml"), "", "odd")) == "base.yaml:1: odd"


def test_only_errors_are_errors() -> None:
    node = parse("a: 1", "base.yaml")
    assert error(node, "", "x").is_error
    assert not warning(node, "", "x").is_error
