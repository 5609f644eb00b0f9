"""HTTP with time-outs, careful redirects and one exception. Nothing of requests leaves it."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeAlias
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

CONNECT, SILENCE = 10.0, 30.0  # seconds
_WHOLE = 60.0  # seconds that a document of a few MiB may take
_MAX_ANSWER = 1 << 20  # of a token service
_MAX_REDIRECTS = 5
_PASSING = (408, 429, 500, 502, 503, 504)
_LATER = "try again later"

Headers: TypeAlias = dict[str, str]


class Trouble(Exception):
    """What a host did wrong, in words that follow its name, and the way out.

    `again`: it may go better the next time, not before `after` seconds where the host said so.
    `status`: what it answered; None where it did not.
    """

    def __init__(
        self,
        words: str,
        way: str = _LATER,
        *,
        again: bool = False,
        after: float | None = None,
        status: int | None = None,
        details: str = "",
    ) -> None:
        super().__init__(words)
        self.words, self.way, self.about, self.details = words, way, "", details
        self.again, self.after, self.status = again, after, status


class Session(requests.Session):
    """Raises Trouble only. `trust` holds the authorities that may sign certificates."""

    def __init__(self, trust: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.mount("https://", _Adapter(trust))
        # Some proxies pack what is then no longer the blob of that digest.
        self.headers.update({"Accept-Encoding": "identity", "User-Agent": "kairos-netboot"})
        # Without one of its own, requests replaces the login we send by that of ~/.netrc.
        self.auth = _unchanged
        # Harbor takes a client that keeps cookies for a browser, and wants CSRF tokens of it.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        stream: bool = False,
        timeout: float | None = None,
        **options: Any,
    ) -> requests.Response:
        # requests reads the whole body of a redirect, however long it is: we follow them.
        options |= {"timeout": (CONNECT, timeout or SILENCE), "allow_redirects": False}
        with told():
            response = self._send(method, url, **options)
            for _ in range(_MAX_REDIRECTS):
                if method not in ("GET", "HEAD") or not response.is_redirect:
                    return response if stream else _short(response)
                response.close()
                url, options = _redirected(response, options)
                response = self._send(method, url, **options)
            response.close()
        raise Trouble(f"redirects more than {_MAX_REDIRECTS} times", "check its address")

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        return super().request(method, url, stream=True, **options)


class _Adapter(HTTPAdapter):
    def __init__(self, trust: ssl.SSLContext | None) -> None:
        self._trust = trust
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._trust, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(
            proxy, ssl_context=self._trust, **options
        )
        return manager


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def same_origin(one: str, other: str) -> bool:
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def sent_on(response: requests.Response, target: str) -> str:
    """The URL that an answer points to; raises Trouble where whoever asked for TLS lost it."""
    with told():
        url = urljoin(response.url, target)
        scheme, was = _origin(url)[0], _origin(response.url)[0]
    if scheme not in ("https", was):
        raise Trouble(f"redirects to {scheme}://, without TLS", "check its address")
    return url


def _redirected(response: requests.Response, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    target = sent_on(response, response.headers["Location"])
    headers = dict(options.get("headers") or {})
    if not same_origin(response.url, target):
        # Blobs often are in object stores, which sign the address and refuse a second login.
        headers.pop("Authorization", None)
    return target, options | {"headers": headers, "params": None}


def _short(response: requests.Response) -> requests.Response:
    """An answer of a token service, read at once."""
    if response.status_code in _PASSING:
        raise trouble_of(response)
    response.raw = io.BytesIO(whole(response, _MAX_ANSWER))
    return response


def whole(response: requests.Response, limit: int, *, seconds: float = _WHOLE) -> bytes:
    """The body of a small document. It is as it was sent: registries are asked not to pack."""
    data, until = bytearray(), time.monotonic() + seconds
    with response, told():
        while chunk := response.raw.read1(limit, decode_content=False):
            data += chunk
            if len(data) > limit:
                raise Trouble(f"sent a document of more than {limit >> 20} MiB", "do not use it")
            if time.monotonic() > until:
                raise Trouble("sends hardly anything", again=True)
    return bytes(data)


def check(response: requests.Response, *accepted: int) -> None:
    """Raise Trouble for an answer with any other status."""
    if response.status_code not in accepted:
        raise trouble_of(response)


def trouble_of(response: requests.Response) -> Trouble:
    """What a status that was not hoped for means; the answer is closed."""
    response.close()
    status = response.status_code
    if status in _PASSING:
        return Trouble(f"answers {status}", again=True, after=_retry_after(response), status=status)
    return Trouble(f"answered with status {status}", status=status)


def _retry_after(response: requests.Response) -> float | None:
    """Seconds; a date is counted from the answer's own, as clocks differ."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until, sent = (parsedate_to_datetime(t) for t in (text, response.headers.get("Date", "")))
        return max(0.0, (until - sent).total_seconds())
    except (ValueError, TypeError):
        return None


@contextmanager
def told() -> Iterator[None]:
    """Whatever requests and urllib3 raise becomes Trouble."""
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _trouble(error) from None
    except (ValueError, UnicodeError) as error:  # a Location or port that is none
        raise Trouble("sent an address that is none", details=repr(error)) from None


def _trouble(error: BaseException) -> Trouble:
    details = repr(error)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return Trouble("has an address that is none", "check it", details=details)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return _tls_trouble(cause, details)
        if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
            return Trouble("has a name that nobody knows", "check its spelling", details=details)
        for kinds, words, way in _PASSING_ERRORS:
            if isinstance(cause, kinds):
                return Trouble(words, way, again=True, details=details)
    return Trouble("cannot be reached", _REACH, again=True, details=details)


_REACH = "check its name and port, and the network"
_PASSING_ERRORS: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    ((ConnectionRefusedError,), "refuses the connection", _REACH),
    ((TimeoutError, urllib3.exceptions.ReadTimeoutError), "does not answer", _LATER),
    ((ConnectionError, http.client.HTTPException), "broke off in the middle", _LATER),
)


def _tls_trouble(error: ssl.SSLError, details: str) -> Trouble:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message or "certificate verify failed"
        way = "have its CA's certificate named in the site file, or in /etc/containers/certs.d"
        return Trouble(f"has a certificate that is not trusted ({why})", way, details=details)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Trouble("broke off in the middle", again=True, details=details)
    words = "speaks no TLS that can be trusted"
    return Trouble(words, "use --insecure if it is meant to speak HTTP", details=details)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all it wraps: requests and urllib3 keep the cause in one of these places."""
    found: list[object] = [error]
    seen: set[int] = set()
    while found:
        cause = found.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            found += [*cause.args, getattr(cause, "reason", None)]
            found += [cause.__cause__, cause.__context__]
