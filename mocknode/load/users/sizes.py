"""Package sizes from a stated distribution: `1GiB`, `64KiB..16MiB`, `64KiB..1MiB:70, 10MiB..100MiB:25, 1GiB:5`."""

import math
import random
import re
from dataclasses import dataclass
from typing import Final

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|KB|MB|GB)?")
_UNITS: Final = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
LARGEST: Final = 1 << 40
"""Larger than any server accepts, and too large to be uploaded within a run."""
ALLOWED: Final = (
    "SIZE, SIZE..SIZE (log-uniform), each with :WEIGHT where there are several, such as 64KiB..1MiB:70,1GiB:30"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Ranges with their weights; a single size is a range from that size to itself."""

    ranges: tuple[tuple[int, int], ...]
    weights: tuple[float, ...]

    def draw(self, rng: random.Random) -> int:
        """Draw a size: a range by its weight, and a size within it, log-uniform, so that 1 to 2 MB is as likely as 10 to 20 MB."""
        low, high = rng.choices(self.ranges, self.weights)[0]
        return low if low == high else round(math.exp(rng.uniform(math.log(low), math.log(high))))


def parse_sizes(text: str) -> Sizes:
    """Read a distribution.

    Raises:
        ValueError: naming what was given and what is allowed.
    """
    ranges, weights = [], []
    for item in text.split(","):
        span, _, weight = item.strip().partition(":")
        low, dots, high = span.partition("..")
        try:
            ranges.append((_bytes(low), _bytes(high) if dots else _bytes(low)))
            weights.append(float(weight) if weight else 1.0)
        except ValueError:
            raise ValueError(f"sizes: got {item.strip()!r}, allowed: {ALLOWED}") from None
        if not 0 < ranges[-1][0] <= ranges[-1][1] <= LARGEST or not 0 < weights[-1] < math.inf:
            raise ValueError(
                f"sizes: got {item.strip()!r}, allowed: sizes of 1 byte to 1024 GiB, rising, weights above 0"
            )
    return Sizes(ranges=tuple(ranges), weights=tuple(weights))


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return round(float(match[1]) * _UNITS[match[2] or "B"])
