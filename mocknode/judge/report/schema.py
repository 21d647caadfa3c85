"""The shape of the `mocknode-report/1` document, key by key.

Code that builds or reads a report is checked against these types, and its JSON Schema is made from them. Keys may be added;
none may change its meaning, and a key that older reports lack is `NotRequired`.
"""

from typing import Annotated, Any, Final, Literal, NotRequired

from typing_extensions import TypedDict

from mocknode.judge.record.history import End, Told
from mocknode.judge.record.ledger import LedgerCounts
from mocknode.judge.verdict.calibration import CalibrationFacts
from mocknode.judge.verdict.outcome import Level, OutcomeName, Result, Tier
from mocknode.text.json_schema import Rule, closed

SCHEMA: Final = "mocknode-report/1"

Count = Annotated[int, Rule(minimum=0)]
Duration = Annotated[float, Rule(minimum=0)]

Tick = Annotated[
    tuple[float, int | None], Rule(items=False, description="an instant, and the status that was answered then")
]
"""An instant and the status that was answered then, None without an answer."""


@closed
class Interval(TypedDict):
    """A span of seconds in which something held, such as `draining` or `offline: crash`."""

    from_s: float
    to_s: float
    label: str


@closed
class Lane(TypedDict):
    """One node: its states, the faults set on it, and when probes and requests reached it."""

    node: str
    states: list[Interval]
    faults: list[Interval]
    probes: list[Tick]
    arrivals: list[Tick]
    polling: NotRequired[list[Interval]]
    """how many polling connections of Tentacles the node had, such as `60 polling`; absent in reports of older versions"""
    polls: NotRequired[list[Tick]]
    """new polling connections: 200 for one that reached the node, null for one to its address that was refused"""
    cuts: NotRequired[list[tuple[float, int]]]
    """when polling connections at the node were ended by anyone but the check, and how many; absent in reports of older
    versions"""


@closed
class NodeBar(TypedDict):
    """An attempt as one node saw it."""

    node: str
    start_s: float
    first_body_s: float | None
    last_body_s: float | None
    end_s: float | None
    """the end of the node's answer, or of the connection"""
    status: int | None
    end: str | None
    received: Count
    complete: bool


@closed
class Bar(TypedDict):
    """An attempt as its client saw it."""

    attempt: str
    variant: str
    title: str
    bytes: Count
    """how much of the body the client sent"""
    start_s: float
    head_s: float | None
    body_s: float | None
    response_s: float | None
    end_s: float
    told: Told
    end: End
    status: int | None
    node: str | None
    at: list[NodeBar]
    """the same attempt as each node saw it"""


@closed
class Mark(TypedDict):
    """Something that the check did, at an instant."""

    t_s: float
    what: str
    text: str


@closed
class Timeline(TypedDict):
    """What the client and the nodes did during one check; seconds count from its first event."""

    check: str
    start_ns: int
    """monotonic time of second 0, to find the same instant in the history"""
    span_s: Duration
    lanes: list[Lane]
    bars: list[Bar]
    marks: list[Mark]
    left_out: dict[str, Count]
    """how many bars, probes, arrivals, marks and intervals the limits took away"""


@closed
class ReportedFix(TypedDict):
    """Lines to paste into the balancer's configuration, and what they cost."""

    balancer: str
    file: str
    snippet: str
    costs: str


@closed
class ReportedVariant(TypedDict):
    """One variant of a check, judged."""

    name: str
    level: Level
    tier: Tier
    outcome: OutcomeName
    summary: str
    cause: str | None
    hurts: str | None
    evidence: dict[str, Any]
    ruled_out: list[str]
    caused_by: str | None
    """id of the check whose failure is the root of this one"""


@closed
class ReportedCheck(TypedDict):
    """One check, judged; outcome, summary, cause and hurts are those of its worst variant."""

    id: Annotated[str, Rule(pattern=r"^[A-Z]{2}-\d{2}$")]
    name: str
    profile: str
    outcome: OutcomeName
    summary: str
    cause: str | None
    hurts: str | None
    levels: list[Level]
    variants: list[ReportedVariant]
    ruled_out: list[str]
    caused_by: str | None
    """id of the check whose failure is the root of this one"""
    fixes: list[ReportedFix]
    duration_s: Duration
    tries: Count


@closed
class ReportedBalancer(TypedDict):
    """The balancer under test."""

    kind: str | None
    detected: bool
    """the kind was detected, not declared"""
    version: str | None
    mode: str | None
    url: str
    binary: str | None


@closed
class Report(TypedDict):
    """What `mocknode check --json` writes. Durations and instants are seconds; the instants of a timeline count from its first
    event.
    """

    schema: Literal["mocknode-report/1"]
    result: Result
    seed: int
    started: Annotated[str, Rule(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]
    """UTC, RFC 3339"""
    duration_s: Duration
    tier: Tier
    versions: dict[str, str]
    """program -> version"""
    balancer: ReportedBalancer
    nodes: list[str]
    calibration: CalibrationFacts | None
    checks: list[ReportedCheck]
    unfinished: list[str]
    """ids of checks that this run planned and has not done (yet); without a failure the result is then `partial`"""
    left_out: NotRequired[list[str]]
    """ids of checks that this balancer could be put to and the run was not asked for (`--only`, `--profile`); without a fault
    the result is then `passed`; absent in reports of older versions"""
    ledger: LedgerCounts
    claims: dict[str, str]
    """check id -> the sentence that was judged"""
    timelines: dict[str, Timeline]
    """check id -> what the client and the nodes did"""
    configuration: dict[str, str]
    """name -> text of the files that the balancer ran with"""
    notes: list[str]
    """what limits the trust in this run, or explains it"""
    run_dir: str
    reproduce: str
