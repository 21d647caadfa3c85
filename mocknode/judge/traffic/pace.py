"""When the bytes of a body are sent, and where a client breaks off. Does no I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from mocknode.judge.traffic.framing import Segment

TICK_S = 0.05
"""A steady pace sends the bytes of this time span in one go. That is even enough for timeouts of seconds, and wakes up rarely."""

How = Literal["rst", "fin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Send nothing for `seconds` after body byte `at`."""

    at: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a body is sent: `rate` bytes of the body each second (None for full speed), with pauses in between.

    A pause delays everything after it; the rest is not sent any faster.
    """

    rate: float | None = None
    pauses: tuple[Pause, ...] = ()

    def __post_init__(self) -> None:
        if self.rate is not None and self.rate <= 0:
            raise ValueError(f"a pace is more than 0 bytes a second, got {self.rate}")

    @classmethod
    def lasting(cls, total: int, seconds: float, pauses: tuple[Pause, ...] = ()) -> "Pace":
        """Return the pace at which `total` bytes take `seconds`, without the pauses."""
        return cls(rate=total / seconds, pauses=pauses)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortAt:
    """Break off on purpose after this many `bytes` of the body, or after a `share` (0 to 1) of it.

    A share of 1 includes the framing at the body's end. `after_s` is a wait before breaking off. `rst` ends the connection immediately;
    `fin` closes our sending side, and then the client reads answers for `listen_s`.
    """

    bytes: int | None = None
    share: float | None = None
    how: How = "rst"
    after_s: float = 0.0
    listen_s: float = 2.0

    def __post_init__(self) -> None:
        if (self.bytes is None) == (self.share is None):
            raise ValueError(
                f"give either bytes or share to abort after, got bytes={self.bytes} and share={self.share}"
            )
        if self.share is not None and not 0 <= self.share <= 1:
            raise ValueError(f"a share is from 0 to 1, got {self.share}")
        if self.how not in ("rst", "fin"):
            raise ValueError(f"a client aborts with rst or fin, got {self.how!r}")

    def position(self, total: int) -> int:
        """Return how many bytes of a body of `total` are sent first."""
        return min(self.bytes, total) if self.bytes is not None else int((self.share or 0.0) * total)


@dataclass(frozen=True, slots=True)
class Due:
    """Wait until `offset_s` after the body's start, not counting pauses."""

    offset_s: float


@dataclass(frozen=True, slots=True)
class Rest:
    """The pause with this `number`, counted from 1."""

    number: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BreakOff:
    """The end of a plan that stops before the request is complete."""

    how: How
    after_s: float
    listen_s: float


Step = Segment | Due | Rest | BreakOff


def plan(segments: Iterable[Segment], total: int, pace: Pace | None, abort: AbortAt | None) -> Iterator[Step]:
    """Yield the steps that send a framed body of `total` bytes.

    Raises:
        ValueError: a pause lies beyond the body; raised before the first step.
    """
    pace = pace or Pace()
    pauses = sorted(pace.pauses, key=lambda pause: pause.at)
    if pauses and not 0 <= pauses[-1].at <= total:
        raise ValueError(f"a pause must lie within the body of {total} bytes, got {pauses[-1].at}")
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
