"""Which keys of a profile go with which family: each mistake, and its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from kairos_netboot.boot.actions import Action
from kairos_netboot.boot.families import FAMILIES
from kairos_netboot.boot.site import Profile
from kairos_netboot.cli.site import check_documents
from kairos_netboot.config.sitefile import load_site
from kairos_netboot.errors import SiteMistake

Read: TypeAlias = Callable[..., Profile]
IMAGES = """\
images:
  small: files:kernel=k,initrd=i
  whole: files:kernel=k,initrd=i,rootfs=r
  one: uki:one.efi
profiles:
  it:
"""
TALOS = "family: talos\nimage: small\ndocument: it.txt"
FLATCAR = "family: flatcar\nimage: small\ndocument: it.txt\ndisks: /dev/sda"
EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    (tmp_path / "it.txt").write_text("text\n")

    def reading(lines: str) -> Profile:
        site = tmp_path / "site.yaml"
        site.write_text(IMAGES + "".join(f"    {line}\n" for line in lines.splitlines()))
        return load_site(site, ()).profiles["it"]

    return reading


def test_each_family_is_read(read: Read) -> None:
    for family in ("talos", "generic"):
        assert read(TALOS.replace("talos", family)).family == family
    for family in ("flatcar", "fedora-coreos", "k3os"):
        assert read(FLATCAR.replace("flatcar", family)).family == family
    found = read(TALOS)
    assert [template.text for template in found.templates] == ["text\n"]
    assert found.action is Action.INSTALL


def test_without_a_family_it_is_kairos(read: Read) -> None:
    assert read("image: whole\ncloud-config: it.txt").family == "kairos"


def test_kernel_arguments_that_mean_something_to_kairos_mean_nothing_here(read: Read) -> None:
    assert read(TALOS + "\nkernel-args: [kairos.reset]").kernel_args == ("kairos.reset",)
    with pytest.raises(SiteMistake, match=r"kairos\.reset"):
        read("image: whole\nkernel-args: [kairos.reset]")


def test_a_generic_system_needs_no_document(read: Read) -> None:
    assert read("family: generic\nimage: small").templates == ()


def test_talos_waits_in_memory_without_a_document(read: Read) -> None:
    assert read("family: talos\nimage: small\naction: ram").action is Action.RAM


def test_a_menu_offers_what_the_family_has(read: Read) -> None:
    menu = "\naction: menu\nmenu: {items: [local, install, ram]}"
    assert read(FLATCAR + menu).menu.items == (Action.LOCAL, Action.INSTALL, Action.RAM)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("family: haiku\nimage: small", r"family: 'haiku' is not known here; known: kairos, talos"),
        ("image: small", "it.image: has no rootfs, which Kairos boots from"),
        ("image: whole\ndocument: it.txt", "it.document: is for other families"),
        (f"{TALOS}\ncloud-config: it.txt", "it.cloud-config: is for family kairos alone"),
        (f"{TALOS}\nnetwork: {{ip: dhcp}}", "it.network: is for family kairos alone"),
        (f"{TALOS}\ndocument-key: {'a' * 32}", "it.document-key: is for family kairos alone"),
        (f"{TALOS}\nphone-home: {{enabled: true}}", "it.phone-home: is for family kairos alone"),
        (f"{TALOS}\nram: {{partitions: auto}}", "it.ram: is for family kairos alone"),
        (f"{TALOS}\nssh-keys: []", "it.ssh-keys: is for family kairos alone"),
        (TALOS.replace("small", "one"), "it.image: is one file that firmware starts"),
        (f"{TALOS}\naction: rescue", "it.action: talos has no 'rescue' here: install, ram"),
        (f"{TALOS}\naction: wipe", "it.action: talos has no 'wipe' here"),
        (f"{FLATCAR}\naction: shell", "it.action: flatcar has no 'shell' here"),
        (
            FLATCAR.replace("flatcar", "k3os") + "\naction: ram",
            "it.action: k3os has no 'ram' here: install, local, menu",
        ),
        (f"{TALOS}\naction: menu", "it.action: talos has no 'rescue' here"),
        (
            f"{TALOS}\naction: menu\nmenu: {{items: [local, shell]}}",
            "it.menu: talos has no 'shell' here: install, ram, local",
        ),
        ("family: talos\nimage: small", "it: 'document' is missing: talos is installed by its"),
        (
            TALOS.replace("it.txt", "[it.txt, it.txt]"),
            "it.document: talos takes one machine config, and nothing here merges several",
        ),
        (f"{TALOS}\naction: ram", "it.document: Talos would install by it"),
        (f"{TALOS}\ndisks: /dev/sda", "it.disks: is nothing that talos is told here"),
        (
            FLATCAR.replace("disks: /dev/sda", ""),
            "it: `disks` names the one disk that flatcar is installed on",
        ),
        (
            FLATCAR.replace("/dev/sda", "[/dev/sda, /dev/sdb]"),
            "it.disks: `disks` names the one disk that flatcar is installed on",
        ),
        (
            f"{TALOS}\nkernel-args: ['x={{{{ nobody }}}}']",
            r"kernel-args\[0\]: kernel-args have '\{\{ nobody \}\}'",
        ),
        (f"{TALOS}\nkernel-args: ['x={{{{ a-b }}}}']", r"kernel-args\[0\]: a place in a kernel"),
    ],
)
def test_each_mistake_has_its_place(read: Read, lines: str, words: str) -> None:
    with pytest.raises(SiteMistake, match=rf"site\.yaml:\d+: .*{words}"):
        read(lines)


def test_in_memory_flatcar_needs_no_disk(read: Read) -> None:
    assert read("family: flatcar\nimage: small\naction: ram").disks == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_an_example_whose_documents_pass(family: str) -> None:
    site = load_site(EXAMPLES / family / "site.yaml", ())
    assert {profile.family for profile in site.profiles.values()} == {family}
    assert {node.profile for node in site.nodes.values()} == set(site.profiles)
    assert check_documents(site) == []
