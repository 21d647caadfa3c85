"""Typed facts of the steps that a check records.

On disk a step has a name, `what`, and a mapping, `detail`. Each kind of step is declared once, as a frozen dataclass beside the
code that records it, so that a type checker compares what is written with what a judge reads.
"""

from dataclasses import asdict, dataclass, fields
from typing import ClassVar, Final, Generic, TypeVar

from mocknode.judge.record.history import History, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """Base of all kinds of steps: a subclass sets `what` and declares the facts as fields."""

    what: ClassVar[str]


Kind = TypeVar("Kind", bound=StepFacts)


@dataclass(frozen=True, slots=True)
class Recorded(Generic[Kind]):
    """A step that was recorded at `t_ns`."""

    t_ns: int
    facts: Kind


def to_step(t_ns: int, check: str, facts: StepFacts) -> Step:
    """Return the step as it is saved."""
    return Step(t_ns=t_ns, check=check, what=facts.what, detail=asdict(facts))


def read(history: History, check: str, kind: type[Kind]) -> list[Recorded[Kind]]:
    """Return the steps of one kind that a check recorded, in the order of recording.

    Raises:
        KeyError: a step lacks one of the facts of its kind.
    """
    names = [field.name for field in fields(kind)]
    return [
        Recorded(step.t_ns, kind(**{name: step.detail[name] for name in names}))
        for step in history.steps_of(check)
        if step.what == kind.what
    ]


def first(history: History, check: str, kind: type[Kind]) -> Recorded[Kind] | None:
    """Return the first step of this kind, None when the check recorded none."""
    return next(iter(read(history, check, kind)), None)


CALIBRATION: Final = "calibration"
"""The steps of a calibration are recorded under this name instead of a check's id."""


PREFLIGHT: Final = "preflight"
"""The steps of a preflight are recorded under this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignServer(StepFacts):
    """Some requests of the preflight, all nodes being healthy, were answered by a server that is none of the nodes.

    Attributes:
        answered, sent: How many it answered, of how many.
        status, server, body: Its answer; `server` is its `Server` header.
    """

    what = "foreign"
    answered: int
    sent: int
    status: int
    server: str | None
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRotation(StepFacts):
    """The balancer answered every request itself, so no node is in rotation although all are healthy.

    Attributes:
        sent: How many requests it answered.
        status, server: Its answer; `server` is its `Server` header.
    """

    what = "no-rotation"
    sent: int
    status: int
    server: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeIntervalAwaited(StepFacts):
    """Traffic was sent until the probe interval was known, or until waiting any longer was useless."""

    what = "rhythm"
    known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficStarted(StepFacts):
    """The traffic that the calibration needs has begun."""

    what = "traffic"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainStarted(StepFacts):
    """The calibration drains a node."""

    what = "drain"
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WentOut(StepFacts):
    """The balancer stopped sending requests to the drained node.

    Attributes:
        at_ns: Time of the last request that reached it; None when requests still came after `waited_s`.
        never: Whether `at_ns` is None, for readers of a timeline.
    """

    what = "out"
    node: str
    at_ns: int | None
    never: bool
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainEnded(StepFacts):
    """The node is online again."""

    what = "resume"
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CameBack(StepFacts):
    """The balancer sends requests to the node again; the facts are those of `WentOut`, for the first request."""

    what = "in"
    node: str
    at_ns: int | None
    never: bool
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreStarted(StepFacts):
    """The cluster was reset after a check."""

    what = "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored(StepFacts):
    """Every node serves again through the balancer."""

    what = "restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRestored(StepFacts):
    """The cluster was healthy again at `since_ns`, but these nodes got no request through the balancer for `waited_s`."""

    what = "not-restored"
    nodes: tuple[str, ...]
    since_ns: int
    waited_s: float
