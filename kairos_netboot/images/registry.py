"""Registries, through oras. It brings authentication; time-outs, checks and choices are ours."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import oras.auth
import oras.container
import oras.provider
import requests
import urllib3
from requests.adapters import HTTPAdapter

from ..errors import ImageProblem
from ..store.blobs import CHUNK, write_checked
from ..values import Digest
from .credentials import read_credentials
from .manifest import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Index, Manifest, parse
from .reference import DEFAULT_REGISTRY, RegistryReference
from .source import Report, Source, read_bounded
from .streams import Opener

# Docker's registry answers its API under another name than people write.
_DEFAULT_API = "registry-1.docker.io"
# Seconds to connect, and of silence. oras has none: a registry that hangs would hang us.
_TIMEOUTS = (10.0, 60.0)
_ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))

Headers: TypeAlias = dict[str, str]


@contextmanager
def open_registry(
    reference: RegistryReference, *, insecure: bool, environ: Mapping[str, str] = os.environ
) -> Iterator[Source]:
    """The image in its registry. Each problem is one line that names both and a way out."""
    host = _DEFAULT_API if reference.host == DEFAULT_REGISTRY else reference.host
    client = _Client(host, insecure, read_credentials(environ))
    base = f"{client.prefix}://{host}/v2/{reference.name}"

    def get(path: str, accept: str = "*/*") -> Iterator[bytes]:
        with told(reference, insecure):
            return _chunks(reference, insecure, client.get(f"{base}/{path}", accept))

    def layer(descriptor: Descriptor, directory: Path, report: Report) -> Opener:
        path = directory / descriptor.digest.hex
        if not path.exists():  # an image may hold a layer twice
            chunks = get(f"blobs/{descriptor.digest}")
            write_checked(chunks, path, descriptor.digest, descriptor.size, report)
        return lambda: path.open("rb")

    with client.session:
        yield Source(
            top=lambda: _top(reference, get),
            document=lambda descriptor: get(f"manifests/{descriptor.digest}", _ACCEPT),
            config=lambda descriptor: get(f"blobs/{descriptor.digest}"),
            layer=layer,
        )


def _top(reference: RegistryReference, get: Callable[..., Iterator[bytes]]) -> Index | Manifest:
    data = read_bounded(get(f"manifests/{reference.digest or reference.tag}", _ACCEPT))
    found = Digest.of(data)
    if reference.digest is not None and found != reference.digest:
        raise ImageProblem(f"the registry sent another manifest, {found}: do not use it")
    return parse(data)


class _TimedAdapter(HTTPAdapter):
    """Every request has time-outs, those that oras makes for tokens too."""

    def send(self, request: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        options["timeout"] = options.get("timeout") or _TIMEOUTS
        return super().send(request, **options)


class _Client(oras.provider.Registry):  # type: ignore[misc]
    """oras without its retries, which sleep for 131 s, and with both kinds of login."""

    def __init__(self, host: str, insecure: bool, credentials: Mapping[str, Any]) -> None:
        super().__init__(hostname=host, insecure=insecure)
        self._host = host
        self._credentials = credentials
        self._insecure = insecure
        self.session.mount("http://", _TimedAdapter())
        self.session.mount("https://", _TimedAdapter())
        self._log_in("token")

    def get(self, url: str, accept: str) -> requests.Response:
        # Without 'identity' some proxies pack what is then no longer the blob of that digest.
        return self.do_request(url, headers={"Accept": accept, "Accept-Encoding": "identity"})

    def do_request(  # replaces the one with the retries
        self,
        url: str,
        method: str = "GET",
        data: Any = None,
        headers: Headers | None = None,
        json: Any = None,
        stream: bool = True,
    ) -> requests.Response:
        sent: Headers = dict(headers or {})
        if self._authorised:
            sent |= self.auth.get_auth_header()
        body = {"data": data, "json": json, "stream": stream}
        response: requests.Response = self.session.request(method, url, headers=sent, **body)
        if response.status_code != 401:
            return response
        response.close()
        answered = self._authorise(response, sent)
        if answered is None:
            return response
        again: requests.Response = self.session.request(method, url, headers=answered, **body)
        return again

    def _authorise(self, response: requests.Response, headers: Headers) -> Headers | None:
        """The headers that answer the registry's challenge; None if we cannot."""
        if response.headers.get("WWW-Authenticate", "").lower().startswith("basic"):
            # oras' token login takes the realm of such a challenge for a host name.
            self._log_in("basic")
            if not getattr(self.auth, "_basic_auth", None):
                return None
        answered, changed = self.auth.authenticate_request(
            response, headers, refresh="Authorization" in headers
        )
        self._authorised = bool(changed)
        return answered if changed else None

    def _log_in(self, kind: str) -> None:
        self.auth = oras.auth.get_auth_backend(kind, self.session, self._insecure)
        self._authorised = False
        # oras itself reads ~/.docker/config.json only, and knows no DOCKER_CONFIG.
        self.auth._auth_config = self._credentials
        self.auth.load_configs(oras.container.Container("any", registry=self._host))


def _chunks(
    reference: RegistryReference, insecure: bool, response: requests.Response
) -> Iterator[bytes]:
    if response.status_code != 200:
        response.close()
    check_status(reference, response.status_code)

    def read() -> Iterator[bytes]:
        with response, told(reference, insecure):
            yield from response.raw.stream(CHUNK, decode_content=False)

    return read()


def check_status(reference: RegistryReference, status: int) -> None:
    """Raise ImageProblem for every answer but 200."""
    if status == 200:
        return
    host = reference.host
    if status in (401, 403):
        raise ImageProblem(
            f"the registry {host} refuses it ({status}): check the name, or log in with"
            f" `docker login {host}` or `skopeo login --authfile ~/.docker/config.json {host}`"
        )
    if status == 404:
        raise ImageProblem(f"the registry {host} does not have it: check the name and the tag")
    raise ImageProblem(f"the registry {host} answered with status {status}: try again later")


@contextmanager
def told(reference: RegistryReference, insecure: bool) -> Iterator[None]:
    """Whatever requests and oras raise becomes an ImageProblem that names the registry."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        words = "speaks no TLS that can be trusted: use --insecure if it is meant to speak HTTP"
        raise _problem(reference, words, error) from None
    except requests.exceptions.Timeout as error:
        raise _problem(reference, "does not answer: try again later", error) from None
    except requests.exceptions.ConnectionError as error:
        way = "without --insecure if it speaks TLS" if insecure else "and the network"
        words = f"cannot be reached: check its name and port, {way}"
        raise _problem(reference, words, error) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # oras trusts what token services answer; requests' JSONDecodeError is a ValueError.
        words = "answered the login with nonsense: check its name"
        raise _problem(reference, words, error) from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _problem(reference, "broke off in the middle: try again", error) from None


def _problem(reference: RegistryReference, words: str, error: Exception) -> ImageProblem:
    return ImageProblem(f"the registry {reference.host} {words}", details=repr(error))


# It reports failed logins on its own; our one line says the same, with a way out.
logging.getLogger("oras.logger").setLevel(logging.CRITICAL)
