"""Options of faults in human units: how a field is declared, parsed, and explained.

A fault declares `delay: float = option(DURATION, help="...")`; `build` turns `{"delay": "250ms"}` into the fault and refuses
what it does not know. Values may be strings (command line) or JSON numbers (control API).
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from mocknode.mock.node.faults.effects import ANSWER, BODY_END, HEAD, Place, Point
from mocknode.mock.node.refusals import RefusedError
from mocknode.text import units

_T = TypeVar("_T")
_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_RATE_SUFFIX: Final = re.compile(r"\s*(?:/\s*s|per\s+s)$")


class FaultError(RefusedError):
    """A fault that cannot be set: its kind, an option, a scope or a trigger is not allowed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Format:
    """How one option is written: its parser and the words for what it takes."""

    parse: Callable[[str], Any]
    allowed: tuple[str, ...]


DURATION: Final = Format(units.parse_duration, ("a duration such as 250ms, 30s or 5m",))
SIZE: Final = Format(units.parse_size, ("a size such as 64KiB or 10MB",))
TEXT: Final = Format(str, ("text",))


def _header_value(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("a header is printable ASCII on one line")
    return text


HEADER: Final = Format(_header_value, ("printable ASCII text",))


def _rate(text: str) -> float:
    rate = float(units.parse_size(_RATE_SUFFIX.sub("", text.strip())))
    if rate <= 0:
        raise ValueError("a rate of nothing is a hang")
    return rate


RATE: Final = Format(_rate, ("a size per second above zero, such as 64KiB per s",))


def whole(low: int, high: int) -> Format:
    """Return the form of a whole number in a range."""

    def parse(text: str) -> int:
        if not low <= (number := int(text)) <= high:
            raise ValueError(f"{number} is out of range")
        return number

    return Format(parse, (f"a whole number from {low} to {high}",))


def choice(*names: str) -> Format:
    """Return the form of one of a few names."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"{text!r} is not one of them")
        return text

    return Format(parse, names)


def point(*places: Place) -> Format:
    """Return the form of a point of the request, of the kinds given."""
    named = {p.place.value: p for p in (HEAD, BODY_END, ANSWER) if p.place in places}
    forms = [*named]
    forms += ["a size such as 64KiB"] if Place.BYTES in places else []
    forms += ["a share such as 30%"] if Place.SHARE in places else []

    def parse(text: str) -> Point:
        if text in named:
            return named[text]
        match = _PERCENT.fullmatch(text.strip())
        if match and Place.SHARE in places and float(match[1]) <= 100:
            return Point(Place.SHARE, float(match[1]) / 100)
        if Place.BYTES in places:
            return Point(Place.BYTES, units.parse_size(text))
        raise ValueError(f"{text!r} is no point of a request")

    return Format(parse, tuple(forms))


def option(form: Format, *, help: str, default: Any = dataclasses.MISSING) -> Any:
    """Return a field of a fault that is read from its options."""
    return dataclasses.field(default=default, metadata={"form": form, "help": help})


def names(cls: type) -> dict[str, dataclasses.Field[Any]]:
    """Return the options of a fault by the name that people write (`for` is the field `for_`)."""
    return {item.name.rstrip("_").replace("_", "-"): item for item in dataclasses.fields(cls)}


def build(cls: type[_T], kind: str, options: Mapping[str, Any]) -> _T:
    """Return the fault with these options.

    Raises:
        FaultError: for an option that is unknown, missing or malformed.
    """
    known = names(cls)
    for name in options:
        if name not in known:
            raise FaultError(
                f"fault {kind}: unknown option {name!r}; its options are {', '.join(known) or 'none'}",
                got=name,
                allowed=known,
            )
    values: dict[str, Any] = {}
    for name, item in known.items():
        form: Format = item.metadata["form"]
        if options.get(name) is not None:
            values[item.name] = _value(kind, name, options[name], form)
        elif item.default is dataclasses.MISSING:
            raise FaultError(
                f"fault {kind} needs the option {name!r}: {item.metadata['help']}; allowed: {', '.join(form.allowed)}",
                got=None,
                allowed=form.allowed,
            )
    try:
        return cls(**values)
    except ValueError as exc:
        raise FaultError(f"fault {kind}: {exc}", got=dict(options)) from exc


def _value(kind: str, name: str, given: Any, form: Format) -> Any:
    try:
        if isinstance(given, bool) or not isinstance(given, (str, int, float)):
            raise TypeError("neither text nor number")
        return form.parse(str(given))
    except (ValueError, TypeError) as exc:
        raise FaultError(
            f"fault {kind}: option {name} is {given!r}, allowed: {', '.join(form.allowed)}",
            got=given,
            allowed=form.allowed,
        ) from exc
