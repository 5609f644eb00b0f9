"""Images for every case of layering that is known to go wrong, each under its own name."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import replace

from tests.images_factory import (
    CAPABILITY,
    MTIME,
    Entry,
    PackedLayer,
    device,
    fifo,
    file,
    folder,
    hardlink,
    layer,
    opaque,
    symlink,
    tar_of,
    whiteout,
)

USTAR, GNU, PAX = tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT
ROOT = folder("./")


def _layers(*layers: Iterable[Entry]) -> list[PackedLayer]:
    """PAX layers; the lowest describes the root."""
    first, *others = layers
    return [layer([ROOT, *first]), *map(layer, others)]


def whiteouts() -> list[PackedLayer]:
    base = [
        folder("d"),
        *(file(f"d/{name}", name) for name in ("gone", "kept", "back", "forth")),
        folder("tree"),
        folder("tree/deep", mode=0o700),
        file("tree/deep/leaf"),
        symlink("link", "d"),
        symlink("gone-link", "tree"),
        fifo("gone-pipe"),
        file(".wh", "no whiteout"),
        file("wh.x", "no whiteout"),
        folder("through"),
        file("through/gone"),
        symlink("alias", "/through"),
        folder("emptied"),
        file("emptied/only"),
    ]
    return _layers(
        base,
        [
            whiteout("d/gone"),
            whiteout("d/back"),
            file("d/back", "again"),
            file("d/forth", "again"),
            whiteout("d/forth"),
            whiteout("tree"),
            whiteout("gone-link"),
            whiteout("gone-pipe"),
            whiteout("never-was"),
            whiteout("nowhere/never-was"),
            whiteout("alias/gone"),
            whiteout("emptied/only"),
        ],
        [folder("tree", mode=0o711), file("tree/new"), whiteout("d"), whiteout("link")],
    )


def opaque_directories() -> list[PackedLayer]:
    base = [
        entry
        for name in ("before", "after", "both", "bare", "nested", "twice")
        for entry in (
            folder(name),
            file(f"{name}/lower", "lower"),
            folder(f"{name}/sub"),
            file(f"{name}/sub/lower", "lower"),
        )
    ]
    return _layers(
        base,
        [
            folder("before", mode=0o700),
            file("before/upper", "upper"),
            folder("before/sub", mode=0o711),
            file("before/sub/upper"),
            opaque("before"),
            opaque("after"),
            file("after/upper", "upper"),
            folder("after/sub"),
            file("both/first"),
            opaque("both"),
            file("both/lower", "of this layer"),
            opaque("bare"),
            opaque("nested/sub"),
            file("nested/sub/upper"),
            opaque("twice"),
            opaque("twice"),
            file("twice/upper"),
        ],
        [opaque("after"), file("after/top")],
    )


def opaque_edges() -> list[PackedLayer]:
    base = [folder("d"), file("d/low"), symlink("alias", "/d"), file("f", "x"), folder("e")]
    return _layers(
        [*base, file("e/low")],
        [
            opaque("alias"),
            file("alias/upper"),
            opaque("missing"),
            opaque("f"),
            whiteout("f"),
            file("e/upper"),
            whiteout("e"),
        ],
        [file("new"), folder("d", mode=0o700), file("d/new"), file("./.wh..wh..opq")],
        [folder("d"), file("d/last")],
    )


def turns() -> list[PackedLayer]:
    """What is one kind of thing in one layer and another in the next."""
    to_file = [file(name, "f") for name in ("a", "b", "c")]
    to_folder = [e for name in ("a", "b", "c") for e in (folder(name), file(f"{name}/x", name))]
    return _layers(
        [*to_file, fifo("p"), device("n", tarfile.CHRTYPE, 1, 3), folder("q"), file("q/x")],
        [whiteout("a"), *to_folder, file("p", "was a pipe"), file("n", "was null"), fifo("q")],
        [whiteout("a"), *to_file, fifo("p"), folder("n"), symlink("q", "a")],
        [whiteout("a"), *to_folder, folder("p"), folder("q")],
    )


def hard_links() -> list[PackedLayer]:
    base = [
        file("one", "shared", mode=0o640, uid=7),
        hardlink("two", "one"),
        hardlink("three", "./two"),
        file("replaced", "old"),
        hardlink("kept", "/replaced"),
        file("removed", "old"),
        hardlink("survivor", "removed"),
        file("plain", "plain"),
        folder("d"),
        file("d/inner", "inner"),
        symlink("s", "d"),
        hardlink("link-to-symlink", "s"),
        fifo("pipe"),
        hardlink("pipe-too", "pipe"),
        device("null", tarfile.CHRTYPE, 1, 3),
        hardlink("null-too", "null"),
        file("empty"),
        hardlink("empty-too", "empty"),
        file("overwritten", "x"),
    ]
    return _layers(
        base,
        [
            hardlink("four", "one"),
            hardlink("d/five", "four"),
            file("replaced", "new"),
            whiteout("removed"),
            hardlink("through", "s/inner"),
            hardlink("overwritten", "plain"),
        ],
        [whiteout("one"), hardlink("six", "d/five"), file("three", "alone"), whiteout("plain")],
    )


def links_and_directories() -> list[PackedLayer]:
    base = [
        folder("usr"),
        folder("usr/lib", mode=0o751),
        file("usr/lib/a", "a"),
        symlink("lib", "usr/lib"),
        symlink("absolute", "/usr/lib"),
        symlink("chain", "lib"),
        symlink("up", "../../usr/lib"),
        symlink("dangling", "not/there"),
        folder("becomes-link"),
        file("becomes-link/gone"),
        symlink("becomes-folder", "usr"),
        symlink("becomes-file", "usr/lib/a"),
    ]
    return _layers(
        base,
        [
            file("lib/b", "by a link"),
            file("absolute/c", "by an absolute link"),
            file("chain/d", "by two links"),
            file("up/e", "by a link that stops at the root"),
            folder("lib/new"),
            file("lib/new/f"),
            symlink("becomes-link", "usr/lib"),
            folder("becomes-folder", mode=0o711),
            file("becomes-folder/own"),
            file("becomes-file", "own"),
        ],
        [file("becomes-link/g", "by a link of the layer below"), whiteout("lib/a")],
    )


def modes_and_owners() -> list[PackedLayer]:
    return _layers(
        [
            device("char", tarfile.CHRTYPE, 5, 1),
            device("block", tarfile.BLKTYPE, 259, 70_000),
            device("zero", tarfile.CHRTYPE, 0, 0),
            fifo("pipe"),
            file("setuid", "x", mode=0o4755),
            file("setgid", "x", mode=0o2755, gid=50),
            file("all", "x", mode=0o7777, uid=33, gid=33),
            file("none", "x", mode=0),
            folder("sticky", mode=0o1777),
            folder("setgid-folder", mode=0o2775, gid=8),
            file("uid", uid=70_000, gid=65_536),
            file("large", uid=1 << 31, gid=(1 << 31) + 5),
            file("largest", uid=(1 << 32) - 2, gid=(1 << 32) - 2),
            replace(symlink("owned-link", "uid"), uid=1 << 31, gid=9),
        ],
        [folder("sticky", mode=0o700, uid=5), file("setuid", "x", mode=0o755, uid=2)],
    )


def long_names() -> list[PackedLayer]:
    deep = "/".join(["d" * 200] * 8)
    name = "n" * 255
    wide = "ü" * 127
    target = "t/" * 1900 + "t"
    entries = [
        file(name, "255 bytes"),
        file(wide, "254 bytes"),
        *(folder("/".join(["d" * 200] * count)) for count in range(1, 9)),
        file(f"{deep}/file", "deep"),
        hardlink("short", f"{deep}/file"),
        hardlink(f"{deep}/{name}", f"{deep}/file"),
        symlink("far", target),
        symlink("far-ü", "/ü/" * 60),
        symlink("exactly-100", "/" + "x" * 99),
        file("p" * 100),
        file("p" * 101),
    ]
    moved = [replace(entry, name=f"gnu/{entry.name}") for entry in entries]
    moved = [replace(e, link=f"gnu/{e.link}") if e.type == tarfile.LNKTYPE else e for e in moved]
    prefixed = [folder("u" * 90), folder("u" * 90 + "/" + "v" * 60)]
    return [
        layer([ROOT, *entries]),
        layer(tar_of([folder("gnu"), *moved], GNU)),
        layer(tar_of([*prefixed, file("u" * 90 + "/" + "v" * 60 + "/w", "ustar")], USTAR)),
    ]


def attributes() -> list[PackedLayer]:
    every = bytes(range(256))
    return _layers(
        [
            file("capable", "x", mode=0o755, xattrs={"security.capability": CAPABILITY}),
            file("user", xattrs={"user.note": "grün\n=".encode(), "user.equals=sign": b"="}),
            file(
                "binary", xattrs={"user.every": every, "user.nul": b"\0", "user.utf": b"\xff\xfe"}
            ),
            file("trusted", xattrs={"trusted.thing": b"t" * 300, "security.ima": every[:30]}),
            file("several", xattrs={f"user.n{n}": b"v" * n for n in range(1, 9)}),
            folder("folder", xattrs={"user.on": b"folder", "trusted.on": b"folder"}),
            replace(symlink("link", "user"), xattrs={"trusted.on": b"link"}),
            replace(fifo("pipe"), xattrs={"trusted.on": b"pipe"}),
            replace(device("null", tarfile.CHRTYPE, 1, 3), xattrs={"security.on": b"device"}),
            hardlink("capable-too", "capable"),
            file("loses", xattrs={"user.old": b"old"}),
            folder("loses-too", xattrs={"user.old": b"old"}),
            file("changes", xattrs={"user.old": b"old", "user.both": b"1"}),
        ],
        [
            file("loses"),
            folder("loses-too"),
            file("changes", xattrs={"user.new": b"new", "user.both": b"2"}),
        ],
    )


def empty_attributes() -> list[PackedLayer]:
    return _layers([file("empty", xattrs={"user.empty": b"", "user.full": b"f"})])


def labels_and_marks() -> list[PackedLayer]:
    """What belongs to SELinux and to overlayfs."""
    label = b"system_u:object_r:bin_t:s0\0"
    return _layers(
        [
            file("labelled", xattrs={"security.selinux": label, "user.other": b"o"}),
            folder("marked", xattrs={"trusted.overlay.opaque": b"y", "trusted.other": b"o"}),
        ]
    )


def times() -> list[PackedLayer]:
    return _layers(
        [
            file("epoch", mtime=0),
            file("fraction", mtime=MTIME + 0.999),
            file("after-2038", mtime=1 << 31),
            folder("old-folder", mtime=5),
            file("old-folder/new-file"),
            replace(symlink("link", "epoch"), mtime=77),
            fifo("pipe"),
        ],
        # A layer's own entry for a directory sets its time; what is added below it does not.
        [file("old-folder/added"), folder("new-folder", mtime=9), file("new-folder/x")],
        [whiteout("old-folder/added"), file("old-folder/replaced", mtime=1)],
    )


def times_out_of_reach() -> list[PackedLayer]:
    """Squashfs has 32 bits without a sign for a time."""
    return _layers(
        [
            file("before-1970", mtime=-86_400),
            file("just-before", mtime=-0.5),
            file("after-2106", mtime=1 << 32),
            file("far", mtime=9_000_000_000),
        ]
    )


def odd_names() -> list[PackedLayer]:
    names = [
        "space between",
        " leading and trailing ",
        "'single' \"double\" `back`",
        "new\nline",
        "back\\slash",
        "tab\tbell\a",
        "*?[glob]",
        "-dash",
        "$HOME ;&|",
        "grüße",
        "gru\u0308ße",
        "\udcff\udcfe not UTF-8",
        "half \udcc3",
        "...",
        "#",
        "@at",
    ]
    entries = [
        e for n in names for e in (folder(n), file(f"{n}/{n}", n.encode("utf-8", "replace")))
    ]
    links = [symlink(f"link to {n}", n) for n in names]
    hard = [hardlink(f"hard {n}", f"{n}/{n}") for n in names]
    return [
        layer([ROOT, *entries]),
        layer(tar_of([*links, *hard], GNU)),
        layer([whiteout(f"{n}/{n}") for n in names[::2]]),
    ]


def empty_layers() -> list[PackedLayer]:
    return [layer([ROOT, file("a", "a")]), layer([]), layer(bytes(1024)), layer([file("b", "b")])]


def undeclared_parents() -> list[PackedLayer]:
    return _layers(
        [file("a/b/c", "c"), symlink("l/m", "../a"), file("late/x"), folder("late", mode=0o700)],
        [file("a/b/d/e", "e"), fifo("f/pipe"), hardlink("g/h", "a/b/c")],
        [folder("a", mode=0o711, mtime=11)],
    )


def files_in_the_way() -> list[PackedLayer]:
    """A layer that puts something below what lower layers know as a file."""
    return _layers(
        [file("f", "x"), symlink("to-file", "g"), file("g", "x"), fifo("p")],
        [file("f/below"), file("to-file/below"), file("p/q/r")],
    )


def parents_by_dangling_links() -> list[PackedLayer]:
    return _layers(
        [symlink("relative", "no/where"), symlink("absolute", "/not/there"), symlink("up", "../o")],
        [file("relative/a"), file("absolute/b"), file("up/c")],
    )


def spellings() -> list[PackedLayer]:
    return _layers(
        [file("./x", "dot"), folder("./d/"), file("/y", "slash"), file("d//z", "two")],
        [
            file("x", "plain"),
            file("./y", "dot"),
            file("/./d/./z", "dots"),
            folder("/d", mode=0o700),
        ],
        [whiteout("./x"), whiteout("/y"), hardlink("./w", "/d//z"), folder("./e/."), file("/e/f")],
    )


def duplicates() -> list[PackedLayer]:
    return _layers(
        [
            file("f", "first"),
            file("./f", "second", mode=0o600),
            file("g", "first"),
            hardlink("h", "g"),
            file("g", "second"),
            folder("d", mode=0o700),
            file("d/x"),
            folder("d", mode=0o711),
            file("k", "file"),
            folder("k"),
            file("k/x"),
            symlink("s", "d"),
            symlink("s", "k"),
            folder("t"),
            file("t/gone"),
            file("t", "now a file"),
        ],
        [file("f", "third"), file("f", "fourth"), symlink("d", "k"), file("d/y", "through it")],
    )


def docker_style() -> list[PackedLayer]:
    """As Docker's overlay2 driver exports: no './', folders with '/', a bare whiteout."""

    def mark(entry: Entry) -> Entry:
        return replace(entry, mode=0, mtime=0)

    return [
        layer([folder("etc/"), file("etc/passwd", "root"), folder("var/"), folder("var/lib/")]),
        layer(tar_of([folder("etc/"), mark(whiteout("etc/passwd"))], GNU)),
        layer([folder("var/"), folder("var/lib/"), mark(opaque("var/lib")), file("var/lib/new")]),
    ]


