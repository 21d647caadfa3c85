"""The rate limiter of one node: one token bucket per caller, refilled continuously, one token per request.

Pure: time is an argument. Source: the vendor's page on rate limiting and the pull request that describes its headers. State is
a node's own, so a cluster behind an even balancer lets through as many times the rate as it has nodes.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from mocknode.mock.node.web import Rate

# More callers than these are forgotten, the longest idle first; an unknown caller starts with a full bucket anyway.
CALLERS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The limiter's decision about one request.

    Attributes:
        remaining: Whole tokens that are left.
        full_in_s: Seconds until the bucket is full again.
        retry_in_s: Seconds until the next token, 0 when there is one.
    """

    allowed: bool
    rate: Rate
    remaining: int
    full_in_s: int
    retry_in_s: int

    @property
    def advisory(self) -> list[tuple[bytes, bytes]]:
        """Headers of every limited answer."""
        policy = f"l={self.rate.burst};rpm={self.rate.per_minute}"
        return [
            (b"octopus-ratelimit-policy", policy.encode()),
            (b"octopus-ratelimit", f"r={self.remaining};t={self.full_in_s}".encode()),
        ]

    @property
    def refusal(self) -> list[tuple[bytes, bytes]]:
        """Headers of a refusal."""
        return [*self.advisory, (b"retry-after", str(self.retry_in_s).encode())]


class Limiter:
    """Token buckets of one policy."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, now_s: float) -> Decision:
        """Take a token from a caller's bucket, if there is one; `now_s` never goes back."""
        rate, per_s = self.rate, self.rate.per_minute / 60
        tokens, since_s = self._buckets.pop(caller, (float(rate.burst), now_s))
        tokens = min(rate.burst, tokens + (now_s - since_s) * per_s)
        allowed = tokens >= 1
        tokens -= allowed
        self._buckets[caller] = (tokens, now_s)
        if len(self._buckets) > CALLERS_MAX:
            self._buckets.popitem(last=False)
        return Decision(
            allowed=allowed, rate=rate, remaining=int(tokens), full_in_s=math.ceil((rate.burst - tokens) / per_s),
            retry_in_s=0 if tokens >= 1 else math.ceil((1 - tokens) / per_s),
        )  # fmt: skip
