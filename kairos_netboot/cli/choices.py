"""How `explain` says that a machine gets its profile: what else could have been it, and why not."""

from __future__ import annotations

from collections.abc import Iterator

from ..boot.fleet import Fleet, Node
from ..boot.lifecycle import State
from ..boot.select import candidates, choice_for, select
from ..boot.site import Origin
from ..boot.unknown import word_for
from ..store.vendors import with_vendor
from ..values import Mac


def choice_lines(fleet: Fleet, mac: Mac) -> Iterator[str]:
    """For a machine that never asked as well: as far as its card alone decides."""
    known = fleet.by_mac.get(mac) or Node(id=0, macs=(mac,), state=State.DISCOVERED)
    node = with_vendor(fleet, known)
    if node.spec is not None and node.spec.profile:
        yield f"profile:  {node.spec.profile}, {_BY[node.spec.origin]}"
    else:
        yield from _of_nobody(fleet, node)
    wins = node.spec is None or not node.spec.profile
    for number, candidate in enumerate(candidates(fleet, node)):
        verdict = "fits" if candidate.fits else "does not fit"
        if wins and number == 0 and candidate.fits:
            verdict = "wins"
        yield f"selector: {candidate.profile} {verdict}: {candidate.why}"


_BY = {
    Origin.SITE: "as the site file says or lets selectors choose",
    Origin.SELECTED: "chosen when it asked first",
    Origin.APPROVED: "given when it was approved",
}


def _of_nobody(fleet: Fleet, node: Node) -> Iterator[str]:
    where = node.facts.get("network", "")
    what = f"of its network, {where}," if where else "for machines of networks not known"
    yield f"unknown:  the word {what} is '{word_for(fleet.unknown, node)}'"
    best = choice_for(fleet, node) if node.spec is None else select(fleet, node)
    if best is None:
        yield "profile:  none: no selector fits, and no network's word is one"
    elif node.denied:
        yield f"profile:  none: it was denied, or it would be {best.profile}"
    elif node.spec is None and fleet.unknown.approval:
        yield f"profile:  {best.profile}, once `kairos-netboot nodes approve` says so"
    elif node.spec is None and node.state is not State.DISCOVERED:
        yield f"profile:  {best.profile}, by `nodes approve` alone: it was taken out of the site"
    else:
        yield f"profile:  {best.profile}, when it asks next"
