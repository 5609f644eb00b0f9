"""Content that comes over as many answers as it takes: what broke off goes on where it was."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

import requests

from ..boot.site import RegistryHost
from ..errors import ImageProblem
from .endpoints import trust_for
from .patience import REAL, Clock, Patience
from .progress import Progress, Tell
from .session import Headers, Session, Trouble, check, told

MAX_DOWNLOAD = 16 << 30
_CHUNK = 256 << 10
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")

# The answer (200, 206 or 416) from a byte on; and how many seconds of silence are allowed.
OpenAt: TypeAlias = Callable[[int, float], requests.Response]


@dataclass(slots=True)
class _Position:
    done: int = 0  # bytes that were yielded
    ranges: bool = True  # whether the host sends the part that is asked for


def pieces(
    open_at: OpenAt, patience: Patience, *, size: int | None = None, constant: bool
) -> Iterator[tuple[int, bytes]]:
    """The content, each piece with its offset; raises ImageProblem.

    A host that cannot resume sends all of it again. `constant` content, known by its digest, is
    skipped up to where we were; else the offsets start at 0 again.
    """
    at = _Position()
    while True:
        try:
            asked = at.done if at.ranges else 0
            with patience.spend(partial(open_at, asked)) as response:
                start = _start_of(response, asked)
                if start != at.done:
                    patience.restart()
                if start is None:
                    at.ranges = False
                    continue
                at.done = at.done if constant else start
                yield from _fresh(_body(response, start, patience), at)
                _refuse_unfinished(response, at.done, size)
                return
        except Trouble as trouble:
            if at.done == size:
                return
            patience.wait(trouble)


def _fresh(body: Iterable[tuple[int, bytes]], at: _Position) -> Iterator[tuple[int, bytes]]:
    """What of it lies behind the position, which moves along."""
    for offset, chunk in body:
        fresh = chunk[max(0, at.done - offset) :]
        if fresh:
            at.done += len(fresh)
            yield at.done - len(fresh), fresh


def _start_of(response: requests.Response, asked: int) -> int | None:
    """Where the body starts; None where it is a part that was not asked for."""
    if response.status_code == 200:
        return 0
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status_code != 206 or found is None:
        return None
    return asked if int(found[1]) == asked else None


def _body(
    response: requests.Response, offset: int, patience: Patience
) -> Iterator[tuple[int, bytes]]:
    # read1 returns what is there; read would lose up to a whole chunk where a connection breaks.
    def read(_: float) -> bytes:
        with told():
            return bytes(response.raw.read1(_CHUNK, decode_content=False))

    while chunk := patience.spend(read):
        patience.gain(len(chunk))
        yield offset, chunk
        offset += len(chunk)


def _refuse_unfinished(response: requests.Response, done: int, size: int | None) -> None:
    """An answer that ends early and cannot be seen to: a part of a part, or until it closes."""
    headers = response.headers
    stated = "Content-Length" in headers or "Transfer-Encoding" in headers
    if response.status_code == 206:
        found = _RANGE.fullmatch(headers.get("Content-Range", ""))
        size = int(found[3]) if found and found[3] != "*" and size is None else size
        stated = False
    if size is not None and done < size and not stated:
        raise Trouble("broke off in the middle", again=True)


def download(
    url: str,
    path: Path,
    tell: Tell,
    *,
    step: str = "",
    hosts: Mapping[str, RegistryHost] | None = None,
    limit: int = MAX_DOWNLOAD,
    clock: Clock = REAL,
) -> int:
    """Fetch a file into a new one, and return its size; raises ImageProblem that names the URL."""
    shown, headers = _shown(url), _login(url)
    trust = trust_for(urlsplit(url).netloc.rpartition("@")[2], hosts or {})
    with Session(trust) as session, path.open("xb") as file:
        remote = _Remote(session, _shown(url, query=True), headers)
        patience = Patience(lambda: shown, tell, clock)
        for offset, chunk in pieces(remote.open, patience, constant=False):
            if offset + len(chunk) > limit:
                raise ImageProblem(f"{shown} is more than {limit >> 20} MiB: no boot file")
            if offset != file.tell():
                file.seek(offset)
                file.truncate()
            file.write(chunk)
            tell(Progress(step=step or f"fetch {shown}", done=file.tell(), total=remote.total))
        return file.seek(0, os.SEEK_END)


class _Remote:
    """One file of a web server, which may change between two answers."""

    def __init__(self, session: Session, url: str, headers: Headers) -> None:
        self._session, self._url = session, url
        self._headers = headers
        self._version = ""
        self.total = 0

    def open(self, offset: int, silence: float) -> requests.Response:
        # RFC 9110 13.1.5: with If-Range a file that has changed comes whole, with status 200.
        part = {"Range": f"bytes={offset}-", "If-Range": self._version}
        headers = self._headers | (part if offset and self._version else {})
        response = self._session.request(
            "GET", self._url, headers=headers, stream=True, timeout=silence
        )
        self._check(response)
        if response.status_code == 200:
            self._version = _version(response)
            self.total = response.raw.length_remaining or 0
        elif response.status_code == 206 and _version(response) != self._version:
            response.close()
            self._version = ""
            raise Trouble("has changed while it was fetched", again=True)
        return response

    def _check(self, response: requests.Response) -> None:
        match response.status_code:
            case 401 | 403 as status:
                response.close()
                raise Trouble(f"refuses it ({status})", "write http://USER:PASSWORD@HOST/…")
            case 404 | 410 as status:
                response.close()
                raise Trouble(f"is not there ({status})", "check the address")
        check(response, 200, 206, 416)


def _version(response: requests.Response) -> str:
    """What names this state of the file; a weak ETag does not (RFC 9110 8.8.1)."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _shown(url: str, *, query: bool = False) -> str:
    """The URL without its password; and without the query, which may be a signature."""
    parts = urlsplit(url)
    return urlunsplit(
        (
            parts.scheme,
            parts.netloc.rpartition("@")[2],
            parts.path,
            parts.query if query else "",
            "",
        )
    )


def _login(url: str) -> Headers:
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    plain = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(plain.encode()).decode()}
