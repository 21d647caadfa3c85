"""Bodies of the control API, as pydantic models: what requests must look like, and what OpenAPI says of the answers."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

STATE_WORDS = "`online`, `draining`, `starting` or `offline`"
TRIGGER_WORDS = "Duration `5s`, count `3 pings`, share `30% of an upload` or bytes `64KiB`; null is now."

TASKS_MAX = 1000
"""Tasks of one request; a cluster of eight nodes runs forty at once."""


class _Body(BaseModel):
    """A request body: unknown keys are refused, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StateRequest(_Body):
    """A node's new state."""

    state: str = Field(description=f"{STATE_WORDS}.")
    how: str | None = Field(
        None, description="For offline: refuse (default), crash, freeze, blackhole, status:NNN, garbage."
    )
    after: str | None = Field(None, description=TRIGGER_WORDS)
    cancel_tasks: bool = Field(False, description="With `draining`, at once: cancel what the node runs.")


class TasksRequest(_Body):
    """Tasks to queue."""

    duration: str = Field(description="How long each runs, such as `30s`.")
    count: int = Field(1, ge=1, le=TASKS_MAX, description="So many equal ones.")
    description: str = Field("A task", max_length=200)


class FaultRequest(_Body):
    """A fault to set."""

    kind: str = Field(description="Name of a fault, such as `status`, `latency`, `hang`, `reset`.")
    options: dict[str, Any] = Field(default_factory=dict, description="The kind's own options; values in human units.")
    on: str = Field(
        "all", description="Which requests: `ping`, `api` or `all`; or `tentacle`, connections at that port."
    )
    first: int | None = Field(None, description="Act on this many requests, then end.")
    every: int | None = Field(None, description="Act on each k-th matching request only.")
    after: str | None = Field(None, description=TRIGGER_WORDS)
    ttl: str | None = Field(None, description="Duration after which it ends by itself.")
    attempt: str | None = Field(None, description="Act on the request with this `X-Mocknode-Attempt` only.")


class TentacleRequest(_Body):
    """A Tentacle to register."""

    name: str = Field(min_length=1, max_length=200, description="Unique among them, whatever the case.")
    thumbprint: str = Field(description="Of its certificate: 40 hex digits.")
    uri: str = Field(
        max_length=400,
        description="The queue that it polls, `poll://abc/`, or where it listens, `https://host:10933/`.",
    )


class TentacleDocument(BaseModel):
    """A registered Tentacle."""

    name: str
    thumbprint: str
    uri: str
    style: Literal["TentacleActive", "TentaclePassive"] = Field(
        description="Who connects: the Tentacle, or the server."
    )
    nodes: dict[str, int | None] = Field(description="Its open connections at each node; null where that is not known.")


class TentaclesDocument(BaseModel):
    """The registered Tentacles."""

    tentacles: list[TentacleDocument]


class CallRequest(_Body):
    """A call to a Tentacle."""

    call: str = Field(description="`health` (capabilities, script, status, complete), `capabilities` or `script`.")
    body: str = Field("", description="Of the script.")
    collect_s: float | None = Field(
        None,
        gt=0,
        le=600,
        strict=False,
        description="Seconds that a polling Tentacle may take to collect the request; null is two minutes.",
    )


class CallDocument(BaseModel):
    """What a Tentacle answered."""

    healthy: bool | None = None
    version: str | None = None
    capabilities: list[str] | None = None
    exit_code: int | None = None
    output: list[str] | None = None


class LeaseRequest(_Body):
    """Somebody who wants the cluster to itself."""

    holder: str = Field(max_length=200, description="Who, in words for those who are refused meanwhile.")


class TaskDocument(BaseModel):
    """A task; times are seconds since the epoch."""

    id: str
    description: str
    duration_s: float
    state: Literal["Queued", "Executing", "Success", "Canceled"]
    queued: float
    node: str | None = Field(description="Who runs or ran it.")
    started: float | None
    completed: float | None
    reason: str | None = Field(description="Why it was cancelled.")


class TasksDocument(BaseModel):
    """Tasks, oldest first."""

    tasks: list[TaskDocument]


