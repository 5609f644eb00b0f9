"""One Redfish service: its answers, or PowerProblem in words that people can act on."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType

import aiohttp
from yarl import URL

from ..boot.power import Power, redfish_url
from ..errors import PowerProblem
from ..store.logins import Login
from .redfish_body import ROOT, Json, message, sessions_of, task_failed, task_runs
from .switch import Patience

_MOST = 4 << 20
_MOST_REDIRECTS = 3
_BUSY = (429, 502, 503, 504)
_LONGEST_PAUSE = 30.0
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Json

    @property
    def etag(self) -> str:
        return self.headers.get("ETag") or str(self.body.get("@odata.etag", ""))


class _Trouble(Exception):
    """No answer. `sent`: whether the service may have heard the question."""

    def __init__(self, words: str, *, sent: bool) -> None:
        super().__init__(words)
        self.sent = sent


@asynccontextmanager
async def open_service(power: Power, login: Login, patience: Patience) -> AsyncIterator[Service]:
    """Its session, if there is one, ends with this."""
    timeout = aiohttp.ClientTimeout(total=patience.request)
    connector = aiohttp.TCPConnector(ssl=_trust(power), limit=2)
    jar = aiohttp.DummyCookieJar()  # with a cookie a controller takes us for its web page
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, cookie_jar=jar
    ) as client:
        service = Service(client, power, login, patience)
        try:
            yield service
        finally:
            await service.log_out()


def _trust(power: Power) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=power.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise PowerProblem(f"its `ca` {power.ca} cannot be read: {error}") from None
    if power.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Service:
    def __init__(
        self, client: aiohttp.ClientSession, power: Power, login: Login, patience: Patience
    ) -> None:
        self._client, self._base = client, URL(redfish_url(power.address))
        self._name, self._login, self._patience = power.login, login, patience
        self._token = self._session = ""

    async def get(self, path: str) -> Answer:
        return self.checked(await self.ask("GET", path))

    def checked(self, answer: Answer) -> Answer:
        """The answer, if it is a good one."""
        if answer.status < 300:
            return answer
        said = self._hidden(message(answer.body))
        words = {
            403: f"the login '{self._name}' may not do that: its user needs the right to operate"
            " the machine",
            404: "its service has no such resource: is this the address of its controller?",
        }.get(answer.status, f"its controller answered {answer.status}")
        raise PowerProblem(f"{words} ({said})" if said else words)

    def _hidden(self, text: str) -> str:
        return text.replace(self._login.password, "…") if self._login.password else text

    async def ask(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        headers: Mapping[str, str] = _NOTHING,
    ) -> Answer:
        """Its answer, whichever it is but 401."""
        answer = await self._patiently(method, path, body, headers)
        # A Basic login that is refused is a wrong one: asking again would only help to lock it.
        basic = "basic" in answer.headers.get("WWW-Authenticate", "").lower()
        if answer.status == 401 and not self._token and not basic:
            await self._log_in()
            answer = await self._patiently(method, path, body, headers)
        if answer.status == 401:
            raise self._refused()
        return answer

    def _refused(self) -> PowerProblem:
        return PowerProblem(
            f"its controller refuses the login '{self._name}': give the right one with"
            f" `kairos-netboot power login {self._name} --user USER`"
        )

    async def _patiently(
        self, method: str, path: str, body: Json | None, headers: Mapping[str, str]
    ) -> Answer:
        """Asks again what was not heard, and what can be asked twice: not a reset."""
        for left in reversed(range(self._patience.tries)):
            pause = self._patience.pause * 2 ** (self._patience.tries - 1 - left)
            try:
                answer = await self._once(method, path, body, headers)
            except _Trouble as trouble:
                if left and not (trouble.sent and method == "POST"):
                    await asyncio.sleep(pause)
                    continue
                unsure = "; whether it was heard is not known" * (trouble.sent and method == "POST")
                raise PowerProblem(f"{trouble}{unsure}") from None
            if answer.status not in _BUSY or not left:
                return answer
            await asyncio.sleep(_asked_pause(answer, pause))
        raise AssertionError("one try at least")

    async def _once(
        self, method: str, path: str, body: Json | None, headers: Mapping[str, str]
    ) -> Answer:
        url = self._url(path)
        for _ in range(_MOST_REDIRECTS):
            answer = await self._exchange(method, url, body, headers)
            if method != "GET" or not 300 <= answer.status < 400:
                return answer
            url = self._url(answer.headers.get("Location", ""))
        raise PowerProblem("its service redirects without end: is this its controller's address?")

    def _url(self, where: str) -> URL:
        """On this service: what it names must not carry our login to another."""
        try:
            url = self._base.join(URL(where, encoded=True))
        except ValueError:
            url = URL()
        if not where or url.origin() != self._base.origin():
            raise PowerProblem(f"its service points to another address, '{where[:100]}'")
        return url

    async def _exchange(
        self, method: str, url: URL, body: Json | None, headers: Mapping[str, str]
    ) -> Answer:
        everything = {"Accept": "application/json", "OData-Version": "4.0", **headers}
        if self._token:
            everything["X-Auth-Token"] = self._token
        elif method != "POST" or body is None or "UserName" not in body:
            pair = f"{self._login.user}:{self._login.password}".encode()
            everything["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        with _told(self._base):
            async with self._client.request(
                method, url, json=body, headers=everything, allow_redirects=False
            ) as response:
                raw = await _read(response)
                return Answer(status=response.status, headers=response.headers, body=_parsed(raw))

    async def _log_in(self) -> None:
        """A session, for services that take no Basic login."""
        root = self.checked(await self._patiently("GET", ROOT, None, _NOTHING)).body
        words = {"UserName": self._login.user, "Password": self._login.password}
        answer = await self._patiently("POST", sessions_of(root), words, _NOTHING)
        if answer.status in (400, 401):
            raise self._refused()
        self._token = self.checked(answer).headers.get("X-Auth-Token", "")
        if not self._token:
            raise PowerProblem("its service began a session and gave no token for it")
        self._session = _location(answer)

    async def log_out(self) -> None:
        """Services have room for a few sessions only."""
        if self._session:
            with suppress(PowerProblem, _Trouble):
                await self._once("DELETE", self._session, None, _NOTHING)
            self._token = self._session = ""

    async def finish(self, answer: Answer) -> Answer:
        """The end of what may have become a task; raises PowerProblem where it failed."""
        deadline = asyncio.get_running_loop().time() + self._patience.settle
        where = _location(answer) or str(answer.body.get("@odata.id", ""))
        while where and (answer.status == 202 or task_runs(answer.body)):
            if asyncio.get_running_loop().time() > deadline:
                raise PowerProblem(
                    f"its controller has not done it after {self._patience.settle:.0f} s"
                )
            await asyncio.sleep(self._patience.poll)
            answer = await self.ask("GET", where)
            if answer.status in (404, 410):  # a task that is done may be forgotten
                return answer
        if task_failed(answer.body):
            said = self._hidden(message(answer.body))
            raise PowerProblem(f"its controller could not do it{f': {said}' if said else ''}")
        return self.checked(answer)


class _told:
    """What aiohttp raises, as _Trouble or as PowerProblem where another try is of no use."""

    def __init__(self, base: URL) -> None:
        self._base = base

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        match error:
            case aiohttp.ClientConnectorCertificateError():
                why = getattr(error.certificate_error, "verify_message", "") or "not known here"
                raise PowerProblem(
                    f"the certificate of {self._base} is not trusted ({why}): give its authority as"
                    " `ca`, or `insecure: true`"
                ) from None
            case aiohttp.ClientSSLError():
                raise PowerProblem(f"no TLS with {self._base}: {error.os_error}") from None
            case aiohttp.ClientConnectorError():
                why = error.os_error.strerror or str(error.os_error)
                raise _Trouble(f"{self._base} cannot be reached: {why}", sent=False) from None
            case TimeoutError():
                raise _Trouble(f"{self._base} does not answer", sent=True) from None
            case aiohttp.ClientError() | OSError():
                raise _Trouble(f"{self._base} broke off: {error}", sent=True) from None
            case _:
                return


async def _read(response: aiohttp.ClientResponse) -> bytes:
    raw = b""
    async for chunk in response.content.iter_chunked(1 << 16):
        raw += chunk
        if len(raw) > _MOST:
            raise PowerProblem(f"its service sent more than {_MOST >> 20} MiB")
    return raw


def _parsed(raw: bytes) -> Json:
    """Errors may come as a web page, and success as nothing."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _location(answer: Answer) -> str:
    """Without its host: a controller may call itself by another name than we do."""
    try:
        return URL(answer.headers.get("Location", ""), encoded=True).raw_path_qs
    except ValueError:
        return ""


def _asked_pause(answer: Answer, usual: float) -> float:
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_PAUSE) if asked.isdecimal() else usual