def contiguous_files() -> list[PackedLayer]:
    """POSIX's type 7: a file, where the system knows no contiguous ones."""
    return _layers([Entry(name="contiguous", type=tarfile.CONTTYPE, data=b"c")])


def global_headers() -> list[PackedLayer]:
    """As `git archive` begins."""
    comment = tarfile.TarInfo.create_pax_global_header({"comment": "0123456789abcdef"})
    return [layer([ROOT, file("a", "a")]), layer(comment + tar_of([file("b", "b")]))]


def ends_of_all_kinds() -> list[PackedLayer]:
    """A tar may end with two blocks of zeros, many, one, none at all."""
    return [
        layer([ROOT, file("a", "a")]),
        layer(tar_of([file("none", "n")])[:1024]),
        layer(tar_of([file("one", "o")])[:1536]),
        layer(tar_of([file("many", "m")]) + bytes(1 << 20)),
        layer(bytes(512)),
        layer(b""),
    ]


def _declared(*listed: Entry) -> list[Entry]:
    """With every directory on the way, as Docker and BuildKit do."""
    found: dict[str, Entry] = {"./": ROOT}
    for entry in listed:
        parts = entry.name.split("/")
        for count in range(1, len(parts)):
            found.setdefault("/".join(parts[:count]), folder("/".join(parts[:count])))
        found[entry.name] = entry
    return [*found.values()]


