"""Query parameters of the control API, parsed; what cannot be used is refused by name."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from mocknode.mock.node.refusals import RefusedError

_Word = TypeVar("_Word", bound=str)


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
    return [_allowed(name, word.strip(), allowed) for word in text.split(",")]


def word_of(query: Mapping[str, str], name: str, allowed: Sequence[_Word], default: _Word) -> _Word:
    """One word that is allowed.

    Raises:
        QueryError: it is not.
    """
    return _allowed(name, query.get(name, default), allowed)


def _allowed(name: str, got: str, allowed: Sequence[_Word]) -> _Word:
    word = next((one for one in allowed if one == got), None)
    if word is None:
        raise QueryError(f"{name}: got {got!r}, allowed: {', '.join(allowed)}", got=got, allowed=allowed)
    return word
