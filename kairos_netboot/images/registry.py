"""Registries, with oras for their logins; time-outs, checks and choices are ours."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any

import oras.auth.token
import requests

from ..boot.site import RegistryHost
from .credentials import Login, login_for, read_logins
from .endpoints import Endpoint, endpoints_for, trust_for
from .manifest import Descriptor, Index, Manifest, parse
from .patience import REAL, Clock
from .place import Body, Place
from .progress import Tell
from .reference import RegistryReference
from .repository import Repository
from .session import Headers, Session, Trouble, same_origin
from .source import Source

_TOKEN = re.compile(r"[!-~]{1,65536}")
_CLIENT = "kairos-netboot"


@contextmanager
def open_registry(
    reference: RegistryReference,
    *,
    insecure: bool,
    hosts: Mapping[str, RegistryHost],
    tell: Tell,
    environ: Mapping[str, str] = os.environ,
    clock: Clock = REAL,
) -> Iterator[Source]:
    """The image in its registry. Each problem is one line that names both and a way out."""
    with open_repository(
        reference, insecure=insecure, hosts=hosts, tell=tell, environ=environ, clock=clock
    ) as repository:
        yield source_of(repository, reference)


def source_of(repository: Repository, reference: RegistryReference) -> Source:
    """Reading an image through a repository that is open already."""

    def top() -> Index | Manifest:
        which = reference.digest or reference.tag
        return parse(repository.document(which, reference.digest))

    def document(descriptor: Descriptor) -> tuple[bytes]:
        return (repository.document(descriptor.digest, descriptor.digest),)

    return Source(
        top=top,
        document=document,
        blob=repository.blob,
        tagged=repository.find,
        referrers=repository.referrers,
    )


@contextmanager
def open_repository(
    reference: RegistryReference,
    *,
    insecure: bool,
    hosts: Mapping[str, RegistryHost],
    tell: Tell,
    environ: Mapping[str, str] = os.environ,
    clock: Clock = REAL,
) -> Iterator[Repository]:
    """Where the reference's name is kept, to read and to write."""
    logins = read_logins(environ)

    @cache
    def log_in(host: str) -> Login | None:
        return login_for(host, logins, environ, tell)

    with ExitStack() as sessions:

        def place(endpoint: Endpoint) -> Place:
            trust = None if endpoint.plain else trust_for(endpoint.host, hosts)
            session = sessions.enter_context(Session(trust))
            client = _Client(endpoint, session, partial(log_in, endpoint.host))
            return Place(endpoint, reference.name, client.ask)

        endpoints = endpoints_for(reference.host, insecure=insecure, hosts=hosts)
        yield Repository([place(endpoint) for endpoint in endpoints], tell, clock)


class _Client:
    """One endpoint, logged in when it asks for it, with its own host's login and no other's."""

    def __init__(
        self, endpoint: Endpoint, session: Session, login: Callable[[], Login | None]
    ) -> None:
        self._endpoint, self._session, self._login = endpoint, session, login
        self._lock = threading.Lock()
        self._authorization = ""

    def ask(
        self, method: str, url: str, headers: Headers, silence: float, body: Body = b""
    ) -> requests.Response:
        used = self._authorization
        response = self._send(method, url, headers, silence, body, used)
        # A 401 of where it redirected to must not choose who gets to see the login.
        if response.status_code != 401 or not same_origin(response.url, self._endpoint.base):
            return response
        response.close()
        renewed = self._renewed(response, used)
        if not renewed:
            return response
        return self._send(method, url, headers, silence, body, renewed)

    def _send(
        self, method: str, url: str, headers: Headers, silence: float, body: Body, login: str
    ) -> requests.Response:
        # Uploads may go to another host, at an address that says who may.
        own = same_origin(url, self._endpoint.base)
        sent = headers | ({"Authorization": login} if login and own else {})
        return self._session.request(
            method, url, headers=sent, stream=True, timeout=silence, data=body or None
        )

    def _renewed(self, response: requests.Response, used: str) -> str:
        """The header that answers the challenge; empty if we have no other than was `used`."""
        with self._lock:
            if self._authorization != used:  # another thread's answer came first
                return self._authorization
            try:
                self._authorization = self._answer(response)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                # oras trusts what token services answer; JSONDecodeError is a ValueError.
                words, way = "answered the login with nonsense", "check its name"
                raise Trouble(words, way, details=repr(error)) from None
            return self._authorization if self._authorization != used else ""

    def _answer(self, response: requests.Response) -> str:
        login = self._login()
        # oras' token login takes the realm of a Basic challenge for a host name.
        if response.headers.get("WWW-Authenticate", "").lower().startswith("basic"):
            return f"Basic {login.basic}" if login and login.basic else ""
        tokens = _Tokens(self._endpoint, self._session, login)
        headers, changed = tokens.authenticate_request(response, {})
        return str(headers["Authorization"]) if changed else ""


class _Tokens(oras.auth.token.TokenAuth):  # type: ignore[misc]
    """oras' token login, with identity tokens, and never over plain HTTP that nobody asked for."""

    def __init__(self, endpoint: Endpoint, session: Session, login: Login | None) -> None:
        super().__init__()
        self.session, self._tls_verify = session, True
        self.prefix = "http" if endpoint.plain else "https"
        self._identity = login.secret if login and not login.user else ""
        if login and login.user:
            self.set_basic_auth(login.user, login.secret)

    def request_anonymous_token(self, challenge: Any) -> str | None:
        if self._identity:
            return None
        return self._checked(challenge, super().request_anonymous_token)

    def request_token(self, challenge: Any) -> str | None:
        ask = self._exchange if self._identity else super().request_token
        return self._checked(challenge, ask)

    def _checked(self, challenge: Any, ask: Callable[[Any], object]) -> str | None:
        if self.prefix == "https" and challenge.realm.lower().startswith("http:"):
            raise Trouble("wants the login sent without TLS", "do not use it")
        token = ask(challenge)
        if not token:
            return None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise ValueError(f"no token: {token!r:.80}")
        return token

    def _exchange(self, challenge: Any) -> object:
        """An access token for an identity token, by Docker's use of OAuth2."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self._identity,
            "client_id": _CLIENT,
            "service": challenge.service or "",
            "scope": challenge.scope or "",
        }
        response = self.session.request("POST", challenge.realm, data=form)
        if response.status_code != 200:
            return None
        answer = response.json()
        return answer.get("access_token") or answer.get("token")


# It reports failed logins on its own; our one line says the same, with a way out.
logging.getLogger("oras.logger").setLevel(logging.CRITICAL)
