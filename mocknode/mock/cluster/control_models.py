"""Bodies of the control API as pydantic models: they validate requests and describe the answers in OpenAPI."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mocknode.text.foreign import require_printable

STATE_WORDS = "`online`, `draining`, `starting` or `offline`"
TRIGGER_WORDS = "Duration `5s`, count `3 pings`, share `30% of an upload` or bytes `64KiB`; null is now."

Shown = Annotated[str, AfterValidator(require_printable)]
"""Text that people see in lists and errors."""
TASKS_MAX = 1000
"""Largest number of tasks in one request; a cluster of eight nodes runs forty at once."""


class _Body(BaseModel):
    """A request body: unknown keys are refused and no value is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StateRequest(_Body):
    """A node's new state."""

    state: str = Field(description=f"{STATE_WORDS}.")
    how: str | None = Field(
        None, description="For offline: refuse (default), stop, crash, freeze, blackhole, status:NNN, garbage."
    )
    after: str | None = Field(None, description=TRIGGER_WORDS)
    cancel_tasks: bool = Field(
        False, description="With `draining` and without `after`: cancel the tasks that the node runs."
    )


class TasksRequest(_Body):
    """Tasks to queue."""

    duration: str = Field(description="How long each task runs, such as `30s`.")
    count: int = Field(1, ge=1, le=TASKS_MAX, description="How many equal tasks to queue.")
    description: Shown = Field("A task", max_length=200)


class FaultRequest(_Body):
    """A fault to set."""

    kind: str = Field(description="Name of a fault, such as `status`, `latency`, `hang`, `reset`.")
    options: dict[str, Any] = Field(default_factory=dict, description="The kind's own options; values in human units.")
    on: str = Field(
        "all",
        description="Where it acts: on `ping`, `api` or `all` requests, or on connections to the `tentacle` port.",
    )
    first: int | None = Field(None, description="Act on this many requests, then end.")
    every: int | None = Field(None, description="Act on every k-th matching request only.")
    after: str | None = Field(None, description=TRIGGER_WORDS)
    ttl: str | None = Field(None, description="Duration after which the fault ends.")
    attempt: Shown | None = Field(None, description="Act on the request with this `X-Mocknode-Attempt` only.")


