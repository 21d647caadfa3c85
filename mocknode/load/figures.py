"""Computes exact percentiles, and histograms of three digits that can be added across runs and workers."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

from mocknode.load.schema import Latency

DIGITS: Final = 3


def percentile(ordered: Sequence[float], q: float) -> float | None:
    """Return the smallest value that at least `q` percent of the values do not exceed; None without values."""
    if not ordered:
        return None
    # `q` counts as the decimal fraction that it is written as: in binary, 99.9 % of 1000 is a little more than 999.
    return ordered[max(0, math.ceil(Fraction(str(q)) * len(ordered) / 100) - 1)]


def bucket(seconds: float) -> float:
    """Round `seconds` to three significant digits: the key under which a histogram counts it."""
    return float(f"{seconds:.{DIGITS}g}")


def histogram(values: Iterable[float]) -> dict[str, int]:
    """Count values by bucket, in rising order. Two histograms are merged by adding the counts of equal keys."""
    counts = Counter(bucket(value) for value in values)
    return {f"{key:g}": counts[key] for key in sorted(counts)}


def latency(ordered: Sequence[float]) -> Latency:
    """Return count, percentiles, mean and extremes of sorted seconds."""
    return {
        "count": len(ordered),
        "min_s": ordered[0] if ordered else None,
        "mean_s": sum(ordered) / len(ordered) if ordered else None,
        "p50_s": percentile(ordered, 50.0),
        "p90_s": percentile(ordered, 90.0),
        "p95_s": percentile(ordered, 95.0),
        "p99_s": percentile(ordered, 99.0),
        "p99.9_s": percentile(ordered, 99.9),
        "max_s": ordered[-1] if ordered else None,
    }
