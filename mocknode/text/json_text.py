"""Fast JSON for journals, with the standard library for what the fast library refuses.

`orjson` takes a tenth of the standard library's time and refuses lone surrogates, which names from clients may contain. Integers
beyond 64 bits are read as floats.
"""

import json
import math
from typing import Any

import orjson

_SHOWN = 20
"""Digits of a refused number that its error repeats."""


def dumps(document: Any) -> bytes:
    """Return the document on one line, without a line end."""
    try:
        return orjson.dumps(document)
    except TypeError:  # The standard library escapes what orjson refuses, above all lone surrogates.
        return json.dumps(document, separators=(",", ":")).encode()


def loads(text: bytes) -> Any:
    """Parse JSON text.

    Raises:
        ValueError: the text is no JSON.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        return _loads(text)


def loads_finite(text: bytes) -> Any:
    """Parse JSON text as RFC 8259 has it. Python also reads `NaN` and `Infinity`, and `1e999` as infinite, and cannot write them.

    Raises:
        ValueError: the text is no JSON, or a number in it is not finite.
    """
    return _loads(text, parse_constant=_refuse, parse_float=_finite)


def _loads(text: bytes, **options: Any) -> Any:
    try:
        return json.loads(text, **options)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:_SHOWN]} is larger than any number that JSON documents hold here")
    return number
