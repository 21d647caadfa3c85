"""Parsers for query parameters of the control API; an error names the parameter, the value and what is allowed."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from mocknode.mock.node.refusals import RefusedError

_Word = TypeVar("_Word", bound=str)


class QueryError(RefusedError):
    """A query parameter that is not allowed."""


def number_of(query: Mapping[str, str], name: str, *, default: float, low: float, high: float) -> float:
    """Return a number from a range.

    Raises:
        QueryError: the value is no number, or outside the range.
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
    """Return a whole number from a range.

    Raises:
        QueryError: the value is no whole number, or outside the range.
    """
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        allowed = f"a whole number from {low} to {high}"
        raise QueryError(f"{name}: got {text!r}, allowed: {allowed}", got=text, allowed=[allowed])
    return int(text)


def words_of(query: Mapping[str, str], name: str, allowed: Sequence[str]) -> list[str]:
    """Return the comma-separated words of a parameter, or all allowed words without the parameter.

    Raises:
        QueryError: a word is not allowed.
    """
    text = query.get(name)
    if text is None:
        return list(allowed)
    return [_allowed(name, word.strip(), allowed) for word in text.split(",")]


def word_of(query: Mapping[str, str], name: str, allowed: Sequence[_Word], default: _Word) -> _Word:
    """Return the word of a parameter, or the default without the parameter.

    Raises:
        QueryError: the word is not allowed.
    """
    return _allowed(name, query.get(name, default), allowed)


def _allowed(name: str, got: str, allowed: Sequence[_Word]) -> _Word:
    word = next((one for one in allowed if one == got), None)
    if word is None:
        raise QueryError(f"{name}: got {got!r}, allowed: {', '.join(allowed)}", got=got, allowed=allowed)
    return word
