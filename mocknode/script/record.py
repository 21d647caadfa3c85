"""What a run leaves behind: the figures and events that verdicts are made from, as a value and as a JSON file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Ended = Literal["done", "failed", "missed", "unseen", "interrupted"]
"""How a step ended: done; it could not do its work or a wait ran out, which ends the schedule; an expectation that did not hold;
an expectation that the evidence says nothing about; interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """A step that was carried out.

    Attributes:
        began_s, ended_s: Since the load began.
        saw: What it did or saw, in one line.
        nearest: Events near its failure.
    """

    id: str
    text: str
    began_s: float
    ended_s: float
    ended: Ended
    saw: str
    line: int = 0
    nearest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """Something that happened at a node, or that a scenario marked."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRecord:
    """A node entered a state."""

    at_s: float
    node: str
    state: str
    how: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentRecord:
    """What a stream's attempts that ended in one interval were told, and how long the successful ones took."""

    at_s: float
    acknowledged: int
    failed: int
    p50_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRecord:
    """One upload. A run has the longest ones and those that failed."""

    stream: str
    began_s: float
    ended_s: float
    node: str | None
    told: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFigures:
    """Figures of a stream over the whole run.

    Attributes:
        failed_undisturbed: Failures while no node was down on purpose.
        latency_s: p50, p90, p99 and max of the successful attempts; empty without any.
        classes: Uploads by class of the ledger; empty for a stream that does not upload.
        cut_on_drain: Uploads that broke off at a node that only drained.
        over_time: Its attempts by the interval in which they ended.
    """

    kind: str
    attempts: int = 0
    acknowledged: int = 0
    failed: int = 0
    failed_undisturbed: int = 0
    latency_s: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    cut_on_drain: int = 0
    over_time: tuple[MomentRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LateLook:
    """The last look at an expectation of kind `eventually`, by its place among the expectations."""

    index: int
    holds: bool
    saw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A run.

    Attributes:
        width_s: Length of an interval of `StreamFigures.over_time`.
        problems: Why its figures cannot be trusted.
        interrupted: Whether the user ended it.
        restored: Whether the cluster was seen to be healthy afterwards; `left` says what is not.
        rehearsed: Whether nothing was disturbed.
    """

    duration_s: float
    streams: Mapping[str, StreamFigures]
    steps: tuple[StepRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()
    states: tuple[StateRecord, ...] = ()
    uploads: tuple[UploadRecord, ...] = ()
    nodes: tuple[str, ...] = ()
    width_s: float = 1.0
    late: tuple[LateLook, ...] = ()
    problems: tuple[str, ...] = ()
    interrupted: bool = False
    restored: bool = True
    left: str = ""
    rehearsed: bool = False

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        # Through JSON, so that a document is the same before and after its file.
        document: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return document


def load(document: Mapping[str, Any]) -> Record:
    """Return the record that `Record.document` made.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return Record(
        **{
            **document,
            "streams": {name: _figures(figures) for name, figures in document["streams"].items()},
            "states": tuple(StateRecord(**state) for state in document["states"]),
            "uploads": tuple(UploadRecord(**upload) for upload in document["uploads"]),
            "nodes": tuple(document["nodes"]),
            "steps": tuple(StepRecord(**{**step, "nearest": tuple(step["nearest"])}) for step in document["steps"]),
            "events": tuple(EventRecord(**event) for event in document["events"]),
            "late": tuple(LateLook(**look) for look in document["late"]),
            "problems": tuple(document["problems"]),
        }
    )


def _figures(document: Mapping[str, Any]) -> StreamFigures:
    return StreamFigures(**{**document, "over_time": tuple(MomentRecord(**moment) for moment in document["over_time"])})
