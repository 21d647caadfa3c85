"""When the bytes of a body leave, and where a client breaks off. Pure: segments in, a plan of steps out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from mocknode.judge.traffic.framing import Segment

TICK_S = 0.05
"""A steady pace sends this much time's worth of bytes at once: smooth against timeouts of seconds, few wake-ups."""

How = Literal["rst", "fin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Send nothing for `seconds` after body byte `at`."""

    at: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a body leaves: `rate` bytes of the body a second (None: as fast as it goes), and pauses on the way.

    Pauses shift what follows; they do not make the rest faster.
    """

    rate: float | None = None
    pauses: tuple[Pause, ...] = ()

    def __post_init__(self) -> None:
        if self.rate is not None and self.rate <= 0:
            raise ValueError(f"a pace is more than 0 bytes a second, not {self.rate}")

    @classmethod
    def lasting(cls, total: int, seconds: float, pauses: tuple[Pause, ...] = ()) -> "Pace":
        """The pace at which `total` bytes take `seconds`, without the pauses."""
        return cls(rate=total / seconds, pauses=pauses)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortAt:
    """Break off on purpose after so many `bytes` of the body, or after a `share` (0 to 1) of them.

    At the body's end, framing included, when the whole body is asked for. `after_s` waits before breaking off.
    `rst` ends the connection at once. `fin` closes our sending side, then listens for `listen_s` for what is answered.
    """

    bytes: int | None = None
    share: float | None = None
    how: How = "rst"
    after_s: float = 0.0
    listen_s: float = 2.0

    def __post_init__(self) -> None:
        if (self.bytes is None) == (self.share is None):
            raise ValueError(f"break off after bytes or after a share, not bytes={self.bytes} and share={self.share}")
        if self.share is not None and not 0 <= self.share <= 1:
            raise ValueError(f"a share is a number from 0 to 1, not {self.share}")
        if self.how not in ("rst", "fin"):
            raise ValueError(f"a client breaks off with rst or fin, not {self.how!r}")

    def position(self, total: int) -> int:
        """Bytes of a body of `total` that are sent first."""
        return min(self.bytes, total) if self.bytes is not None else int((self.share or 0.0) * total)


@dataclass(frozen=True, slots=True)
class Due:
    """Send nothing more before `offset_s` after the body's start, pauses not counted."""

    offset_s: float


@dataclass(frozen=True, slots=True)
class Rest:
    """The `number`-th pause, from 1."""

    number: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BreakOff:
    """The end of the plan, short of the request's own end."""

    how: How
    after_s: float
    listen_s: float


Step = Segment | Due | Rest | BreakOff


def plan(segments: Iterable[Segment], total: int, pace: Pace | None, abort: AbortAt | None) -> Iterator[Step]:
    """What to do, in order, to send a framed body of `total` bytes.

    Raises:
        ValueError: a pause lies beyond the body (before the first step).
    """
    pace = pace or Pace()
    pauses = sorted(pace.pauses, key=lambda pause: pause.at)
    if pauses and not 0 <= pauses[-1].at <= total:
        raise ValueError(f"a pause lies within the body of {total} bytes, not at {pauses[-1].at}")
    return _steps(segments, total, pace.rate, pauses, abort)


def _steps(
    segments: Iterable[Segment], total: int, rate: float | None, pauses: list[Pause], abort: AbortAt | None
) -> Iterator[Step]:
    end = abort.position(total) if abort else total
    stop_early = abort is not None and end < total
    tick = max(1, int(rate * TICK_S)) if rate else None
    position, next_tick, rested = 0, 0, 0
    for segment in segments:
        rest = segment
        while rest.data:
            while rested < len(pauses) and pauses[rested].at == position:
                rested += 1
                yield Rest(rested, pauses[rested - 1].seconds)
            if stop_early and position == end:
                break
            if rate and tick and rest.body and position == next_tick:
                yield Due(position / rate)
                next_tick += tick
            limits = [end if stop_early else total]
            limits += [pauses[rested].at] if rested < len(pauses) else []
            limits += [next_tick] if tick else []
            room = min(limits) - position
            part, rest = (rest, Segment(b"")) if rest.body <= room else rest.cut(room)
            position += part.body
            yield part
        if stop_early and position == end:
            break
    while rested < len(pauses) and pauses[rested].at == position:
        rested += 1
        yield Rest(rested, pauses[rested - 1].seconds)
    if abort is not None:
        yield BreakOff(abort.how, abort.after_s, abort.listen_s)
