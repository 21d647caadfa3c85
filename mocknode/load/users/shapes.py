"""How many of the pushers are active over time. No I/O.

A shape applies to pushers, in a closed or an open loop; browsers and monitors are not affected. It does not use locust's
`LoadTestShape`, which removes users and waits for their uploads: uploads that hang in an outage would delay the storm after it.
"""

import bisect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

BASE: Final = 0.1
"""Share of the pushers that is active before and after a spike."""
ALLOWED: Final = (
    "steady, soak, ramp:TIME (all are active after it), spike:FROM..TO (all in between, a tenth outside), "
    "storm:FROM..TO (nobody starts in between, then all at once), such as ramp:30s"
)
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Straight lines between points (seconds, share), in the order of time; constant before the first and after the last.

    Attributes:
        text: The shape as `parse_shape` reads it, with all of its times.
        hold_until_s: From when on a storm breaks as soon as the balancer answers again; None for other shapes.
    """

    text: str
    points: Sequence[tuple[float, float]]
    hold_until_s: float | None = None

    def share(self, at_s: float) -> float:
        """Return the share of the pushers that is active, 0 to 1."""
        index = bisect.bisect_right(self.points, at_s, key=lambda point: point[0])
        if index in (0, len(self.points)):
            return self.points[max(0, index - 1)][1]
        (since, low), (until, high) = self.points[index - 1 : index + 1]
        return low + (high - low) * (at_s - since) / (until - since)

    def opens(self, at_s: float, level: float) -> float | None:
        """Return when the share exceeds `level`, from `at_s` on; None if it never does again."""
        if self.share(at_s) > level:
            return at_s
        last, low = at_s, self.share(at_s)
        for until, high in self.points:
            if until <= at_s:
                continue
            if high > level:
                return last + (until - last) * max(0.0, level - low) / (high - low)
            last, low = until, high
        return None


def parse_shape(text: str, duration_s: float | None = None) -> Shape:
    """Read a shape.

    Args:
        duration_s: Length of the run. Without times, a ramp takes half of it and a spike the middle third.

    Raises:
        ValueError: naming what was given and what is allowed.
    """
    name, _, times = text.strip().partition(":")
    make = _SHAPES.get(name)
    if make is None:
        raise ValueError(f"shape: got {text!r}, allowed: {ALLOWED}")
    try:
        return make([_seconds(time) for time in times.split("..")] if times else [], duration_s)
    except (LookupError, TypeError, ValueError):
        raise ValueError(f"shape: got {text!r}, allowed: {ALLOWED}") from None


def _seconds(text: str) -> float:
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return float(match[1]) * _SECONDS[match[2]]


def _steady(times: Sequence[float], _: float | None) -> Shape:
    if times:
        raise ValueError
    return Shape(text="steady", points=((0.0, 1.0),))


def _ramp(times: Sequence[float], duration_s: float | None) -> Shape:
    (over,) = times or [_known(duration_s) / 2]
    return Shape(text=f"ramp:{over:g}s", points=((0.0, 0.0), (over, 1.0)))


def _spike(times: Sequence[float], duration_s: float | None) -> Shape:
    since, until = _span(times or [round(_known(duration_s) * part, 1) for part in (1 / 3, 2 / 3)])
    points = ((0.0, BASE), (since, BASE), (since, 1.0), (until, 1.0), (until, BASE))
    return Shape(text=f"spike:{since:g}s..{until:g}s", points=points)


def _storm(times: Sequence[float], _: float | None) -> Shape:
    since, until = _span(times)
    points = ((0.0, 1.0), (since, 1.0), (since, 0.0), (until, 0.0), (until, 1.0))
    return Shape(text=f"storm:{since:g}s..{until:g}s", points=points, hold_until_s=until)


def _span(times: Sequence[float]) -> tuple[float, float]:
    since, until = times
    if not since < until:
        raise ValueError
    return since, until


def _known(duration_s: float | None) -> float:
    if duration_s is None:
        raise ValueError
    return duration_s


_SHAPES: Final[dict[str, Callable[[Sequence[float], float | None], Shape]]] = {
    "steady": _steady,
    # The same shape; only its default duration is longer.
    "soak": _steady,
    "ramp": _ramp,
    "spike": _spike,
    "storm": _storm,
}
NAMES: Final = tuple(_SHAPES)