def declared_whiteouts() -> list[PackedLayer]:
    return _layers(
        _declared(*(file(f"d/{n}/{m}", f"{n}{m}") for n in "abcdef" for m in "xyz"), file("top")),
        _declared(
            whiteout("d/a"),
            whiteout("d/b/x"),
            whiteout("d/c"),
            file("d/c/new", "in a directory that is hidden and back"),
            opaque("d/d"),
            file("d/d/y", "of this layer"),
            file("d/e", "a file where a directory was"),
            whiteout("d/never"),
        ),
        _declared(
            whiteout("d/c/new"),
            file("d/a", "a file where a whiteout was"),
            file("d/d/z", "back again"),
            whiteout("d/e"),
            folder("d/f", mode=0o700, uid=5),
        ),
        _declared(
            whiteout("d/a"), file("d/a/x", "a directory again"), opaque("d/f"), symlink("d/b", "a")
        ),
    )


def declared_hard_links() -> list[PackedLayer]:
    return _layers(
        _declared(
            file("d/one", "1"),
            hardlink("d/two", "d/one"),
            hardlink("e/three", "d/two"),
            file("f/four", "4"),
            hardlink("f/five", "f/four"),
            file("g", "g"),
        ),
        _declared(file("g", "new"), hardlink("d/g", "g"), hardlink("a", "g"), file("f/five", "5")),
        _declared(whiteout("e/three"), file("d/two", "alone"), whiteout("a")),
    )


# Those that an image builder would make: nothing in them needs knowledge of the layers below.
PLAIN = {"declared_whiteouts", "declared_hard_links", "docker_style", "turns", "attributes"}
NASTY = {
    make.__name__: make()
    for make in (
        whiteouts,
        opaque_directories,
        opaque_edges,
        turns,
        hard_links,
        links_and_directories,
        modes_and_owners,
        long_names,
        attributes,
        empty_attributes,
        labels_and_marks,
        times,
        times_out_of_reach,
        odd_names,
        empty_layers,
        undeclared_parents,
        files_in_the_way,
        parents_by_dangling_links,
        spellings,
        duplicates,
        docker_style,
        contiguous_files,
        global_headers,
        ends_of_all_kinds,
        declared_whiteouts,
        declared_hard_links,
    )
}
