"""How commands fail: one clear line on standard error, and an exit code that says what kind of failure it was."""

from collections.abc import Callable
from typing import Any, Final

import click

from mocknode.text.units import parse_duration

FAILED: Final = 1
"""The command did what was asked, and the outcome is a failure."""
USAGE: Final = 2
ENVIRONMENT: Final = 3
INTERRUPTED: Final = 130


class UsageError(click.ClickException):
    """A request that is not allowed; the message says what was given and what is allowed."""

    exit_code = USAGE


class EnvironmentFailureError(UsageError):
    """A missing precondition outside the command: a port in use, a control API that does not answer."""

    exit_code = ENVIRONMENT


class Whole(click.IntRange):
    """A whole number in a range; its errors say what was given and what is allowed."""

    name = "number"

    def __init__(self, low: int, high: int | None = None) -> None:
        super().__init__(low, high)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        text = str(value).strip()
        low, high = int(self.min or 0), self.max
        if not (text.isascii() and text.isdigit() and low <= int(text) and (high is None or int(text) <= high)):
            upper = "up" if high is None else f"to {high:g}"
            self.fail(f"got {value!r}, allowed: a whole number from {low} {upper}", param, ctx)
        return int(text)

    def _describe_range(self) -> str:
        """Return nothing, so that Click does not add the range to the help text of the flag."""
        return ""


class Parsed(click.ParamType[Any]):
    """A value that a parser of this project reads; its `ValueError` becomes the message."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


DURATION: Final = Parsed("duration", parse_duration)
