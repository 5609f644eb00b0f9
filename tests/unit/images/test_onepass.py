"""One pass over the layers, against the two passes that any layers can be merged with."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.layers import index_layers
from kairos_netboot.images.merge import write_tar
from kairos_netboot.images.onepass import NotPlain, write_plain
from tests.images_factory import (
    CAPABILITY,
    Entry,
    device,
    fifo,
    file,
    folder,
    hardlink,
    kairos_entries,
    opaque,
    stored,
    symlink,
    whiteout,
)

Layers = Sequence[Sequence[Entry]]
Tree = dict[str, tuple[object, ...]]


def one_pass(layers: Layers) -> Tree:
    out = io.BytesIO()
    write_plain(stored(*layers), out)
    return tree_of(out.getvalue())


def two_passes(layers: Layers) -> Tree:
    out, packed = io.BytesIO(), stored(*layers)
    write_tar(index_layers(packed), packed, out)
    return tree_of(out.getvalue())


def tree_of(data: bytes) -> Tree:
    """Every path with all that can be told of it; hard links by the names that share an inode."""
    found: Tree = {}
    groups: dict[str, set[str]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info in tar:
            assert info.name not in found, "a path comes twice"
            if info.islnk():
                groups.setdefault(info.linkname, {info.linkname}).add(info.name)
                found[info.name] = ("link",)
                continue
            content = tar.extractfile(info) if info.isreg() else None
            kept = (info.type, info.mode, info.uid, info.gid, info.mtime, info.linkname)
            more = (info.devmajor, info.devminor, tuple(sorted(info.pax_headers.items())))
            found[info.name] = (*kept, *more, content.read() if content else b"")
    for first, names in groups.items():
        shared = (*found[first], frozenset(names))
        found |= dict.fromkeys(names, shared)
    return found


def same(layers: Layers) -> Tree:
    found = one_pass(layers)
    assert found == two_passes(layers)
    return found


DOCKER = [
    [*kairos_entries(), folder("./srv"), file("./srv/old", b"1"), file("./srv/gone", b"2")],
    [
        folder("srv", mode=0o711),
        file("srv/old", b"changed"),
        whiteout("srv/gone"),
        folder("srv/new"),
        file("srv/new/a", b"a", xattrs={"security.capability": CAPABILITY}),
        hardlink("srv/new/b", "srv/new/a"),
        symlink("srv/new/c", "a"),
    ],
    [folder("srv"), folder("srv/new"), opaque("srv/new"), file("srv/new/z", b"z")],
]


def test_layers_as_docker_writes_them_are_plain() -> None:
    found = same(DOCKER)
    assert "srv/gone" not in found
    assert "srv/new/a" not in found
    assert found["srv/old"][-1] == b"changed"


@pytest.mark.parametrize(
    "layers",
    [
        [[folder("a"), file("a/x", b"1")], [file("a", b"2")], [folder("a"), file("a/y", b"3")]],
        [[file("a", b"1")], [folder("a"), file("a/x", b"2")]],
        [[folder("a"), file("a/x", b"1")], [symlink("a", "b")]],
        [[folder("a"), file("a/x")], [whiteout("a"), folder("a"), file("a/y")]],
        [[folder("a"), file("a/x")], [folder("a"), file("a/y"), opaque("a")]],
        [[folder("a"), folder("a/b"), file("a/b/x")], [whiteout("a")], [folder("a")]],
        [[file("a/b/c", b"undeclared parents")], [folder("a", mode=0o700)]],
        [[file("a/b"), folder("a", mode=0o700)]],
        [[folder("a", mode=0o700), folder("a", mode=0o711)]],
        [[device("n", tarfile.CHRTYPE, 1, 3), hardlink("m", "n"), fifo("p"), hardlink("q", "p")]],
        [[folder("./", mode=0o700)], [file("x")], [folder("./", mode=0o711)]],
        [[]],
    ],
)
def test_one_pass_gives_what_two_give(layers: Layers) -> None:
    same(layers)


@pytest.mark.parametrize(
    "layers",
    [
        [[symlink("lib", "usr/lib"), file("lib/x")]],
        [[symlink("lib", "usr/lib")], [file("lib/x")]],
        [[folder("a")], [file("a/x")]],
        [[file("a", b"1"), file("a", b"2")]],
        [[file("a")], [hardlink("b", "a")]],
        [[file("a"), hardlink("b", "a")], [file("a", b"new")]],
        [[file("a/x"), file("a")]],
        [[file("a"), folder("a")]],
        [[folder("a"), whiteout("a/b")]],
    ],
    ids=[
        "through-a-link",
        "through-a-lower-link",
        "undeclared-parent",
        "twice",
        "link-to-lower-layer",
        "link-to-what-is-replaced",
        "file-over-directory",
        "directory-over-file",
        "mark-in-the-lowest-layer",
    ],
)
def test_what_needs_the_layers_below_is_left_to_two_passes(layers: Layers) -> None:
    two_passes(layers)
    with pytest.raises(NotPlain):
        one_pass(layers)


def test_the_configs_of_visible_kernels_are_kept() -> None:
    below = [folder("boot"), file("boot/config-1", "old"), file("boot/config-2", "two")]
    above = [folder("boot"), file("boot/config-1", "new"), file("boot/config-3", b"x" * (2 << 20))]
    merged = write_plain(stored(below, above), io.BytesIO())
    assert sorted(merged.texts.values()) == ["new", "two"]


def test_a_layer_that_is_not_what_it_says_is_refused() -> None:
    layers = stored([file("a", b"x" * 5000)], [file("b")])
    short = layers[0].open().read()[:-30]
    broken = replace(layers[0], open=lambda: io.BytesIO(short))
    with pytest.raises(ImageProblem, match="layer 1"):
        write_plain([broken, layers[1]], io.BytesIO())


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
MODES = st.sampled_from([0o644, 0o755, 0o4711])
ENTRIES = st.one_of(
    st.builds(file, PATHS, st.binary(max_size=3), MODES),
    st.builds(folder, PATHS, MODES),
    st.builds(symlink, PATHS, PATHS),
    st.builds(hardlink, PATHS, PATHS),
    st.builds(whiteout, PATHS),
    st.builds(opaque, PATHS),
)


def with_parents(entries: list[Entry]) -> list[Entry]:
    """As Docker writes a layer: sorted, each directory before what is in it, each path once."""
    found: dict[str, Entry] = {}
    for entry in entries:
        parts = entry.name.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            found.setdefault("/".join(parts[:count]), folder("/".join(parts[:count])))
        found.setdefault(entry.name, entry)
    return [found[name] for name in sorted(found)]


LAYER = st.lists(ENTRIES, max_size=6)


def as_docker_writes(entries: list[Entry], links: list[str], *, bottom: bool) -> list[Entry]:
    """With nothing below a file, nothing twice, and hard links to files of the same layer."""
    marked = [one for one in entries if not (bottom and ".wh." in one.name)]
    parents = {one.name[:at] for one in marked for at, sign in enumerate(one.name) if sign == "/"}
    kept = with_parents([one for one in marked if one.name not in parents])
    names = {one.name for one in kept}
    files = [one.name for one in kept if one.type == tarfile.REGTYPE and ".wh." not in one.name]
    return kept + [hardlink(name, files[0]) for name in links if files and name not in names]


UPPER = st.lists(st.one_of(ENTRIES.filter(lambda entry: not entry.link)), max_size=8)
LINKS = st.lists(st.sampled_from(["x", "y"]), max_size=2, unique=True)


@st.composite
def docker_layers(draw: st.DrawFn, linked: bool) -> Layers:
    links = LINKS if linked else st.just([])
    return [
        as_docker_writes(draw(UPPER), draw(links), bottom=number == 0)
        for number in range(draw(st.integers(1, 4)))
    ]


@given(docker_layers(linked=False))
@example([[folder("a"), file("a/b", b"1")], [file("a")], [folder("a"), file("a/c")]])
def test_any_layers_as_docker_writes_them_are_merged_the_same(layers: Layers) -> None:
    same(layers)


@given(docker_layers(linked=True))
def test_hard_links_in_layers_as_docker_writes_them_are_kept_or_left_alone(layers: Layers) -> None:
    with contextlib.suppress(NotPlain):
        same(layers)


@given(st.lists(st.one_of(LAYER, LAYER.map(with_parents)), min_size=1, max_size=4))
@example([[folder("a"), file("a/b")], [whiteout("a"), file("a")], [folder("a")]])
@example([[file("a"), hardlink("b", "a")], [whiteout("b")]])
def test_any_layers_are_merged_the_same_or_left_alone(layers: Layers) -> None:
    try:
        expected = two_passes(layers)
    except ImageProblem:
        with pytest.raises((ImageProblem, NotPlain)):
            one_pass(layers)
        return
    try:
        found = one_pass(layers)
    except NotPlain:
        return
    assert found == expected
