"""`power login | logins | logout`: credentials of power controllers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..boot.fleet import Fleet
from ..boot.power import check_login_name
from ..errors import InvalidValue, StoreProblem
from ..store.logins import Login, drop_login, login_names, put_login, read_login
from ..store.store import Store
from .app import Common, columns, opened, say

app = typer.Typer(
    help="Credentials of power controllers, for `login` in a node's `power`.", no_args_is_help=True
)
_LONGEST = 256


@app.command("login")
def log_in(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What site files call it.")],
    user: Annotated[str, typer.Option("--user", help="The user at the controller.")],
    source: Annotated[
        str, typer.Argument(metavar="[-]", help="-: the password is the first line of the input.")
    ] = "",
) -> None:
    """Keep a user and a password, sealed. The password is asked for."""
    common: Common = context.obj
    check_login_name(name)
    login = Login(user=_checked(user, "user"), password=_password(name, source))
    with opened(common.state) as store:
        new = put_login(store, name, login)
    say(f"login {name}: {'kept' if new else 'changed'}, for user {login.user}")


def _password(name: str, source: str) -> str:
    if source not in ("", "-"):
        raise InvalidValue(
            "a password does not belong into a command, where others of this host can read it:"
            " give none and it is asked for, or `-` and it is read from the input"
        )
    if source == "-":
        return _checked(sys.stdin.readline().rstrip("\r\n"), "password")
    return _checked(typer.prompt(f"Password of {name}", hide_input=True), "password")


def _checked(text: str, what: str) -> str:
    """HTTP's Basic login cannot say a user with a colon, and no login what is not one line."""
    if not 0 < len(text) <= _LONGEST or not text.isprintable():
        raise InvalidValue(f"a {what} is one line of at most {_LONGEST} printable characters")
    if what == "user" and ":" in text:
        raise InvalidValue("a user has no colon in its name")
    return text


@app.command("logins")
def list_logins(context: typer.Context) -> None:
    """Their names, users, and the nodes that name them."""
    common: Common = context.obj
    with opened(common.state) as store:
        fleet = store.fleet()
        rows = [(name, _user(store, name), _users(fleet, name)) for name in login_names(store)]
    if not rows:
        say("no logins yet: `kairos-netboot power login NAME --user USER` keeps one")
        return
    for line in columns([("NAME", "USER", "NODES"), *rows]):
        say(line)


def _user(store: Store, name: str) -> str:
    try:
        return read_login(store, name).user
    except StoreProblem:
        return "cannot be read: its key is lost"


def _users(fleet: Fleet, name: str) -> str:
    specs = [node.spec for node in fleet.nodes if node.spec and node.spec.power]
    named = sorted(spec.name for spec in specs if spec.power and spec.power.login == name)
    return ", ".join(named) or "-"


@app.command("logout")
def log_out(
    context: typer.Context, name: Annotated[str, typer.Argument(help="The login's name.")]
) -> None:
    """Forget a user and its password."""
    common: Common = context.obj
    with opened(common.state) as store:
        drop_login(store, name)
        users = _users(store.fleet(), name)
    say(f"login {name}: forgotten{'' if users == '-' else f', and {users} cannot do without it'}")