class SnapshotRequest(_Body):
    """A snapshot to take."""

    name: str = Field(description="Letters, digits, `.`, `_` and `-`; at most 63, the first a letter or digit.")


class SnapshotDocument(BaseModel):
    """A snapshot of the data."""

    name: str
    taken: float = Field(description="Seconds since the epoch.")
    packages: int = Field(description="How many are in it.")


class SnapshotsDocument(BaseModel):
    """Snapshots by name; `fixtures` is what `--fixtures` loaded."""

    snapshots: list[SnapshotDocument]


class LeaseDocument(BaseModel):
    """A lease that was given."""

    lease: str = Field(description="To be sent as `X-Mocknode-Lease` with every change.")
    seconds: float = Field(description="It runs out after this long without being renewed.")


class HolderDocument(BaseModel):
    """Who holds the cluster."""

    holder: str | None = Field(description="Null: nobody.")


class FaultDocument(FaultRequest):
    """A fault that is set."""

    id: str = Field(description="Unique in the cluster, such as `f1`.")


class TentacleAddress(BaseModel):
    """Where polling Tentacles reach a node."""

    host: str
    port: int
    thumbprint: str = Field(description="Of the certificate that it presents: 40 upper-case hex digits.")


class NodeDocument(BaseModel):
    """A node."""

    name: str
    http: str | None = Field(description="Advertised URL.")
    https: str | None = Field(description="Advertised URL; null without an HTTPS listener.")
    tentacle: TentacleAddress | None = Field(
        description="Where polling Tentacles reach it; null without such a listener."
    )
    state: str = Field(description=f"{STATE_WORDS}.")
    how: str | None = Field(description="In which way it is offline.")
    cause: str = Field(description="`command`, `trigger`, `api`, `reset`, or how it died.")
    boot: int = Field(description="How often it was started.")
    pid: int | None
    alive: bool = Field(description="It has a process; a frozen one counts.")
    faults: list[FaultDocument]
    counters: dict[str, Any] | None = Field(description="Null while its process is dead or stopped.")
    pending: list[Any] = Field(description="State changes that wait for their trigger.")


class NodesDocument(BaseModel):
    """Every node."""

    nodes: list[NodeDocument]


class FaultsDocument(BaseModel):
    """The faults of one node, in the order they were set."""

    faults: list[FaultDocument]


class HealthDocument(BaseModel):
    """Who answers here."""

    product: Literal["mocknode"]
    version: str
    control_api: Literal[1]
    run_id: str = Field(description="Changes whenever the controller is started.")
    monotonic_ns: int = Field(description="Clock of the nodes' host, the one that journals use.")


class ClusterDocument(BaseModel):
    """What a client needs to use the cluster."""

    name: str
    version: str
    control_api: Literal[1]
    api_key: str = Field(description="Key that the nodes accept.")
    run_dir: str
    ca_pem: str | None = Field(description="PEM of the cluster's authority; null without HTTPS of its own.")
    nodes: list[NodeDocument]


class JournalDocument(BaseModel):
    """A page of the journal."""

    records: list[dict[str, Any]] = Field(description="In the order each node wrote them; phases are not merged.")
    cursor: str = Field(description="Opaque; pass it to go on after the last record.")
    monotonic_ns: int
    more: bool = Field(description="More is there already.")


class LedgerEntry(BaseModel):
    """What the nodes saw of one attempt. What its client was told is not known here."""

    attempt: str
    requests: int = Field(description="Times any of it reached a node.")
    deliveries: int = Field(description="Times its body arrived whole.")
    nodes: list[str]
    digests: list[str] = Field(description="Distinct SHA-1 of the file in whole bodies.")
    statuses: list[int] = Field(description="Answers, in order.")


class LedgerDocument(BaseModel):
    """The nodes' side of the ledger."""

    attempts: list[LedgerEntry]
    next: int | None = Field(description="Value of `from` for the next page; null at the end.")
    dropped: int = Field(description="Journal entries that nodes dropped; then this ledger is incomplete.")


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str = Field(description="One sentence that names what was got and what is allowed.")
    got: Any = None
    allowed: list[str] | None = None
