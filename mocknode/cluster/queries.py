"""Query parameters of the control API, parsed; what cannot be used is refused by name."""

import math
from collections.abc import Mapping, Sequence

from mocknode.node.refusals import RefusedError


class QueryError(RefusedError):
    """A query parameter that is not allowed."""


def number_of(query: Mapping[str, str], name: str, *, default: float, low: float, high: float) -> float:
    """A number in a range.

    Raises:
        QueryError: it is none, or outside.
    """
    text = query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        allowed = f"a number from {low:g} to {high:g}"
        raise QueryError(f"{name}: got {text!r}, allowed: {allowed}", got=text, allowed=[allowed])
    return value


def count_of(query: Mapping[str, str], name: str, *, default: int, low: int, high: int = 1_000_000) -> int:
    """A whole number in a range.

    Raises:
        QueryError: it is none, or outside.
    """
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        allowed = f"a whole number from {low} to {high}"
        raise QueryError(f"{name}: got {text!r}, allowed: {allowed}", got=text, allowed=[allowed])
    return int(text)


def words_of(query: Mapping[str, str], name: str, allowed: Sequence[str]) -> list[str]:
    """Words separated by commas, each of them allowed; all that are allowed where the parameter is absent.

    Raises:
        QueryError: naming the word that is not allowed.
    """
    text = query.get(name)
    if text is None:
        return list(allowed)
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in allowed:
            raise QueryError(f"{name}: got {word!r}, allowed: {', '.join(allowed)}", got=word, allowed=allowed)
    return words
