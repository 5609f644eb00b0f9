"""`nodes power on | off | cycle | status | pxe`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import typer

from ..boot.fleet import Fleet, Node
from ..boot.named import chosen
from ..errors import NetbootError
from ..power.switch import Switch
from ..store.store import Store
from .app import Common, opened
from .nodes import app as nodes_app
from .restart import Act, network_boot, run, target_of, write

app = typer.Typer(
    help="Switch machines on and off from afar, by their `power` in the site file.",
    no_args_is_help=True,
)
nodes_app.add_typer(app, name="power")

# Controllers are asked side by side, as each takes its time.
_AT_ONCE = 16

Names = Annotated[
    list[str],
    typer.Argument(help="Names, MAC addresses, patterns such as 'rack1-*', labels as KEY=VALUE."),
]
Graceful = Annotated[
    bool, typer.Option("--graceful", help="Let the operating system end by itself first.")
]


@app.command("on")
def switch_on(context: typer.Context, names: Names) -> None:
    """Switch machines on."""
    _each(context.obj, names, lambda node, fleet: lambda switch: switch.on())


@app.command("off")
def switch_off(context: typer.Context, names: Names, graceful: Graceful = False) -> None:
    """Cut their power."""
    _each(context.obj, names, lambda node, fleet: lambda switch: switch.off(graceful=graceful))


@app.command("cycle")
def cycle(context: typer.Context, names: Names, graceful: Graceful = False) -> None:
    """Restart machines; those that are off are switched on."""
    _each(context.obj, names, lambda node, fleet: lambda switch: switch.cycle(graceful=graceful))


@app.command("status")
def status(context: typer.Context, names: Names) -> None:
    """Whether they are on."""
    _each(context.obj, names, lambda node, fleet: _status, told=False)


@app.command("pxe")
def boot_from_network_once(context: typer.Context, names: Names) -> None:
    """Let their next start be from the network, once; it restarts nothing."""

    def act(node: Node, fleet: Fleet) -> Act:
        how = network_boot(node, fleet)
        return lambda switch: switch.boot_from_network_once(how)

    _each(context.obj, names, act)


async def _status(switch: Switch) -> str:
    found = await switch.status()
    return f"{found.supply} ({found.note})" if found.note else found.supply


def _each(
    common: Common,
    words: Sequence[str],
    act_for: Callable[[Node, Fleet], Act],
    *,
    told: bool = True,
) -> None:
    """A line for each; exit code 1 if it failed for any of them."""
    with opened(common.state) as store:
        fleet = store.fleet()
        nodes = chosen(fleet, words)
        acts = [(node, act_for(node, fleet)) for node in nodes]
        done = asyncio.run(_side_by_side(store, acts, told=told))
    if not all(done):
        raise typer.Exit(1)


async def _side_by_side(
    store: Store, acts: Iterable[tuple[Node, Act]], *, told: bool
) -> Sequence[bool]:
    bound = asyncio.Semaphore(_AT_ONCE)

    async def one(node: Node, act: Act) -> bool:
        async with bound:
            try:
                words = await run(target_of(store, node), act)
            except NetbootError as error:
                return _tell(store, node, f"{error}", told=told, failed=True)
            return _tell(store, node, words, told=told)

    return await asyncio.gather(*(one(node, act) for node, act in acts))


def _tell(store: Store, node: Node, words: str, *, told: bool, failed: bool = False) -> bool:
    """On the terminal and on the node's timeline; whether it went well."""
    typer.echo(f"{node.name}: {words}", err=failed)
    if told and node.spec is not None and node.spec.power is not None:
        write(store, node, words)
    return not failed
