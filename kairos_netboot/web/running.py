"""The boots that UEFI HTTP Boot began, while they go on.

The store keeps only digests of a boot's secrets. Whoever resumes the download of a disk, or asks
for its document by another address than the boot's own, needs them as they were.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from ..boot.fleet import Fleet
from ..boot.medium import Disk
from ..store.boots import Started
from ..values import Mac

_KEPT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`disk` is None for a boot whose file is one that is in the store."""

    started: Started
    disk: Disk | None = None


class Running:
    def __init__(self) -> None:
        self._runs: OrderedDict[Mac, Run] = OrderedDict()

    def keep(self, mac: Mac, run: Run) -> None:
        self._runs.pop(mac, None)
        self._runs[mac] = run
        while len(self._runs) > _KEPT:
            self._runs.popitem(last=False)

    def of(self, mac: Mac, fleet: Fleet) -> Run | None:
        """The machine's, as long as no other boot of it has begun."""
        run, node = self._runs.get(mac), fleet.by_mac.get(mac)
        if run is None or node is None or node.document_key != run.started.node.document_key:
            return None
        return run
