"""A Redfish service with the quirks that ours has to live with, each one switchable."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

USER, PASSWORD = "operator", "hunter2"
ALL_RESETS = ("On", "ForceOff", "GracefulShutdown", "GracefulRestart", "ForceRestart")


@dataclass(kw_only=True)
class Quirks:
    systems: tuple[str, ...] = ("1",)
    pages: bool = False  # a page for each system
    resets: tuple[str, ...] | None = ALL_RESETS
    resets_elsewhere: bool = False  # told by @Redfish.ActionInfo only
    targets: tuple[str, ...] | None = ("Pxe", "Hdd", "UefiHttp")
    mode: str = "UEFI"
    refuses_mode: bool = False  # HPE
    forgets_mode: bool = False  # Supermicro: back to Legacy unless it is told
    etag: str = ""
    wants_etag: bool = False  # AMI: 428 without
    takes_etag: tuple[str, ...] = ()  # what it takes back; empty: what it gave
    settings: bool = False  # the order is taken at the settings resource only
    silent: bool = False  # the order does not show
    task: int = 0  # resets are tasks that end after so many questions; -1: never
    task_fails: bool = False
    slow: int = 0  # the power state follows after so many questions
    stuck: bool = False  # never
    busy: int = 0  # 503 before it answers
    retry_after: str = ""
    session_only: bool = False
    forbidden: bool = False
    basic_challenge: bool = True
    points_away: bool = False
    calls_itself: str = ""  # before paths in Location
    hangs: str = ""  # the method that it never answers
    page_instead: bool = False  # an HTML page, as from any web server


@dataclass
class Service:
    quirks: Quirks
    power: str = "On"
    pending: str = ""
    waits: int = 0
    boot: dict[str, Any] = field(default_factory=dict)
    resets: list[str] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    etags: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    logins: int = 0
    base: str = ""

    def __post_init__(self) -> None:
        self.boot = {
            "BootSourceOverrideEnabled": "Disabled",
            "BootSourceOverrideTarget": "None",
            "BootSourceOverrideMode": self.quirks.mode,
        }

    async def answer(self, request: web.Request) -> web.Response:
        self.asked[f"{request.method} {request.path}"] += 1
        if request.method == self.quirks.hangs:
            await asyncio.sleep(60)
        if self.quirks.busy:
            self.quirks.busy -= 1
            headers = {"Retry-After": self.quirks.retry_after} if self.quirks.retry_after else {}
            return web.Response(status=503, headers=headers)
        if self.quirks.page_instead:
            return web.Response(text="<h1>It works!</h1>", content_type="text/html")
        if request.path == "/redfish/v1/":
            return self._root()
        if request.path == "/redfish/v1/Sessions":
            return await self._session(request)
        if not self._let_in(request):
            challenge = {"WWW-Authenticate": 'Basic realm="x"'}
            headers = challenge if self.quirks.basic_challenge else {}
            return web.json_response(_error("no valid authentication"), status=401, headers=headers)
        if self.quirks.forbidden:
            return web.json_response(_error(f"no {PASSWORD} for you\n"), status=403)
        return await self._inside(request)

    def _root(self) -> web.Response:
        away = "http://192.0.2.99/redfish/v1/Systems"
        where = away if self.quirks.points_away else "/redfish/v1/Systems"
        links = {"Sessions": {"@odata.id": "/redfish/v1/Sessions"}}
        return web.json_response({"Systems": {"@odata.id": where}, "Links": links})

    async def _session(self, request: web.Request) -> web.Response:
        self.logins += 1
        said = await request.json()
        if "Authorization" in request.headers or said != {"UserName": USER, "Password": PASSWORD}:
            return web.json_response(_error("wrong"), status=401)
        self.tokens.add("token-1")
        headers = {
            "X-Auth-Token": "token-1",
            "Location": f"{self.quirks.calls_itself}/redfish/v1/Sessions/1",
        }
        return web.json_response({}, status=201, headers=headers)

    def _let_in(self, request: web.Request) -> bool:
        if request.headers.get("X-Auth-Token") in self.tokens:
            return True
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        asked = request.headers.get("Authorization") == f"Basic {basic}"
        return asked and not self.quirks.session_only

    async def _inside(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix("/redfish/v1/")
        if request.method == "DELETE":
            self.tokens.clear()
            return web.Response(status=204)
        if path == "Systems":
            return self._collection(request)
        if path == "ResetInfo":
            parameter = {"Name": "ResetType", "AllowableValues": list(self.quirks.resets or ())}
            return web.json_response({"Parameters": [{"Name": "Else"}, parameter]})
        if path == "Tasks/1":
            return self._task()
        if path.endswith("/Reset"):
            return await self._reset(request)
        if path.split("/")[1] not in self.quirks.systems:
            return web.Response(status=404)
        if path.endswith("/Settings") and not self.quirks.settings:
            return web.Response(status=404)
        return await self._system(request)

    def _collection(self, request: web.Request) -> web.Response:
        paths = [{"@odata.id": f"/redfish/v1/Systems/{name}"} for name in self.quirks.systems]
        if not self.quirks.pages:
            return web.json_response({"Members": paths})
        page = int(request.query.get("page", "0"))
        body: dict[str, object] = {"Members": paths[page : page + 1]}
        if page + 1 < len(paths):
            body["Members@odata.nextLink"] = f"/redfish/v1/Systems?page={page + 1}"
        return web.json_response(body)

    def _task(self) -> web.Response:
        self.quirks.task -= 1 if self.quirks.task > 0 else 0
        if self.quirks.task:
            return web.json_response({"TaskState": "Running"}, status=202)
        if self.quirks.task_fails:
            said = [{"Message": "the fan is on strike"}]
            return web.json_response({"TaskState": "Exception", "Messages": said})
        return web.json_response({"TaskState": "Completed"})

    async def _reset(self, request: web.Request) -> web.Response:
        kind = (await request.json())["ResetType"]
        if self.quirks.resets is not None and kind not in self.quirks.resets:
            return web.json_response(_error(f"{kind} is not offered"), status=400)
        self.resets.append(kind)
        off = kind in ("ForceOff", "GracefulShutdown", "PushPowerButton")
        self.pending, self.waits = "Off" if off else "On", self.quirks.slow
        if self.quirks.task:
            where = f"{self.quirks.calls_itself}/redfish/v1/Tasks/1"
            return web.Response(status=202, headers={"Location": where})
        return web.Response(status=204)

    async def _system(self, request: web.Request) -> web.Response:
        settings = request.path.endswith("/Settings")
        if request.method == "PATCH":
            refused = await self._order(request, settings=settings)
            return refused or web.Response(status=204)
        headers = {"ETag": self.quirks.etag} if self.quirks.etag else {}
        return web.json_response(self._body(settings=settings), headers=headers)

    def _body(self, *, settings: bool) -> dict[str, Any]:
        if self.pending and not self.quirks.stuck:
            if self.waits <= 0:
                self.power, self.pending = self.pending, ""
            self.waits -= 1
        shown = self.boot
        if self.quirks.silent or (self.quirks.settings and not settings):
            shown = {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"}
        boot = dict(shown)
        if self.quirks.targets is not None:
            boot["BootSourceOverrideTarget@Redfish.AllowableValues"] = list(self.quirks.targets)
        reset: dict[str, object] = {"target": "/redfish/v1/Systems/1/Actions/Reset"}
        if self.quirks.resets_elsewhere:
            reset["@Redfish.ActionInfo"] = "/redfish/v1/ResetInfo"
        elif self.quirks.resets is not None:
            reset["ResetType@Redfish.AllowableValues"] = list(self.quirks.resets)
        body = {"PowerState": self.power, "Boot": boot}
        body |= {"Actions": {"#ComputerSystem.Reset": reset}}
        if self.quirks.settings:
            where = {"@odata.id": "/redfish/v1/Systems/1/Settings"}
            body["@Redfish.Settings"] = {"SettingsObject": where}
        return body

    async def _order(self, request: web.Request, *, settings: bool) -> web.Response | None:
        tag, quirks = request.headers.get("If-Match", ""), self.quirks
        self.etags.append(tag)
        if quirks.wants_etag and not tag:
            return web.json_response(_error("If-Match is missing"), status=428)
        if tag and tag not in (quirks.takes_etag or (quirks.etag,)):
            return web.json_response(_error("another tag"), status=412)
        if quirks.settings and not settings:
            return web.json_response(_error("not here"), status=400)
        told = (await request.json())["Boot"]
        if quirks.refuses_mode and "BootSourceOverrideMode" in told:
            return web.json_response(_error("the mode is read-only"), status=400)
        if quirks.forgets_mode:
            self.boot["BootSourceOverrideMode"] = "Legacy"
        self.boot.update(told)
        return None


def _error(words: str) -> dict[str, object]:
    return {"error": {"code": "Base.1.0", "@Message.ExtendedInfo": [{"Message": words}]}}


@asynccontextmanager
async def serve(
    quirks: Quirks | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Service]:
    """On a port of loopback that the kernel chooses."""
    service = Service(quirks or Quirks())
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    server = TestServer(app, scheme="https" if tls else "http")
    await server.start_server(ssl=tls)
    service.base = f"{server.scheme}://127.0.0.1:{server.port}"
    try:
        yield service
    finally:
        await server.close()
