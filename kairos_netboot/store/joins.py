"""Join tokens: what a cluster's first server tells, for those that join it.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from ..boot.clusters import BY_HAND, TOLD, Seat, join_secret, seat_of
from ..boot.fleet import Event, Fleet
from ..boot.lifecycle import Kind
from ..errors import InvalidValue, UnknownName
from .clusters import put_told, read_clusters, read_standings
from .nodes import append, read_nodes

# k0s' are some 2,500 characters of base64.
MAX_TOKEN = 16 * 1024
_TOKEN = re.compile(r"[A-Za-z0-9+/=_.:-]{16,}")


class Refused(InvalidValue):
    """Another value of a token that is here."""

    http_status = 409


def take_join(connection: Connection, key: str, what: str, value: str, at: datetime) -> bool:
    """What a server told, by the digest of its report token; False where it was here already.
    Raises UnknownName for whoever may not tell it, Refused where it told another before."""
    fleet = _fleet(connection)
    node = fleet.by_report_key(key)
    seat = seat_of(fleet, node) if node else None
    if node is None or seat is None or not seat.reports:
        raise UnknownName("this address tells no join token: it is not a first server's")
    _check(seat, what, value)
    name = join_secret(what)
    if seat.secrets.get(name) == value and seat.standing.told_by.get(name) in node.report_keys:
        return False
    if seat.standing.told_by.get(name) in node.report_keys:
        raise Refused(f"{node.name} told another join token ({what}) before: re-arm it to change")
    put_told(connection, seat.cluster.name, name, value, key)
    said = f"told the join token ({what}) of cluster '{seat.cluster.name}'"
    append(connection, Event(node=node.id, at=at, kind=Kind.SETTINGS, text=said))
    return True


def give_token(connection: Connection, cluster: str, what: str, value: str) -> None:
    """By hand, where its first server is lost. Raises UnknownName and InvalidValue."""
    known = read_clusters(connection)
    if cluster not in known:
        raise UnknownName(f"no cluster '{cluster}' here: see `kairos-netboot clusters list`")
    if what not in TOLD.get(known[cluster].kind, ()):
        raise InvalidValue(f"a {known[cluster].kind} cluster has no join token '{what}'")
    _check_value(value)
    put_told(connection, cluster, join_secret(what), value, BY_HAND)


def _fleet(connection: Connection) -> Fleet:
    fleet = Fleet(read_nodes(connection))
    return replace(fleet, clusters=read_clusters(connection), standings=read_standings(connection))


def _check(seat: Seat, what: str, value: str) -> None:
    if what not in TOLD.get(seat.cluster.kind, ()):
        raise UnknownName(f"a {seat.cluster.kind} cluster has no join token '{what[:20]}'")
    _check_value(value)


def _check_value(value: str) -> None:
    if len(value) > MAX_TOKEN or not _TOKEN.fullmatch(value):
        raise InvalidValue(
            f"no join token: 16 to {MAX_TOKEN} letters, digits and +/=_.:- in one line"
        )
