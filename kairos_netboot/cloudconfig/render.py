"""Templates → text, in a sandbox where a wrong name is an error and nothing grows for ever."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ..errors import DocumentProblem
from .spelling import hint
from .yamlnodes import MAX_TEXT

MAX_CALLS = 100_000  # calls and steps of range() in one template
MAX_BITS = 4096  # of a number that * and ** make

# What an expression of a template can raise besides Jinja's own errors.
_EXPRESSION_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def render(template_text: str, source_name: str, variables: Mapping[str, object]) -> str:
    """The template's text with `variables` in it; DocumentProblem names file and line."""
    if len(template_text) > MAX_TEXT:
        raise DocumentProblem(f"{source_name}: a template has at most {MAX_TEXT} characters")
    environment = _Sandbox()
    try:
        pieces = environment.from_string(template_text).generate(dict(variables))
        return environment.concat(pieces)
    except TemplateSyntaxError as error:
        message = _syntax_message(error, template_text, environment)
        raise DocumentProblem(f"{source_name}:{error.lineno}: {message}") from None
    except (TemplateError, *_EXPRESSION_ERRORS) as error:
        message = _message(error, [*variables, *environment.globals])
        raise DocumentProblem(f"{source_name}:{_line(error)}: {message}") from None


class _Undefined(StrictUndefined):
    """Names the nearest key where a mapping lacks one."""

    @property
    def _undefined_message(self) -> str:
        message = super()._undefined_message
        if isinstance(self._undefined_obj, Mapping):
            message = f"there is no key '{self._undefined_name}'"
            message += hint(str(self._undefined_name), map(str, self._undefined_obj))
        return message


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox and what it leaves open: `'a' * 10**9` and loops within loops.

    It guards against accidents. A template's author may still waste time and memory, and is
    trusted with the disks of the site's machines anyway.
    """

    intercepted_binops = frozenset(["+", "*", "**"])

    def __init__(self) -> None:
        super().__init__(undefined=_Undefined, keep_trailing_newline=True, finalize=_as_yaml)
        self.spent = 0
        self.filters["to_json"] = to_json
        self.globals["range"] = self._range
        del self.globals["lipsum"], self.filters["center"]

    def concat(self, pieces: Iterable[str], /) -> str:
        """Join the pieces of a template, block or macro, unless they are too long."""
        kept: list[str] = []
        size = 0
        for piece in pieces:
            size += len(piece)
            if size > MAX_TEXT:
                raise SecurityError(f"it makes more than {MAX_TEXT} characters")
            kept.append(piece)
        return "".join(kept)

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._spend(1)
        return super().call(context, function, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _check_growth(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def _range(self, *args: int) -> range:
        steps = range(*args)
        self._spend(len(steps))
        return steps

    def _spend(self, steps: int) -> None:
        self.spent += steps
        if self.spent > MAX_CALLS:
            raise SecurityError(f"it takes more than {MAX_CALLS} steps")


def _check_growth(operator: str, left: Any, right: Any) -> None:
    """Refuse an operation whose result would be too large, before it is made."""
    bits = size = 0
    match operator, left, right:
        case "**", int(), int():
            bits = left.bit_length() * max(right, 0)
        case "*", int(), int():
            bits = left.bit_length() + right.bit_length()
        case "*", str() | list() | tuple(), int():
            size = len(left) * right
        case "*", int(), str() | list() | tuple():
            size = left * len(right)
        case "+", str(), str():
            size = len(left) + len(right)
    if bits > MAX_BITS or size > MAX_TEXT:
        raise SecurityError(f"'{operator}' would make something too large here")


def to_json(value: object) -> str:
    """A value as JSON, which YAML reads as what it was: a text is quoted, a list stays a list."""
    return json.dumps(value, ensure_ascii=False)


def _as_yaml(value: object) -> object:
    # Jinja prints Python's True and None; YAML has true and null.
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return value


def _message(error: Exception, known: Iterable[str]) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UndefinedError):
        if name := re.fullmatch(r"'(.+)' is undefined", text):
            return text + (hint(name[1], known) or "; set it under 'variables' in the site file")
        return text
    if "no loader" in text:
        return "no include, import or extends here: list every file under the profile's templates"
    return f"the template fails: {text}"


def _syntax_message(error: TemplateSyntaxError, template_text: str, environment: _Sandbox) -> str:
    text = " ".join((error.message or "").split())
    if name := re.fullmatch(r"No filter named '(.+)'\.", text):
        return f"no filter is named '{name[1]}'" + hint(name[1], environment.filters)
    lines = template_text.splitlines()
    written = lines[error.lineno - 1] if error.lineno <= len(lines) else ""
    # `{{ .MachineID }}`, `{{ trunc 4 .MachineID }}`: Kairos expands those on the machine itself.
    if re.search(r"\{\{[^}]*(?:^|[\s(])\.[A-Za-z]", written):
        text += "; put Kairos' own {{ }} between {% raw %} and {% endraw %}"
    return f"no template: {text}"


def _line(error: Exception) -> int:
    """The template's line an error comes from: Jinja plants such frames in the traceback."""
    line, step = 1, error.__traceback__
    while step is not None:
        if "__jinja_exception__" in step.tb_frame.f_globals:
            line = step.tb_lineno
        step = step.tb_next
    return line
