"""Scalars of scenario files: how each kind is written, read and described to editors. No I/O."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mocknode.load.users.sizes import parse_sizes
from mocknode.text.suggestions import did_you_mean
from mocknode.text.units import parse_duration, parse_size

COUNT_MAX: Final = 1_000_000
"""More of anything does not fit into one run."""
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
CALIBRATED: Final = "calibrated"
"""Stands for a bound that the calibration of the run decides."""
_BOUND: Final = re.compile(r"(<=|<)\s*(\S.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of scalar.

    Attributes:
        name: For messages: `got '5', allowed: a duration such as 30s`.
        allowed: What may be written, in words.
        parse: Returns the value; raises `ValueError`, whose message may be empty.
        show: Returns how people write a value.
        schema: Its JSON Schema.
    """

    name: str
    allowed: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str
    schema: Mapping[str, Any]

    def read(self, text: str) -> Any:
        """Return the value.

        Raises:
            ValueError: naming what was got and what is allowed.
        """
        try:
            return self.parse(text)
        except ValueError as exc:
            extra = str(exc) if str(exc).startswith("; did you mean") else ""
            raise ValueError(f"got {text!r}, allowed: {self.allowed}{extra}") from None


def choice(name: str, *words: str) -> Kind:
    """Return a kind that allows these words only."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(did_you_mean(text, words))
        return text

    return Kind(name=name, allowed=", ".join(words), parse=parse, schema={"enum": list(words)})


def _duration(text: str) -> float:
    # Plain multiplication leaves 0.30000000000000004; plans are compared byte by byte.
    return round(parse_duration(text), 6)


def _within(text: str) -> float | str:
    return CALIBRATED if text == CALIBRATED else _duration(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= COUNT_MAX):
        raise ValueError
    return int(text)


def _share(text: str) -> float:
    if not text.endswith("%"):
        raise ValueError
    value = float(text[:-1]) / 100
    if not 0 <= value <= 1 or math.isnan(value):
        raise ValueError
    return round(value, 6)


def _name(text: str) -> str:
    if NAME.fullmatch(text) is None:
        raise ValueError
    return text


def _text(text: str) -> str:
    if not text.strip() or any(ord(character) < 32 for character in text):
        raise ValueError
    return text.strip()


def _option(text: str) -> str:
    name, equals, value = text.partition("=")
    if not (equals and value and name.replace("-", "").isalpha()):
        raise ValueError
    return text


def _status(text: str) -> int:
    value = _count(text)
    if not 100 <= value <= 599:
        raise ValueError
    return value


def _bound(text: str) -> float:
    match = _BOUND.fullmatch(text.strip())
    if match is None:
        raise ValueError
    return _duration(match[2])


def _range(text: str) -> tuple[float, float]:
    low, dots, high = text.partition("..")
    found = _duration(low), _duration(high if dots else low)
    if not 0 < found[0] <= found[1]:
        raise ValueError
    return found


def _sizes(text: str) -> str:
    parse_sizes(text)
    return text


def _show_range(value: tuple[float, float]) -> str:
    return f"{short(value[0])}..{short(value[1])}"


def short(seconds: float) -> str:
    """Return a duration as it is written in a file, such as `90s`, `0.5s` or `20m`."""
    for unit, length_s in (("h", 3600), ("m", 60)):
        if seconds >= 2 * length_s and seconds % length_s == 0:
            return f"{seconds / length_s:.0f}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def exact_size(count: int) -> str:
    """Return a size as it is written in a file, without rounding: `64KiB`, `1500B`."""
    for unit, length in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count and count % length == 0:
            return f"{count // length}{unit}"
    return f"{count}B"


_DURATION_SCHEMA: Final = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h)$"}
_WHOLE: Final = {"type": "integer", "minimum": 0, "maximum": COUNT_MAX}

DURATION: Final = Kind(
    name="duration", allowed="a duration with its unit, such as 30s or 5m", parse=_duration, show=short, schema=_DURATION_SCHEMA,
)  # fmt: skip
DURATIONS: Final = Kind(
    name="durations", allowed="a duration above 0 or a range of them, such as 5s..30s", parse=_range, show=_show_range,
    schema={"type": "string"},
)  # fmt: skip
WITHIN: Final = Kind(
    name="bound", allowed=f"a duration such as 60s, or `{CALIBRATED}`", parse=_within,
    show=lambda value: value if value == CALIBRATED else short(value),
    schema={"anyOf": [_DURATION_SCHEMA, {"const": CALIBRATED}]},
)  # fmt: skip
BOUND: Final = Kind(
    name="limit", allowed="< and a duration, such as '< 1s'", parse=_bound, show=lambda value: f"< {short(value)}",
    schema={"type": "string", "pattern": r"^<=?\s*\d+(\.\d+)?\s*(ms|s|m|h)$"},
)  # fmt: skip
SIZE: Final = Kind(
    name="size", allowed="bytes or a size such as 64KiB", parse=parse_size, show=exact_size,
    schema={"anyOf": [_WHOLE, {"type": "string"}]},
)  # fmt: skip
SIZES: Final = Kind(
    name="sizes", allowed="a size, a range such as 64KiB..16MiB, or several with weights", parse=_sizes, schema={"type": "string"},
)  # fmt: skip
SHARE: Final = Kind(
    name="share", allowed="a share from 0% to 100%", parse=_share, show=lambda value: f"{value * 100:g}%",
    schema={"type": "string", "pattern": r"^\d+(\.\d+)?%$"},
)  # fmt: skip
COUNT: Final = Kind(name="number", allowed=f"a whole number from 0 to {COUNT_MAX}", parse=_count, schema=_WHOLE)
STATUS: Final = Kind(
    name="status", allowed="an HTTP status from 100 to 599", parse=_status,
    schema={"type": "integer", "minimum": 100, "maximum": 599},
)  # fmt: skip
WORD: Final = Kind(
    name="name", allowed="letters, digits and -, beginning with a letter", parse=_name,
    schema={"type": "string", "pattern": f"^{NAME.pattern}$"},
)  # fmt: skip
TEXT: Final = Kind(name="text", allowed="one line of text", parse=_text, schema={"type": "string", "minLength": 1})
OPTION: Final = Kind(
    name="option",
    allowed="NAME=VALUE, such as for=45s",
    parse=_option,
    schema={"type": "string", "pattern": "^[a-z-]+=."},
)
NODE: Final = Kind(name="node", allowed="the name of a node", parse=_name, schema=WORD.schema)
UPLOADS: Final = Kind(
    name="uploading stream", allowed="the name of a stream that uploads", parse=_name, schema=WORD.schema,
)  # fmt: skip
STREAM: Final = Kind(name="stream", allowed="the name of a stream of the workload", parse=_name, schema=WORD.schema)
PARAMETER_KINDS: Final = {kind.name: kind for kind in (DURATION, SIZE, SHARE, COUNT, WORD, TEXT, NODE)}
