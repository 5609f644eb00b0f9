"""Fields of the site file as values; each mistake with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import ParamSpec, TypeVar

from ..boot.cmdline import ROOM_FOR_ARGUMENTS, refuse_meaningful
from ..boot.site import ExitMethod, exits_of
from ..cloudconfig.spelling import hint_or_known
from ..errors import InvalidValue
from ..values import IMAGE_ARCHES, Arch, Firmware, Mac
from .located import Located

P = ParamSpec("P")
T = TypeVar("T")
_Word = TypeVar("_Word", bound=StrEnum)


def checked(at: Located, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `read` makes of the arguments; its InvalidValue is a mistake at this place."""
    try:
        return read(*args, **kwargs)
    except InvalidValue as error:
        raise at.mistake(str(error)) from None


def named(fields: Mapping[str, Located], key: str) -> Iterable[tuple[str, Located]]:
    return fields[key].entries() if key in fields else ()


def required(at: Located, fields: Mapping[str, Located], key: str) -> Located:
    if key not in fields:
        raise at.mistake(f"'{key}' is missing")
    return fields[key]


def choice(fields: Mapping[str, Located], key: str, default: _Word) -> _Word:
    words = type(default)
    return words(fields[key].choice(*words)) if key in fields else default


def platform(at: Located | None) -> Arch:
    """`amd64` or, as container tools say it, `linux/amd64`."""
    if at is None:
        return Arch.AMD64
    text = at.text().removeprefix("linux/")
    return Arch(text) if text in IMAGE_ARCHES else Arch(at.choice(*IMAGE_ARCHES))


def document_key(at: Located | None) -> str:
    """A secret that stands in an address: long enough that nobody finds it by trying."""
    if at is None:
        return ""
    if not re.fullmatch(r"[0-9A-Za-z_-]{32,128}", at.text()):
        raise at.mistake(
            "a key for documents is 32 letters and digits or more: `openssl rand -hex 16` makes one"
        )
    return at.text()


def one_of(at: Located, known: Mapping[str, object], what: str) -> str:
    name = at.text()
    if name not in known:
        raise at.mistake(f"no {what} '{name}'{hint_or_known(name, known)}")
    return name


def texts(at: Located | None) -> list[Located]:
    """A list, or one text that stands for a list of one."""
    if at is None:
        return []
    return [at] if isinstance(at.value(), str) else at.elements()


def macs(at: Located) -> list[Located]:
    found = texts(at) if not isinstance(at.value(), int) else [at]
    if not found:
        raise at.mistake("a node needs at least one MAC address")
    return found


def card(at: Located) -> Mac:
    mac = checked(at, Mac, at.text())
    if int(mac[:2], 16) & 1:
        raise at.mistake(f"{mac} is a group address, not one machine's")
    return mac


def kernel_args(at: Located | None, *, is_kairos: bool = True) -> tuple[str, ...]:
    """Checked here, where a mistake has a line, and once more with the whole command line."""
    words = texts(at)
    for word in words:
        if not word.text().isprintable() or "${" in word.text():
            raise word.mistake(
                "a kernel argument is one line of text, without ${ which iPXE expands"
            )
        if is_kairos:
            checked(word, refuse_meaningful, word.text())
    if at and sum(len(word.text()) + 1 for word in words) > ROOM_FOR_ARGUMENTS:
        raise at.mistake(
            f"more than {ROOM_FOR_ARGUMENTS} characters: the kernel would cut its command line"
        )
    return tuple(word.text() for word in words)


def variables(at: Located | None) -> dict[str, object]:
    return {name: value.value() for name, value in at.entries()} if at else {}


def exits(at: Located | None) -> dict[Firmware, ExitMethod]:
    """`exit: silence` for every firmware that can do it, or one method for each firmware."""
    if at is None:
        return {}
    if isinstance(at.value(), str):
        method = ExitMethod(at.choice(*ExitMethod))
        return {f: method for f in Firmware if method in exits_of(f)}
    found = {}
    for key, value in at.fields(*Firmware).items():
        firmware, method = Firmware(key), ExitMethod(value.choice(*ExitMethod))
        if method not in exits_of(firmware):
            others = ", ".join(exits_of(firmware))
            raise value.mistake(f"{method} is not for {firmware} machines, which have {others}")
        found[firmware] = method
    return found


def flag(fields: Mapping[str, Located], key: str, *, default: bool) -> bool:
    return fields[key].flag() if key in fields else default


def word(fields: Mapping[str, Located], key: str, default: str) -> str:
    return fields[key].text() if key in fields else default


def number(fields: Mapping[str, Located], key: str, default: int | None) -> int | None:
    if key not in fields:
        return default
    text = fields[key].text()
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise fields[key].mistake(f"'{text}' is no number")
    return int(text)


_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(fields: Mapping[str, Located], key: str, default: int) -> int:
    """In seconds."""
    if key not in fields:
        return default
    match = _DURATION.fullmatch(fields[key].text())
    if match is None:
        raise fields[key].mistake("no time: write 90s, 30m, 12h or 7d")
    return int(match[1]) * _SECONDS[match[2]]
