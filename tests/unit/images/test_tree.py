from __future__ import annotations

import pytest

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.tree import (
    Fresh,
    Inode,
    Kind,
    find,
    make_directories,
    new_root,
    prune,
    walk,
)


def directory(**children: Inode) -> Inode:
    return Inode(kind=Kind.DIRECTORY, children=children)


def link(target: str) -> Inode:
    return Inode(kind=Kind.SYMLINK, target=target)


def plain() -> Inode:
    return Inode(kind=Kind.FILE)


def where(root: Inode, path: str) -> str | None:
    found = find(root, path)
    return found.path if found else None


def test_an_absolute_link_starts_at_the_images_root() -> None:
    root = directory(boot=directory(vmlinuz=link("/boot/real"), real=plain()))
    assert where(root, "/boot/vmlinuz") == "/boot/real"


def test_a_relative_link_starts_beside_itself() -> None:
    root = directory(boot=directory(vmlinuz=link("../usr/real")), usr=directory(real=plain()))
    assert where(root, "/boot/vmlinuz") == "/usr/real"


def test_links_to_links_and_through_linked_directories_are_followed() -> None:
    root = directory(
        boot=link("sys/boot"),
        sys=directory(boot=directory(a=link("b"), b=link("/alias/c"), c=plain())),
        alias=link("boot"),
    )
    assert where(root, "boot/a") == "/sys/boot/c"


def test_no_link_leads_out_of_the_image() -> None:
    root = directory(etc=directory(x=link("../../../../etc/y"), y=plain()))
    assert where(root, "/etc/x") == "/etc/y"


def test_what_is_missing_or_dangling_is_not_found() -> None:
    root = directory(a=link("nowhere"), f=plain())
    assert where(root, "/b") is None
    assert where(root, "/a") is None
    assert where(root, "/f/below-a-file") is None


@pytest.mark.parametrize("path", ["a", "self/x"])
def test_a_loop_of_links_is_an_error(path: str) -> None:
    root = directory(a=link("b"), b=link("/a"), self=link("self"))
    with pytest.raises(ImageProblem, match="loop of symbolic links"):
        find(root, path)


def test_a_loop_is_an_error_where_directories_are_made_too() -> None:
    with pytest.raises(ImageProblem, match="loop of symbolic links"):
        make_directories(directory(a=link("a")), ["a", "b"], Fresh())


def test_missing_directories_are_made_where_a_link_points() -> None:
    root = directory(lib=link("/usr/lib"))
    fresh = Fresh()
    made = make_directories(root, ["lib", "new"], fresh)
    found = find(root, "/usr/lib/new")
    assert found is not None
    assert found.inode is made
    assert fresh[root] == {"usr"}


def test_pruning_keeps_what_this_layer_brought_and_the_way_there() -> None:
    deep = directory(new=plain(), old=plain())
    top = directory(way=deep, old=directory(x=plain()), file=plain())
    fresh = Fresh()
    fresh[deep].add("new")
    prune(top, fresh)
    assert [path for path, _ in walk(top)] == ["way", "way/new"]


def test_a_walk_names_parents_before_children_in_order() -> None:
    root = directory(b=directory(x=plain(), a=plain()), a=plain())
    assert [path for path, _ in walk(root)] == ["a", "b", "b/a", "b/x"]
    assert list(walk(new_root())) == []