class TentacleRequest(_Body):
    """A Tentacle to register."""

    name: Shown = Field(
        min_length=1, max_length=200, description="Unique among the registered Tentacles; case does not matter."
    )
    thumbprint: str = Field(description="Thumbprint of its certificate: 40 hex digits.")
    uri: Shown = Field(
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
    nodes: dict[str, int | None] = Field(
        description="Its open connections at each node; null for a node that did not answer."
    )


class TentaclesDocument(BaseModel):
    """The registered Tentacles."""

    tentacles: list[TentacleDocument]


class CallRequest(_Body):
    """A call to a Tentacle."""

    call: str = Field(description="`health` (capabilities, script, status, complete), `capabilities` or `script`.")
    body: str = Field("", description="Text of the script.")
    collect_s: float | None = Field(
        None,
        gt=0,
        le=600,
        strict=False,
        description="Seconds that a polling Tentacle may take to collect the request; null is two minutes.",
    )


class CallDocument(BaseModel):
    """The answer of a Tentacle."""

    healthy: bool | None = None
    version: str | None = None
    capabilities: list[str] | None = None
    exit_code: int | None = None
    output: list[str] | None = None


class LeaseRequest(_Body):
    """A request to hold the cluster alone."""

    holder: Shown = Field(
        max_length=200, description="Name of the holder, shown to everybody who is refused meanwhile."
    )


class TaskDocument(BaseModel):
    """A task; times are seconds since the epoch."""

    id: str
    description: str
    duration_s: float
    state: Literal["Queued", "Executing", "Success", "Canceled"]
    queued: float
    node: str | None = Field(description="Name of the node that runs or ran it.")
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
    packages: int = Field(description="Number of packages in it.")


class SnapshotsDocument(BaseModel):
    """Snapshots by name; `fixtures` holds the data that `--fixtures` loaded."""

    snapshots: list[SnapshotDocument]


class LeaseDocument(BaseModel):
    """A lease that was granted."""

    lease: str = Field(description="Send it as `X-Mocknode-Lease` with every change.")
    seconds: float = Field(description="The lease expires when it is not renewed for this long.")


class HolderDocument(BaseModel):
    """The holder of the cluster."""

    holder: str | None = Field(description="Null when nobody holds the cluster.")


class FaultDocument(FaultRequest):
    """A fault that is set."""

    # A client takes an answer with keys that it does not know.
    model_config = ConfigDict(extra="ignore")

    id: str = Field(description="Unique in the cluster, such as `f1`.")


class TentacleAddress(BaseModel):
    """Where polling Tentacles reach a node."""

    host: str
    port: int
    thumbprint: str = Field(
        description="Thumbprint of the certificate that the node presents: 40 upper-case hex digits."
    )


class ConnectionsDocument(BaseModel):
    """Connections at a node's Tentacle port."""

    connections: int


class CountersDocument(BaseModel):
    """What a node counted since its start; there are more counters than these."""

    model_config = ConfigDict(extra="allow")

    pings: int
    requests: int
    uploads_in_flight: int
    tentacles: ConnectionsDocument | None


class PendingDocument(BaseModel):
    """A state change that waits for its trigger."""

    model_config = ConfigDict(extra="allow")

    state: str
    how: str | None
    after: str


class NodeDocument(BaseModel):
    """A node."""

    name: str
    http: str | None = Field(description="Advertised URL.")
    https: str | None = Field(description="Advertised URL; null without an HTTPS listener.")
    tentacle: TentacleAddress | None = Field(
        description="Where polling Tentacles reach it; null without such a listener."
    )
    state: str = Field(description=f"{STATE_WORDS}.")
    how: str | None = Field(description="How it is offline.")
    cause: str = Field(description="`command`, `trigger`, `api`, `reset`, or how its process died.")
    boot: int = Field(description="Number of times it was started.")
    pid: int | None
    alive: bool = Field(description="True while it has a process, frozen or not.")
    faults: list[FaultDocument]
    counters: CountersDocument | None = Field(description="Null while its process is dead or frozen.")
    pending: list[PendingDocument] = Field(description="State changes that wait for their trigger.")


class NodesDocument(BaseModel):
    """Every node."""

    nodes: list[NodeDocument]


class FaultsDocument(BaseModel):
    """The faults of one node, in the order they were set."""

    faults: list[FaultDocument]


class HealthDocument(BaseModel):
    """Product and version of the server that answers here."""

    product: Literal["mocknode"]
    version: str
    control_api: Literal[1]
    run_id: str = Field(description="A new value each time the controller starts.")
    monotonic_ns: int = Field(description="Clock of the nodes' host, which the journals use.")


class ClusterDocument(BaseModel):
    """What a client needs to use the cluster."""

    name: str
    version: str
    control_api: Literal[1]
    api_key: str = Field(description="API key that the nodes accept.")
    run_dir: str
    ca_pem: str | None = Field(description="PEM of the cluster's authority; null without HTTPS of its own.")
    nodes: list[NodeDocument]


class JournalDocument(BaseModel):
    """A page of the journal."""

    records: list[dict[str, Any]] = Field(
        description="Records in the order in which each node wrote them; phases of a request are not merged."
    )
    cursor: str = Field(description="Opaque; pass it on to continue after the last record.")
    monotonic_ns: int
    more: bool = Field(description="True when more records are available now.")


class LedgerEntry(BaseModel):
    """The nodes' record of one attempt. The answer that its client received is not part of it."""

    attempt: str
    requests: int = Field(description="Number of requests with this attempt id that reached a node.")
    deliveries: int = Field(description="Number of times its body arrived complete.")
    nodes: list[str]
    digests: list[str] = Field(description="Distinct SHA-1 digests of the file in complete bodies.")
    statuses: list[int] = Field(description="Status codes of the answers, in order.")


class LedgerDocument(BaseModel):
    """The nodes' side of the ledger."""

    attempts: list[LedgerEntry]
    next: int | None = Field(description="Value of `from` for the next page; null at the end.")
    dropped: int = Field(
        description="Number of journal entries that nodes dropped; when it is not 0, this ledger is incomplete."
    )


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str = Field(description="One sentence that names what was got and what is allowed.")
    got: Any = None
    allowed: list[str] | None = None
