"""How commands fail: one clear line on standard error, and an exit code that says whose fault it is."""

from collections.abc import Callable
from typing import Any, Final

import click

from mocknode.text.units import parse_duration

FAILED: Final = 1
"""What was asked for was tried, and came to nothing."""
USAGE: Final = 2
ENVIRONMENT: Final = 3
INTERRUPTED: Final = 130


class UsageError(click.ClickException):
    """What was asked for is not allowed; the message names what was got and what is."""

    exit_code = USAGE


class EnvironmentFailureError(UsageError):
    """The world is not as the command needs it: a port in use, a control API that does not answer."""

    exit_code = ENVIRONMENT


class Whole(click.IntRange):
    """A whole number in a range, whose errors name what was got and what is allowed."""

    name = "number"

    def __init__(self, low: int, high: int | None = None) -> None:
        super().__init__(low, high)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        text = str(value).strip()
        low, high = int(self.min or 0), self.max
        if not (text.isascii() and text.isdigit() and low <= int(text) and (high is None or int(text) <= high)):
            upper = "up" if high is None else f"to {high:g}"
            self.fail(f"got {value!r}, allowed: a whole number from {low} {upper}", param, ctx)
        return int(text)

    def _describe_range(self) -> str:
        """Nothing: what a flag's help says is enough."""
        return ""


class Parsed(click.ParamType[Any]):
    """A text with a parser of ours, whose errors say what is allowed."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


DURATION: Final = Parsed("duration", parse_duration)
