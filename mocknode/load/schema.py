"""The shape of the `mocknode-load/1` document, key by key.

Code that builds or reads the report of a load run is checked against these types, and its JSON Schema is made from them. Keys may
be added; none may change its meaning. Times are seconds; `at_s` counts from the first upload.
"""

from typing import Annotated, Final, Literal

from typing_extensions import TypedDict

from mocknode.judge.record.history import Told
from mocknode.judge.record.ledger import ClassCounts
from mocknode.text.json_schema import Rule, closed

SCHEMA: Final = "mocknode-load/1"

Percentile = Literal["p50_s", "p90_s", "p95_s", "p99_s", "p99.9_s", "max_s"]
"""Percentiles of a latency, and its maximum."""
LoadResult = Literal["held", "failed", "environment", "unknown", "untrusted", "interrupted"]
Count = Annotated[int, Rule(minimum=0)]
Duration = Annotated[float, Rule(minimum=0)]


@closed
class KnownBalancer(TypedDict):
    """Facts about the balancer that are known before the run."""

    kind: str | None
    version: str | None
    mode: str | None
    binary: str | None


@closed
class LoadedBalancer(KnownBalancer):
    """The balancer under load."""

    url: str
    """the address that the generator used"""


class LoadFacts(TypedDict):
    """What the report repeats about the command."""

    versions: dict[str, str]
    balancer: KnownBalancer
    reproduce: str


@closed
class WorkloadFacts(TypedDict):
    """The users and their uploads, as the command line gave them."""

    users: Count
    actions: Count
    deltas: Count
    shape: str
    uploads: Count | None
    browsers: Count
    monitors: Count
    rate_per_s: float | None
    """open loop: uploads that are due each second"""
    workers: Count
    duration_s: Duration
    sizes: str
    forms: str
    link_bytes_per_s: float | None
    seed: int


@closed
class Numbers(TypedDict):
    """Counts beside the classes of the ledger."""

    attempts: Count
    recorded: Count
    """requests of all kinds that the generator recorded"""
    failed: Count
    failed_undisturbed: Count
    """failed uploads during which no node was away on purpose"""
    reads: Count
    reads_failed: Count
    """failed reads during which no node was away on purpose"""
    reads_disturbed: Count
    """failed reads during which a node was away on purpose"""
    repeated: Count
    """attempts that nodes saw more than once, whole or torn"""
    unexplained: Count
    """requests at nodes that belong to no recorded attempt"""
    nameless: Count
    """requests without an attempt's id, which were joined by their digest"""
    unfinished: Count
    sent: Count
    """bytes that the generator sent"""
    acknowledged_bytes: Count


@closed
class Throughput(TypedDict):
    """Acknowledged uploads over the whole run."""

    uploads_per_s: float | None
    bytes_per_s: float | None


# A class statement cannot have a key with a dot in it.
_Permille = TypedDict("_Permille", {"p99.9_s": float | None})


@closed
class Latency(_Permille):
    """Percentiles, mean and extremes of acknowledged requests; null without any."""

    count: Count
    min_s: float | None
    mean_s: float | None
    p50_s: float | None
    p90_s: float | None
    p95_s: float | None
    p99_s: float | None
    max_s: float | None


@closed
class LatencyOfKind(TypedDict):
    """Latencies of one kind of request."""

    response: Latency
    """from the moment when the request was due"""
    service: Latency
    """from the moment when it was sent"""
    histogram_s: dict[str, Count]
    """response time, rounded to three digits -> how many requests took it"""


# `from` and `class` are words of Python, so a class statement cannot have them as keys.
_SizeRange = TypedDict("_SizeRange", {"from": Count, "to": Count})
_ClassOfAttempt = TypedDict("_ClassOfAttempt", {"class": str})


@closed
class SizeRow(_SizeRange):
    """Uploads of one range of sizes."""

    attempts: Count
    classes: dict[str, Count]
    failures: dict[str, Count]
    """status, or how the exchange ended without one -> how many uploads failed with it"""
    largest_passed: Count | None
    smallest_failed: Count | None


@closed
class JudgedCondition(TypedDict):
    """A condition under which the run fails."""

    fail_if: str
    always: bool
    """every run has this condition"""
    value: float | None
    shown: str
    holds: bool | None
    """null if nothing was measured that could decide it"""


@closed
class WorkerFacts(TypedDict):
    """A process of the generator, and how busy it was."""

    pid: int
    cpu_mean: float | None
    cpu_max: float
    waited_max: float
    late_max_s: float
    missed: Count
    connections: Count
    requests: Count
    rss_max_bytes: Count
    fds_max: Count
    fd_limit: Count


@closed
class GeneratorFacts(TypedDict):
    """Whether the generator kept up."""

    workers: list[WorkerFacts]
    judge_stall_s: float
    problems: list[str]
    """why the figures cannot be trusted"""


@closed
class ScheduleStep(TypedDict):
    """Something that was done to a node on schedule, or its end."""

    at_s: float
    node: str
    verb: str
    begins: bool


@closed
class Drain(TypedDict):
    """New uploads that a draining node still got."""

    node: str
    at_s: float
    for_s: Duration
    new_uploads: Count
    last_after_s: float
    """from the start of the drain to the last of them"""


@closed
class NodeState(TypedDict):
    """A change of a node's state."""

    at_s: float
    node: str
    state: str
    how: str | None


@closed
class Moment(TypedDict):
    """Uploads that ended within one interval of the run."""

    at_s: float
    width_s: Duration
    told: dict[Told, Count]
    bytes: Count
    p50_s: float | None
    p99_s: float | None
    max_s: float | None


@closed
class Example(_ClassOfAttempt):
    """An upload that was not delivered exactly once."""

    id: str
    size: Count
    form: str
    at_s: float
    took_s: float | None
    status: int | None
    node: str | None
    end: str | None
    error: str | None
    at_nodes: Count
    disturbed: bool
    """a node was away on purpose meanwhile"""


@closed
class LoadReport(TypedDict):
    """What `mocknode load --json` writes."""

    schema: Literal["mocknode-load/1"]
    result: LoadResult
    exit_code: int
    started: str
    duration_s: Duration
    versions: dict[str, str]
    """program -> version"""
    balancer: LoadedBalancer
    reproduce: str
    load: str
    """the workload in one line"""
    workload: WorkloadFacts
    aborted_by: str | None
    """the condition that ended the run early"""
    nodes: list[str]
    ledger: ClassCounts | None
    """null if the servers keep no journals (`--unverified`)"""
    numbers: Numbers
    throughput: Throughput
    latency: dict[str, LatencyOfKind]
    """kind of request -> its latencies"""
    by_size: list[SizeRow]
    values: dict[str, float | None]
    """metric of `--fail-if` -> its value"""
    conditions: list[JudgedCondition]
    generator: GeneratorFacts
    schedule: list[ScheduleStep]
    drains: list[Drain]
    states: list[NodeState]
    over_time: list[Moment]
    examples: list[Example]
    notes: list[str]
    run_dir: str
