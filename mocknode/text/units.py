"""Durations and sizes as people write them: `500ms`, `30s`, `5m`, `64KiB`, `1GiB`, `10MB`.

Decimal units are powers of 1000, binary ones of 1024, as in IEC 80000-13.
"""

import re
from typing import Final

_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES: Final = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}


def parse_duration(text: str) -> float:
    """Return the seconds in a duration; a unit is required, so that nobody has to guess it.

    Raises:
        ValueError: the text is no duration; the message names the allowed units.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None or match[2] not in _SECONDS:
        raise ValueError(f"{text!r} is not a duration; write a number and one of {', '.join(_SECONDS)}, such as 30s")
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(text: str) -> int:
    """Return the bytes in a size; a bare number counts bytes.

    Raises:
        ValueError: the text is no size; the message names the allowed units.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None or (match[2] or "B") not in _BYTES:
        raise ValueError(f"{text!r} is not a size; write a number and one of {', '.join(_BYTES)}, such as 64KiB")
    return round(float(match[1]) * _BYTES[match[2] or "B"])


def format_duration(seconds: float) -> str:
    """Format seconds: `71.2` as `1 m 11 s`, `4.12` as `4.1 s`, `0.25` as `250 ms`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} m {rest:02d} s"


def format_size(count: int) -> str:
    """Format bytes with the largest binary unit that leaves a number of at least 1, such as `1.5 GiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if round(value, 1) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value == int(value) else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
