import pytest

from kairos_netboot.cloudconfig.yamlnodes import parse
from kairos_netboot.config.located import Located
from kairos_netboot.errors import SiteMistake


def site(text: str) -> Located:
    return Located(node=parse(text, "site.yaml", SiteMistake))


def test_a_mistake_names_file_line_and_key() -> None:
    nodes = site("a: 1\nnodes:\n  rack1:\n    macs: 5\n").fields("a", "nodes")["nodes"]
    rack = dict(nodes.entries())["rack1"]
    with pytest.raises(SiteMistake) as caught:
        rack.fields("macs")["macs"].elements()
    assert str(caught.value) == (
        "site.yaml:4: nodes.rack1.macs: '5' is here: write a list (- item)"
    )


def test_an_unknown_key_names_the_nearest_on_its_own_line() -> None:
    with pytest.raises(SiteMistake) as caught:
        site("images: {}\nprofile:\n  x: 1\n").fields("images", "profiles")
    assert str(caught.value) == "site.yaml:2: profile: no such key; nearest: 'profiles'"


def test_an_unknown_key_like_no_other_names_them_all() -> None:
    with pytest.raises(SiteMistake) as caught:
        site("zebra: 1\n").fields("images", "profiles")
    assert str(caught.value) == "site.yaml:1: zebra: no such key; known: images, profiles"


def test_a_text_keeps_its_spelling() -> None:
    entries = dict(site("mac: 525400123456\nmode: 0644\n").entries())
    assert entries["mac"].text() == "525400123456"
    assert entries["mode"].text() == "0644"


def test_an_item_is_named_by_its_position() -> None:
    with pytest.raises(SiteMistake, match=r"^site.yaml:2: a\[1\]: a mapping is here"):
        dict(site("a: [x,\n {y: 1}]\n").entries())["a"].elements()[1].text()


def test_flags_and_choices_are_read() -> None:
    entries = dict(site("f: true\nc: exit\n").entries())
    assert entries["f"].flag() is True
    assert entries["c"].choice("exit", "silence") == "exit"


def test_yes_is_no_flag() -> None:
    with pytest.raises(SiteMistake, match="the text 'yes' is here: write true or false"):
        dict(site("f: yes\n").entries())["f"].flag()


def test_a_wrong_choice_names_the_nearest() -> None:
    with pytest.raises(SiteMistake, match="'silense' is not known here; nearest: 'silence'"):
        dict(site("c: silense\n").entries())["c"].choice("exit", "silence")


def test_nothing_is_an_empty_mapping_and_an_empty_list_but_no_text() -> None:
    nothing = dict(site("a:\n").entries())["a"]
    assert nothing.empty
    assert list(nothing.entries()) == []
    assert nothing.elements() == []
    with pytest.raises(SiteMistake, match="nothing is here: write a text"):
        nothing.text()


def test_a_list_is_no_mapping() -> None:
    with pytest.raises(SiteMistake, match=r"^site.yaml:1: a list is here: write a mapping"):
        list(site("- a\n").entries())


def test_a_value_is_given_whole() -> None:
    assert dict(site("v: {a: [1, yes]}\n").entries())["v"].value() == {"a": [1, "yes"]}
