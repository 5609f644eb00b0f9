"""Images made to hurt, each with what must be said of it."""

from __future__ import annotations

import gzip
import json
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import zstandard

from kairos_netboot.images.manifest import LayerFormat
from kairos_netboot.values import Digest
from tests.images_factory import (
    Entry,
    MadeImage,
    PackedLayer,
    descriptor,
    encoded,
    file,
    folder,
    hardlink,
    image,
    kairos_entries,
    layer,
    layout_files,
    opaque,
    symlink,
    tar_of,
    whiteout,
)

MIB, EIB = 1 << 20, 1 << 60
BASE = layer(kairos_entries())
ZEROS = bytes(MIB)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """The files of an OCI layout, and a pattern of what is said of it. `bounds` stand in for the
    real ones, which would need tests of a night."""

    files: Mapping[str, bytes]
    words: str
    bounds: Mapping[str, int] = field(default_factory=dict)


Make: TypeAlias = Callable[[], Hostile]
Bounds: TypeAlias = Mapping[str, int]
UNBOUND: Bounds = {}


def on_base(*layers: PackedLayer | Iterable[Entry]) -> dict[str, bytes]:
    """A Kairos image with more layers on top."""
    packed = [one if isinstance(one, PackedLayer) else layer(one) for one in layers]
    return layout_files({"": image([BASE, *packed])})


def entries(words: str, *listed: Entry, bounds: Bounds = UNBOUND) -> Make:
    """A second layer with these entries."""
    return lambda: Hostile(files=on_base(listed), words=f": layer 2: .*{words}", bounds=bounds)


def blob(
    words: str,
    make: Callable[[], bytes],
    packing: LayerFormat = LayerFormat.TAR,
    tar: bytes = b"",
    bounds: Bounds = UNBOUND,
) -> Make:
    """A second layer of these very bytes; `tar`: what its diff_id is the digest of."""

    def made() -> Hostile:
        packed = PackedLayer(tar=tar, blob=make(), format=packing)
        return Hostile(files=on_base(packed), words=words, bounds=bounds)

    return made


# Paths, links, names


NAMES: dict[str, Make] = {
    "a path out of the root": entries(r"'\.\./out' leads out of the image", file("../out")),
    "a path out of the root later on": entries("leads out", file("a/../../x")),
    "an absolute path out of the root": entries("leads out", file("/../etc/passwd")),
    "a directory out of the root": entries("leads out of the image", folder("../../tmp/x")),
    "a whiteout out of the root": entries("leads out of the image", file("../.wh.etc")),
    "a whiteout of the parent": entries("'etc/.wh...' is a whiteout of", file("etc/.wh...")),
    "a whiteout of no name": entries("'etc/.wh.' is a whiteout of nothing", file("etc/.wh.")),
    "a hard link out of the root": entries("'x' leads out", hardlink("x", "../../etc/shadow")),
    "a hard link to nothing": entries("'x' is a hard link to 'gone'", hardlink("x", "gone")),
    "a hard link to a directory": entries("'x' is a hard link to 'etc'", hardlink("x", "etc")),
    "a hard link to itself": entries("'x' is a hard link to 'x'", hardlink("x", "x")),
    "a link that loops": entries(
        "/a/x is a loop of symbolic links", symlink("a", "b"), symlink("b", "a"), file("a/x/y")
    ),
    "a link by way of thousands": entries(
        "/a/x is a loop of symbolic links",
        symlink("b", "etc"),
        symlink("a", "etc/../" * 500 + "b"),
        file("a/x/y"),
    ),
    "a link to nothing": entries("'x' is a symbolic link to nothing", symlink("x", "")),
    "a link of 5000 bytes": entries("'x' is a symbolic link to", symlink("x", "y" * 5000)),
    "a name of 256 bytes": entries("has a name of more than 255 bytes", file("n" * 256)),
    "a path of 300,000 directories": entries("is deeper than 255", file("d/" * 300_000 + "x")),
    "an owner of 64 bits": entries("'x' belongs to 0:1099511627776", file("x", gid=1 << 40)),
    "an unknown type": entries("'x' is of the unknown type b'V'", Entry(name="x", type=b"V")),
    "a name that moves the cursor": entries(
        "leads out of the image", file("../x\x1b[2J\n\r\x9b31m\u202e" + "n" * 100_000)
    ),
    "an attribute whose name moves the cursor": entries(
        "'x' has an attribute with a broken name", file("x", xattrs={"user.\x1b[2J\n": b"v"})
    ),
    "a kernel that is a loop": lambda: Hostile(
        files=on_base([symlink("boot/vmlinuz", "l"), symlink("boot/l", "vmlinuz")]),
        words=": /boot/vmlinuz is a loop of symbolic links",
    ),
    "a kernel out of the root": lambda: Hostile(
        files=on_base([symlink("boot/vmlinuz", "../../../../etc/passwd"), whiteout("boot")]),
        words=": it has no kernel",
    ),
}


