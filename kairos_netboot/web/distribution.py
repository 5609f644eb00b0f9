"""The OCI distribution API in words: paths, errors, Accept lists, paging. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote, urlencode

from ..errors import InvalidValue, NetbootError
from ..images.manifest import INDEX_TYPES, MANIFEST_TYPES
from ..images.reference import is_name, is_tag
from ..values import Digest, printable

INDEX_TYPE, DOCKER_MANIFEST_TYPE = INDEX_TYPES[0], MANIFEST_TYPES[1]

# The longest name, the longest tag and the words between them fit twice.
_LONGEST_PATH = 1024
_TAGS = re.compile(r"/v2/(.+)/tags/list", re.DOTALL)
_PART = re.compile(r"/v2/(.+)/(manifests|blobs|referrers)/([^/]*)", re.DOTALL)


class Code(StrEnum):
    """Errors of the specification; the last is Docker's."""

    NAME_INVALID = "NAME_INVALID"
    NAME_UNKNOWN = "NAME_UNKNOWN"
    TAG_INVALID = "TAG_INVALID"
    DIGEST_INVALID = "DIGEST_INVALID"
    MANIFEST_UNKNOWN = "MANIFEST_UNKNOWN"
    BLOB_UNKNOWN = "BLOB_UNKNOWN"
    UNSUPPORTED = "UNSUPPORTED"
    PAGINATION_NUMBER_INVALID = "PAGINATION_NUMBER_INVALID"


_STATUS = {
    Code.NAME_INVALID: 400,
    Code.TAG_INVALID: 400,
    Code.DIGEST_INVALID: 400,
    Code.PAGINATION_NUMBER_INVALID: 400,
    Code.UNSUPPORTED: 405,
}


class Refused(NetbootError):
    """A request that the registry does not answer; `code` is what its client understands."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = _STATUS.get(code, 404)

    @property
    def body(self) -> dict[str, object]:
        return {"errors": [{"code": self.code, "message": str(self)}]}


class What(StrEnum):
    API = "api"
    CATALOG = "catalog"
    TAGS = "tags"
    MANIFEST = "manifests"
    BLOB = "blobs"
    REFERRERS = "referrers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a path asks for. `tag` or `digest` where it names one."""

    what: What
    name: str = ""
    tag: str = ""
    digest: Digest | None = None


def read_path(raw: str) -> Ask:
    """Read a path as it came, still percent-encoded; raises Refused."""
    path = _decoded(raw)
    if path in ("/v2", "/v2/"):
        return Ask(what=What.API)
    if path == "/v2/_catalog":
        return Ask(what=What.CATALOG)
    if tags := _TAGS.fullmatch(path):
        return Ask(what=What.TAGS, name=_name(tags[1]))
    if part := _PART.fullmatch(path):
        return _part(_name(part[1]), What(part[2]), part[3])
    raise Refused(Code.NAME_UNKNOWN, f"the distribution API has no '{printable(path, 80)}'")


def _decoded(raw: str) -> str:
    """Once. An encoded slash would move the borders between the parts, so there is none."""
    if len(raw) > _LONGEST_PATH:
        raise Refused(Code.NAME_INVALID, f"a path has at most {_LONGEST_PATH} characters")
    if "%2f" in raw.lower():
        raise Refused(Code.NAME_INVALID, "write the slashes of a name as they are, not as %2F")
    return unquote(raw)


def _name(text: str) -> str:
    if not is_name(text):
        raise Refused(Code.NAME_INVALID, f"'{printable(text, 80)}' is no name of a repository")
    return text


def _part(name: str, what: What, last: str) -> Ask:
    if what is not What.MANIFEST or ":" in last:
        return Ask(what=what, name=name, digest=_digest(last))
    if not is_tag(last):
        raise Refused(Code.TAG_INVALID, f"'{printable(last, 80)}' is no tag")
    return Ask(what=what, name=name, tag=last)


def _digest(text: str) -> Digest:
    try:
        return Digest(text)
    except InvalidValue as error:
        raise Refused(Code.DIGEST_INVALID, printable(str(error))) from None


def accepts(headers: Sequence[str], media_type: str) -> bool:
    """Whether a request with these Accept headers takes the type.

    By RFC 9110, 12.5.1: none means anything, the most specific range decides, q=0 refuses.
    """
    wanted: dict[str, bool] = {}
    for item in ",".join(headers).lower().split(","):
        media_range, *parameters = (part.strip() for part in item.split(";"))
        if media_range:
            wanted[media_range] = not any(map(_is_zero, parameters))
    family = media_type.partition("/")[0]
    # containerd before 1.6 writes a bare "*" for "*/*".
    for known in (media_type.lower(), f"{family}/*", "*/*", "*"):
        if known in wanted:
            return wanted[known]
    return not wanted


def _is_zero(parameter: str) -> bool:
    return re.fullmatch(r"q\s*=\s*0(\.0{0,3})?", parameter) is not None


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a sorted list. `link` is the Link header's value; empty on the last page."""

    items: tuple[str, ...]
    link: str = ""


def page(items: Iterable[str], path: str, query: Mapping[str, str]) -> Page:
    """The items after `last`, at most `n` of them; raises Refused."""
    last, count = query.get("last", ""), query.get("n", "")
    left = sorted(item for item in items if item > last)
    if not count:
        return Page(tuple(left))
    if not re.fullmatch(r"[0-9]{1,9}", count):
        raise Refused(Code.PAGINATION_NUMBER_INVALID, f"n={printable(count, 20)} is no number")
    shown = left[: int(count)]
    if not shown or len(shown) == len(left):
        return Page(tuple(shown))
    following = urlencode({**query, "last": shown[-1]})
    return Page(tuple(shown), f'<{path}?{following}>; rel="next"')
