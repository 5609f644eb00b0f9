"""`ipxe`: which boot loaders are here, more of them, and a medium to boot from by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from ..boot.binaries import Binary, describe, troubles
from ..boot.chains import COMPANIONS, ROWS, Chain, Row, chain_for
from ..boot.fleet import Fleet
from ..config.installed import changed_since, checked, install, name_in
from ..config.medium import make_medium
from ..config.shelf import Shelf, look_on_shelf
from ..errors import InvalidValue, UnknownName
from ..images.picked import pick
from ..store.store import Store
from ..values import IMAGE_ARCHES, Arch, Digest, Stage
from .app import Common, columns, opened, say
from .progress import progress

app = typer.Typer(
    help="Boot loaders: which are here, more of them, boot media.", no_args_is_help=True
)

Loaders = Annotated[
    list[Path] | None,
    typer.Option(help="A folder of boot loaders, as for `serve`.", envvar="KAIROS_NETBOOT_LOADERS"),
]


@app.command()
def status(context: typer.Context, loaders: Loaders = None) -> None:
    """What is here, what each is, and which firmware it serves. Exit code 1 where firmware of this
    site's machines is not served."""
    common: Common = context.obj
    shelf = look_on_shelf(tuple(loaders or ()), common.state)
    for line in columns(_table(shelf)):
        say(line)
    for name in changed_since(common.state):
        say(f"note: {name} is not the file that was installed")
    fleet = _fleet(common.state)
    say()
    lines = list(_rows(shelf, fleet))
    for _, line in lines:
        say(line)
    if any(is_missing for is_missing, _ in lines):
        raise typer.Exit(1)


def _fleet(state: Path) -> Fleet:
    if not state.exists():
        return Fleet()
    with opened(state) as store:
        return store.fleet()


def _table(shelf: Shelf) -> Iterator[tuple[str, ...]]:
    yield ("FILE", "WHAT", "SIGNED BY", "DIGEST", "FROM")
    for name, loader in sorted(shelf.loaders.found.items()):
        digest = Digest.of(loader.data).hex[:12]
        try:
            binary = describe(loader.data)
        except InvalidValue as error:
            yield (name, f"unfit: {error}", "", digest, str(loader.path))
            continue
        signed = binary.signers[0] if binary.signers else "nobody"
        yield (name, _what(binary), signed, digest, str(loader.path))
    for name, folder in sorted(shelf.modules.items()):
        if name not in shelf.loaders.found:
            yield (name, "GRUB, made when `serve` starts", "nobody", "", str(folder))


def _what(binary: Binary) -> str:
    machine = f"{binary.kind} {binary.arch}" if binary.arch else binary.kind
    return " ".join(part for part in (binary.program, binary.version, f"({machine})") if part)


def _rows(shelf: Shelf, fleet: Fleet) -> Iterator[tuple[bool, str]]:
    """(whether machines of this site go without, the line) for each kind of firmware, and for each
    node that goes another way."""
    for row in ROWS:
        chain, nodes = chain_for(row, fleet.boot), _asking(row, fleet)
        is_used = any(other == chain for other in nodes.values())
        yield _row(shelf, chain, row.name, is_used=is_used)
        for name, other in nodes.items():
            if other != chain:
                yield _row(shelf, other, f"{row.name} of {name}", is_used=True)


def _asking(row: Row, fleet: Fleet) -> dict[str, Chain]:
    """The way of each node that has asked with this kind of firmware, by its name."""
    found = {}
    for node in fleet.nodes:
        by_http = node.facts.get("vendor-class", "").startswith("HTTPClient")
        if node.spec is None or by_http is not (row.stage is Stage.HTTP):
            continue
        if (node.firmware, node.arch) == (row.firmware, row.arch):
            profile = fleet.profiles.get(node.spec.profile)
            tables = (node.spec.boot, profile.boot if profile else {}, fleet.boot)
            found[node.name] = chain_for(row, *tables)
    return found


def _row(shelf: Shelf, chain: Chain, whose: str, *, is_used: bool) -> tuple[bool, str]:
    files = (chain.first, *COMPANIONS.get(chain.first, ()))
    lacking = next((file for file in files if file not in shelf.names), "")
    if not lacking:
        return False, f"{whose}: {chain.first}{_remarks(shelf, chain.first)}"
    way_out = shelf.missing.get(lacking, "put it into a folder that is given with --loaders")
    return is_used, f"{whose}: not served, {lacking} is missing: {way_out}"


def _remarks(shelf: Shelf, name: str) -> str:
    loader = shelf.loaders.found.get(name)
    if loader is None:
        return ""
    try:
        found = troubles(describe(loader.data))
    except InvalidValue as error:
        return f" ({error})"
    return f" ({'; '.join(found)})" if found else ""


def _arch(text: str) -> Arch:
    if text.removeprefix("linux/") not in IMAGE_ARCHES:
        raise typer.BadParameter(f"'{text}' is none of {', '.join(IMAGE_ARCHES)}")
    return Arch(text.removeprefix("linux/"))


@app.command("install")
def install_(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…",
            help="A folder, a registry's image or artifact, oci:DIR or oci-archive:FILE.",
        ),
    ],
    platform: Annotated[
        Arch, typer.Option(parser=_arch, metavar="ARCH", help="Of an image for several.")
    ] = Arch.AMD64,
    insecure: Annotated[bool, typer.Option(help="Plain HTTP to the registry.")] = False,
) -> None:
    """Take boot loaders out of folders, images or artifacts, check what each is, and keep them."""
    common: Common = context.obj
    with opened(common.state) as store:
        for source in sources:
            files = _found_in(source, platform, store, insecure=insecure)
            if not files:
                raise UnknownName(f"{source} has no boot loader whose name is known here")
            for name, data in files.items():
                say(f"{name}: {_what(checked(name, data, f'{name} of {source}'))}")
            folder = install(files, common.state, source)
        say(f"kept in {folder}; `serve` hands them out when it starts next")


def _found_in(source: str, arch: Arch, store: Store, *, insecure: bool) -> dict[str, bytes]:
    """By the name under which each is handed out; the first file of a name counts."""
    folder = Path(source)
    if folder.is_dir():
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        read = {str(p.relative_to(folder)): p.read_bytes() for p in paths if name_in(str(p))}
    else:
        with progress() as tell:
            hosts = store.registries()
            read = pick(
                source, lambda p: bool(name_in(p)), hosts, tell, arch=arch, insecure=insecure
            )
    return _by_name(read)


def _by_name(read: Mapping[str, bytes]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path, data in sorted(read.items(), key=lambda item: (item[0].count("/"), item[0])):
        found.setdefault(name_in(path), data)
    return found


@app.command()
def media(
    context: typer.Context,
    server: Annotated[
        str, typer.Option(help="The server's address as machines see it: http://HOST:PORT.")
    ],
    output: Annotated[Path, typer.Option(help="The file to make: an ISO, for USB as well.")],
    loaders: Loaders = None,
) -> None:
    """Make a medium that boots into this server where DHCP cannot be changed or answered at all."""
    common: Common = context.obj
    shelf = look_on_shelf(tuple(loaders or ()), common.state)
    made = make_medium(server.rstrip("/"), output, shelf.modules)
    say(f"{output}: {made / 1e6:.1f} MB, for CD, USB and virtual media; it boots into {server}")
