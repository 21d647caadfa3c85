"""Suggestions for mistyped words."""

import difflib
from collections.abc import Sequence


def did_you_mean(got: str, allowed: Sequence[str]) -> str:
    """Return `; did you mean X?` if one allowed word is closer than all others, otherwise an empty string."""
    close = difflib.get_close_matches(got, allowed, n=2)
    distances = [difflib.SequenceMatcher(a=word, b=got).ratio() for word in close]
    clear = len(close) == 1 or (len(close) == 2 and distances[0] > distances[1])
    return f"; did you mean {close[0]}?" if clear else ""
