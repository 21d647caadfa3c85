"""Figures of a run: percentiles that are exact, and histograms of three digits that add up across runs and workers. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, Final

PERCENTILES: Final = (50.0, 90.0, 95.0, 99.0, 99.9)
DIGITS: Final = 3


def percentile(ordered: Sequence[float], q: float) -> float | None:
    """The smallest value that at least `q` percent of the values do not exceed; None without values."""
    if not ordered:
        return None
    # By what `q` says in decimals: as a binary fraction, 99.9 % of 1000 values is a little more than 999 of them.
    return ordered[max(0, math.ceil(Fraction(str(q)) * len(ordered) / 100) - 1)]


def bucket(seconds: float) -> float:
    """`seconds` rounded to three significant digits: the key under which a histogram counts it."""
    return float(f"{seconds:.{DIGITS}g}")


def histogram(values: Iterable[float]) -> dict[str, int]:
    """Counts by bucket, rising; two of them are merged by adding what has the same key."""
    counts = Counter(bucket(value) for value in values)
    return {f"{key:g}": counts[key] for key in sorted(counts)}


def latency(ordered: Sequence[float]) -> dict[str, Any]:
    """Count, percentiles, mean and extremes in seconds."""
    return {
        "count": len(ordered),
        "min_s": ordered[0] if ordered else None,
        "mean_s": sum(ordered) / len(ordered) if ordered else None,
        **{f"p{q:g}_s": percentile(ordered, q) for q in PERCENTILES},
        "max_s": ordered[-1] if ordered else None,
    }
