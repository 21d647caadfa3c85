"""One timeline of client and nodes for a check: what each side did, on one clock, small enough for a report.

The data and its limits; `mocknode.judge.report.tracing` makes it from a history. Seconds count from the check's first event.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# Forty checks share an HTML report of 1 MB that opens from an e-mail. A bar with its label is some 500 bytes of SVG,
# a tick under 20: 20 bars and 150 ticks a lane of four nodes keep a usual check at 25 KB.
BARS_MAX: Final = 20
TICKS_MAX: Final = 150
# Steps are labelled, and labels that overlap can't be read; 30 is more than a drawing of 1000 points can separate.
MARKS_MAX: Final = 30
# More bands than this on a lane of 800 points can't be told apart.
INTERVALS_MAX: Final = 40
# Request targets and step details are shown as one line.
TEXT_MAX: Final = 120

Tick = tuple[float, int | None]
"""An instant and the status that was answered then, None without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A span of seconds in which something held, such as `draining` or `offline: crash`."""

    from_s: float
    to_s: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One node: its states, the faults set on it, and when probes and requests reached it.

    Attributes:
        polling: How many polling connections of Tentacles lived at it, as `60 polling`; empty without any.
        polls: New polling connections: 200 for one that got through, None for one to its address that was refused.
        cuts: When polling connections at it were ended by somebody else than the check, and how many.
    """

    node: str
    states: tuple[Interval, ...]
    faults: tuple[Interval, ...] = ()
    probes: tuple[Tick, ...] = ()
    arrivals: tuple[Tick, ...] = ()
    polling: tuple[Interval, ...] = ()
    polls: tuple[Tick, ...] = ()
    cuts: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBar:
    """An attempt as one node saw it; `end_s` is the end of its answer, or of the connection."""

    node: str
    start_s: float
    first_body_s: float | None
    last_body_s: float | None
    end_s: float | None
    status: int | None
    end: str | None
    received: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """An attempt as its client saw it, and under `at` as each node did; `bytes` is what the client sent of the body."""

    attempt: str
    variant: str
    title: str
    bytes: int
    start_s: float
    head_s: float | None
    body_s: float | None
    response_s: float | None
    end_s: float
    told: str
    end: str
    status: int | None
    node: str | None
    at: tuple[NodeBar, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that the check did, at an instant."""

    t_s: float
    what: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Everything a drawing of one check needs.

    Attributes:
        check: Its id.
        start_ns: Monotonic time of second 0, to find the same instant in the history.
        span_s: Seconds from the first event to the last.
        left_out: How many bars, probes, arrivals, marks and intervals the limits took away.
    """

    check: str
    start_ns: int
    span_s: float
    lanes: tuple[Lane, ...] = ()
    bars: tuple[Bar, ...] = ()
    marks: tuple[Mark, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The timeline as a JSON reader gets it back."""
        return dict(json.loads(json.dumps(dataclasses.asdict(self))))
