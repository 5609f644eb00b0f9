"""One endpoint of a repository, asked in words of HTTP; its refusals in words for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias
from urllib.parse import urljoin

import requests

from .endpoints import Endpoint
from .session import Headers, Trouble, trouble_of

_READ = 1 << 18


class Upload:
    """A file as the body of a request, as often as it takes."""

    def __init__(self, path: Path, size: int, sent: Callable[[int], None]) -> None:
        self._path, self._size, self._sent = path, size, sent

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            while chunk := file.read(_READ):
                yield chunk
                self._sent(len(chunk))


Body: TypeAlias = bytes | Upload


class Ask(Protocol):
    """One request, logged in where that is asked for; raises Trouble if there is no answer."""

    def __call__(
        self, method: str, url: str, headers: Headers, silence: float, body: Body = b""
    ) -> requests.Response: ...


class Place:
    """`down`: it did not answer, and is asked last from then on."""

    def __init__(self, endpoint: Endpoint, name: str, ask: Ask) -> None:
        self.endpoint, self.down = endpoint, False
        self._base, self._ask = f"{endpoint.base}{name}/", ask

    def get(
        self, path: str, silence: float, *, headers: Headers, accepted: Sequence[int] = (200,)
    ) -> requests.Response:
        response = self._asked("GET", path, headers, silence)
        if response.status_code not in accepted:
            raise self._about_reading(response)
        return response

    def write(
        self,
        method: str,
        path: str,
        silence: float,
        *,
        headers: Headers,
        accepted: Sequence[int],
        body: Body = b"",
    ) -> requests.Response:
        response = self._asked(method, path, headers, silence, body)
        response.close()
        if response.status_code not in accepted:
            raise self._about_writing(response)
        return response

    def _asked(
        self, method: str, path: str, headers: Headers, silence: float, body: Body = b""
    ) -> requests.Response:
        try:
            return self._ask(method, urljoin(self._base, path), headers, silence, body)
        except Trouble as trouble:
            if self.endpoint.plain and trouble.again:
                trouble.way += "; without --insecure if it speaks TLS"
            raise

    def _about_reading(self, response: requests.Response) -> Trouble:
        host, status = self.endpoint.host, response.status_code
        match status:
            case 401 | 403:
                words = f"refuses it ({status})"
                way = (
                    f"check the name, or log in with `docker login {host}` or"
                    f" `skopeo login --authfile ~/.docker/config.json {host}`"
                )
            case 404:
                words, way = "does not have it", "check the name and the tag"
            case _:
                return self._about(response)
        response.close()
        return Trouble(words, way, status=status)

    def _about_writing(self, response: requests.Response) -> Trouble:
        host, status = self.endpoint.host, response.status_code
        match status:
            case 401 | 403:
                words = f"does not let us write ({status})"
                way = f"log in with `docker login {host}` as someone who may push there"
            case 404:
                words, way = "has no such repository (404)", "create it there first"
            case 405:
                words = "takes nothing (405)"
                way = "it is read-only: push to another, or have that changed"
            case 413:
                words = "takes no file of that size (413)"
                way = "have the limit for uploads raised, of the registry or the proxy before it"
            case _:
                return self._about(response)
        return Trouble(words, way, status=status)

    def _about(self, response: requests.Response) -> Trouble:
        trouble = trouble_of(response)
        if self.endpoint.plain and trouble.status == 400:  # Go's answer to HTTP where it has HTTPS
            trouble.way = "try it without --insecure"
        return trouble