# Too much of it. The bounds: entries, bytes unpacked, bytes of names and attributes.


def compressed(count: int, packing: LayerFormat, head: bytes = b"") -> bytes:
    """`head` and so many MiB of zeros."""
    if packing is LayerFormat.ZSTD:
        pack = zstandard.ZstdCompressor().compressobj()
        return b"".join([pack.compress(head), *(pack.compress(ZEROS) for _ in range(count))]) + (
            pack.flush()
        )
    gz = zlib.compressobj(1, wbits=31)
    return b"".join([gz.compress(head), *(gz.compress(ZEROS) for _ in range(count)), gz.flush()])


def stating(size: int, kind: bytes = tarfile.REGTYPE, name: str = "x") -> bytes:
    """A header with any size in it, as GNU tar writes what octal digits have no room for."""
    info = tarfile.TarInfo(name)
    info.type = kind
    plain = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    plain[124:136] = (b"\xff" if size < 0 else b"\x80") + size.to_bytes(11, "big", signed=True)
    plain[148:156] = b" " * 8
    plain[148:156] = b"%06o\0 " % sum(plain)
    return bytes(plain)


def sparse(real_size: int, table: bytes = b"0\n") -> bytes:
    """A sparse file in the PAX format 1.0, of which the tar holds next to nothing."""
    body = table.ljust(-(-len(table) // 512) * 512, b"\0")
    info = tarfile.TarInfo("GNUSparseFile.0/holes")
    info.size = len(body)
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "holes",
        "GNU.sparse.realsize": str(real_size),
    }
    return info.tobuf(tarfile.PAX_FORMAT) + body


def sparse_layer(words: str, *tars: bytes) -> Make:
    tar = b"".join(tars)
    return lambda: Hostile(files=on_base(layer(tar)), words=f": layer 2: {words}")


def unreadable(tar: bytes) -> Make:
    said = ": layer 2 cannot be read: a senseless header at byte 0 of its tar"
    return lambda: Hostile(files=on_base(layer(tar)), words=said)


BOMB = {"MAX_UNPACKED": 8 * MIB}
AMOUNTS: dict[str, Make] = {
    "too many entries": entries(
        "more than 200 entries", *(file(str(n)) for n in range(300)), bounds={"MAX_ENTRIES": 200}
    ),
    "one file too many times": entries(
        "more than 200 entries", *(file("x") for _ in range(300)), bounds={"MAX_ENTRIES": 200}
    ),
    "too many entries in many small layers": lambda: Hostile(
        files=on_base(*([file(str(n))] for n in range(100))),
        words=": layer .*: more than 100 entries",
        bounds={"MAX_ENTRIES": 100},
    ),
    "names and targets that fill the memory": entries(
        "with '.*' it has more than 1 MiB of names, links and attributes",
        *(symlink(str(n), "t" * 4000) for n in range(400)),
        bounds={"MAX_WORDS": MIB},
    ),
    "attributes that fill the memory": entries(
        "with '.*' it has more than 1 MiB of names, links and attributes",
        *(file(str(n), xattrs={"user.x": b"v" * 60_000}) for n in range(40)),
        bounds={"MAX_WORDS": MIB},
    ),
    "attributes of a global header": blob(
        "layer 2: with 'x' it has more than 1 MiB of names, links and attributes",
        lambda: (
            tarfile.TarInfo.create_pax_global_header(
                {f"SCHILY.xattr.user.{n}": "v" * 90 for n in range(5000)}
            )
            + tar_of([file("x")] * 100)
        ),
        bounds={"MAX_WORDS": MIB},
    ),
    "a file of zeros, with gzip": blob(
        "layer 2: with 'x' it has more than . GiB",
        lambda: compressed(64, LayerFormat.GZIP, stating(64 * MIB)),
        LayerFormat.GZIP,
        bounds=BOMB,
    ),
    "a file of zeros, with zstd": blob(
        "layer 2: with 'x' it has more than . GiB",
        lambda: compressed(64, LayerFormat.ZSTD, stating(64 * MIB)),
        LayerFormat.ZSTD,
        bounds=BOMB,
    ),
    "zeros after the end of the tar, with gzip": blob(
        "layer 2: more than . GiB",
        lambda: compressed(64, LayerFormat.GZIP),
        LayerFormat.GZIP,
        bounds=BOMB,
    ),
    "zeros after the end of the tar, with zstd": blob(
        "layer 2: more than . GiB",
        lambda: compressed(64, LayerFormat.ZSTD),
        LayerFormat.ZSTD,
        bounds=BOMB,
    ),
    "one bomb as many layers": lambda: Hostile(
        files=on_base(*[layer([file("x", ZEROS)])] * 20),
        words=": layer .*: with 'x' it has more than . GiB",
        bounds=BOMB,
    ),
    # A frame that asks for 2 GiB of memory before its first byte.
    "a zstd window of 2 GiB": blob(
        "layer 2 cannot be read: .*memory",
        lambda: b"\x28\xb5\x2f\xfd\x00\xa8" + struct.pack("<I", 512 << 3 | 1)[:3] + bytes(512),
        LayerFormat.ZSTD,
    ),
    "a header of exabytes": blob(
        "layer 2 cannot be read: a header of 1152921504606846976 bytes",
        lambda: stating(EIB, tarfile.XHDTYPE),
    ),
    "a long name of gigabytes": blob(
        "layer 2 cannot be read: a header of 3221225472 bytes",
        lambda: stating(3 << 30, tarfile.GNUTYPE_LONGNAME),
    ),
    "headers upon headers": blob(
        "layer 2 cannot be read",
        lambda: stating(0, tarfile.GNUTYPE_LONGNAME) * 20_000,
    ),
    "a file of exabytes": blob("layer 2: with 'x' it has more than 16 GiB", lambda: stating(EIB)),
    "a file of less than nothing": blob("layer 2", lambda: stating(-512) + bytes(1024)),
    "a sparse file of exabytes": sparse_layer("with 'holes' it has more than 16 GiB", sparse(EIB)),
    "many sparse files": sparse_layer(
        "with 'holes' it has more than 16 GiB", *[sparse(7 << 30)] * 10
    ),
    "a sparse file whose table has no end": unreadable(sparse(512, b"9" * 4000)),
    "a sparse file with a table for a billion pieces": unreadable(
        sparse(512, b"1000000000\n0\n1\n")
    ),
    "a sparse file whose pieces go backwards": sparse_layer(
        "'holes' is sparse in a way that cannot be", sparse(1024, b"2\n512\n10\n0\n10\n")
    ),
    "a sparse file whose piece is below zero": sparse_layer(
        "'holes' is sparse in a way that cannot be", sparse(1024, b"1\n-5\n10\n")
    ),
    "a sparse file whose piece lies outside": sparse_layer(
        "'holes' is sparse in a way that cannot be", sparse(1024, b"1\n1020\n10\n")
    ),
}


# Marks and links whose work multiplies; without a remedy these take minutes and more.

MANY = 6000
WORK: dict[str, Make] = {
    "opaque marks repeated for a large directory": entries(
        "'x' leads out|'../x' leads out",
        *(file(f"d/{n}") for n in range(MANY)),
        *(opaque("d") for _ in range(MANY)),
        file("../x"),
    ),
    "whiteouts repeated for a large directory": entries(
        "'../x' leads out",
        *(file(f"d/e/{n}") for n in range(MANY)),
        *(whiteout("d") for _ in range(MANY)),
        file("../x"),
    ),
    "chains of links for each of many files": entries(
        "/l0 is a loop of symbolic links",
        folder("d"),
        *(symlink(f"l{n}", "d/../" * 800 + f"l{n + 1}") for n in range(38)),
        symlink("l38", "d"),
        *(file(f"l0/{n}") for n in range(MANY)),
    ),
}


# Data that ends too soon, goes on too long, or is another

TAR = tar_of([file("a", b"content " * 5000), file("b", b"more")])
GZIP, ZSTD = gzip.compress(TAR, mtime=0), zstandard.ZstdCompressor().compress(TAR)


def cut(data: bytes, count: int) -> Callable[[], bytes]:
    return lambda: data[:count]


DATA: dict[str, Make] = {
    **{
        f"gzip cut after {count} bytes": blob(
            "layer 2|layer 2 cannot be read", cut(GZIP, count), LayerFormat.GZIP, TAR
        )
        for count in (0, 1, 5, 10, 60, len(GZIP) // 2, len(GZIP) - 9, len(GZIP) - 4, len(GZIP) - 1)
    },
    **{
        f"zstd cut after {count} bytes": blob(
            "layer 2|layer 2 cannot be read", cut(ZSTD, count), LayerFormat.ZSTD, TAR
        )
        for count in (0, 3, 6, 20, len(ZSTD) // 2, len(ZSTD) - 1)
    },
    **{
        f"a tar cut after {count} bytes, its diff_id that of the cut one": blob(
            "layer 2( cannot be read|: it ends in the middle)",
            cut(TAR, count),
            LayerFormat.TAR,
            TAR[:count],
        )
        for count in (1, 300, 511, 513, 20_000, 512 + 40_000 - 1)
    },
    "a tar cut between its entries, its diff_id that of the whole": blob(
        "layer 2: sha256:.* came with other content", cut(TAR, 512 + 40_448), tar=TAR
    ),
    "garbage after gzip": blob("layer 2", lambda: GZIP + b"garbage" * 100, LayerFormat.GZIP, TAR),
    "garbage after zstd": blob("layer 2", lambda: ZSTD + b"garbage" * 100, LayerFormat.ZSTD, TAR),
    "another tar after gzip": blob(
        "layer 2: sha256:.* came with other content",
        lambda: GZIP + gzip.compress(b"hidden"),
        LayerFormat.GZIP,
        TAR,
    ),
    "garbage instead of a tar": blob(
        "layer 2 cannot be read", lambda: b"garbage" * 1000, tar=b"garbage" * 1000
    ),
    "a wrong sum in a gzip's end": blob(
        "layer 2 cannot be read",
        lambda: GZIP[:-8] + b"\0\0\0\0" + GZIP[-4:],
        LayerFormat.GZIP,
        TAR,
    ),
    "a header with a wrong sum": blob(
        "layer 2 cannot be read", lambda: TAR[:40_960] + b"X" + TAR[40_961:], tar=TAR
    ),
    "gzip that is zstd": blob("layer 2 cannot be read", cut(ZSTD, -1), LayerFormat.GZIP, TAR),
    "a layer that is another": lambda: swapped(BASE.blob, b"other"),
    "a layer that is shorter": lambda: swapped(BASE.blob, BASE.blob[:-1]),
    "a layer that is longer": lambda: swapped(BASE.blob, BASE.blob + b"x"),
    "a layer that is not there": lambda: swapped(BASE.blob, None),
}


def swapped(of: bytes, by: bytes | None) -> Hostile:
    """A layout whose blob is another than its name says."""
    files = on_base()
    del files[f"blobs/sha256/{Digest.of(of).hex}"]
    if by is None:
        return Hostile(files=files, words=": (layer 1: )?it lacks blobs/sha256/")
    files[f"blobs/sha256/{Digest.of(of).hex}"] = by
    return Hostile(files=files, words=": (layer 1: )?sha256:.* came with (other content|.* bytes)")


# Manifests


def layout_of(top: bytes, kind: str, *others: bytes) -> dict[str, bytes]:
    made = MadeImage(top=Digest.of(top), blobs={Digest.of(one): one for one in (top, *others)})
    entry = descriptor(top, kind)
    files = {f"blobs/sha256/{digest.hex}": data for digest, data in made.blobs.items()}
    index = encoded({"schemaVersion": 2, "manifests": [entry]})
    return files | {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}


def manifest(words: str, **changes: object) -> Make:
    """A good manifest with some members changed."""
    good = image([BASE])
    document = json.loads(good.blobs[good.top]) | changes
    others = [data for digest, data in good.blobs.items() if digest != good.top]
    return document_is(words, encoded(document), *others)


def document_is(words: str, top: bytes, *others: bytes) -> Make:
    return lambda: Hostile(files=layout_of(top, MANIFEST, *others), words=words)


def config(words: str, data: bytes) -> Make:
    kind = "application/vnd.oci.image.config.v1+json"
    changed = manifest(words, config=descriptor(data, kind))

    def made() -> Hostile:
        hostile = changed()
        files = {**hostile.files, f"blobs/sha256/{Digest.of(data).hex}": data}
        return Hostile(files=files, words=words)

    return made


def described(**changes: object) -> list[dict[str, object]]:
    return [descriptor(BASE.blob, "application/vnd.oci.image.layer.v1.tar+gzip") | changes]


def nested_indexes(depth: int) -> Hostile:
    good = image([BASE])
    top, blobs = good.blobs[good.top], [good.blobs[good.top]]
    for level in range(depth):
        kind = MANIFEST if level == 0 else INDEX
        top = encoded(
            {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(top, kind)]}
        )
        blobs.append(top)
    return Hostile(files=layout_of(top, INDEX, *blobs), words=": its indexes are nested more than")


def index_of_itself() -> Hostile:
    """No digest can hold itself, but a layout can lie."""
    fake = Digest.of(b"an index that holds itself")
    entry = {"mediaType": INDEX, "digest": fake, "size": 200}
    top = encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).ljust(200)
    files = {"oci-layout": b"{}", "index.json": top, f"blobs/sha256/{fake.hex}": top}
    return Hostile(files=files, words=": sha256:.* came with .*: ")


_GOOD_CONFIG = {"architecture": "amd64", "os": "linux"}
MANIFESTS: dict[str, Make] = {
    "10,000 layers": manifest(": it has 10000 layers", layers=described() * 10_000),
    "no layers": manifest(": it has 0 layers", layers=[]),
    "layers that are no list": manifest(": its manifest has no list 'layers'", layers="all"),
    "a layer that is no object": manifest(": its manifest has a broken descriptor", layers=[7]),
    "a size below zero": manifest(": .*descriptor without a size", layers=described(size=-1)),
    "a size that is no number": manifest(": .*without a size", layers=described(size="12")),
    "a size with a fraction": manifest(": .*without a size", layers=described(size=1e300)),
    "a size of exabytes": manifest("needs about .* and has .* left", layers=described(size=EIB)),
    "a size of more than 64 bits": manifest(
        "needs about .* has .* left", layers=described(size=1 << 200)
    ),
    "a digest that is a path": manifest(
        ": its manifest names 'sha256:../../etc/passwd'",
        layers=described(digest="sha256:../../etc/passwd"),
    ),
    "a digest that moves the cursor": manifest(
        ": its manifest names", layers=described(digest="\x1b[2J\nsha256:")
    ),
    "a media type that moves the cursor": manifest(
        ": layer 1 is '.*': not a layer", layers=described(mediaType="\x1b[2J\n\u202e")
    ),
    "an encrypted layer": manifest(
        ": layer 1 is '.*encrypted': not a layer of an image",
        layers=described(mediaType="application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
    ),
    "a manifest of no known kind": manifest(": its manifest is of a kind", mediaType="\x1b[2J\n"),
    "a manifest of 2014": document_is(
        "schema 1 of 2014", encoded({"schemaVersion": 1, "fsLayers": []})
    ),
    "a manifest that is no JSON": document_is(": its manifest or config is not JSON", b"{"),
    "a manifest that is no text": document_is(": .*is not JSON", b"\xff\xfe\0\0\x80"),
    "a manifest that is a list": document_is(": .*is not a JSON object", b"[]"),
    "a manifest nested 100,000 deep": document_is(
        ": its manifest or config is not JSON", b'{"layers":' + b"[" * 100_000
    ),
    "a manifest of 5 MiB": document_is(
        ": a document of more than 4 MiB", encoded({"layers": ["x" * 5 * MIB]})
    ),
    "a number of a million digits": document_is(
        ": its manifest or config is not JSON", b'{"schemaVersion":' + b"9" * MIB + b"}"
    ),
    "a config that is no JSON": config(": its manifest or config is not JSON", b"#!/bin/sh"),
    "a config that is a number": config(": .*is not a JSON object", b"5"),
    "a config of 5 MiB": config(": a document of more than 4 MiB", b'"' + b"x" * 5 * MIB + b'"'),
    "a config without layers": config(
        ": its config does not list the layers", encoded(_GOOD_CONFIG | {"rootfs": None})
    ),
    "a config with other layers": config(
        ": its config does not list the layers",
        encoded(_GOOD_CONFIG | {"rootfs": {"diff_ids": [Digest.of(b"")] * 2}}),
    ),
    "a config with a broken diff_id": config(
        ": its manifest names", encoded(_GOOD_CONFIG | {"rootfs": {"diff_ids": [["\n"]]}})
    ),
    "a config with a wrong diff_id": config(
        ": layer 1: sha256:.* came with other content",
        encoded(_GOOD_CONFIG | {"rootfs": {"diff_ids": [Digest.of(b"")]}}),
    ),
    "a config for a system that moves the cursor": config(
        ": it is made for", encoded({"architecture": "\x1b[2J", "os": "\n\r"})
    ),
    "indexes nested too deep": lambda: nested_indexes(6),
    "an index of itself": index_of_itself,
    "an index for systems that move the cursor": lambda: Hostile(
        files={
            "oci-layout": b"{}",
            "index.json": encoded(
                {
                    "manifests": [
                        descriptor(b"x", MANIFEST)
                        | {"platform": {"os": "\x1b[2J\n", "architecture": f"{n}\r{n}" * 100}}
                        for n in range(2000)
                    ]
                }
            ),
        },
        words=": it has no image for linux/amd64",
    ),
}

HOSTILE = NAMES | AMOUNTS | WORK | DATA | MANIFESTS
