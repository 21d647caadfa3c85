"""The history of a run: what our clients did, what the nodes saw, and what was done to the nodes.

A judge reads a `History` and nothing else, so `mocknode judge` reaches the same verdicts from the saved file. This module does
no I/O: `to_line` and `from_lines` convert between events and lines of JSON. All times are nanoseconds of the monotonic clock of
the host that runs the nodes; clients' times are converted before they are recorded.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mocknode.text import json_text

Told = Literal["acknowledged", "error", "nothing"]
"""What the client learned about its request: a 2xx, another status, or no complete answer."""

End = Literal["complete", "reset", "eof", "timeout", "refused", "aborted", "protocol-error"]
"""How an exchange ended for the client. `aborted` means that the client itself sent RST or FIN on purpose; `eof` includes an
answer that was cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request of a check, as its client saw it.

    Attributes:
        id: Unique; sent as `X-Mocknode-Attempt` and part of an upload's file name.
        check: Id of the check that sent it, or `calibration`, `preflight`, `traffic`.
        variant: Variant of the check, or an empty string.
        url: Front door, `scheme://host:port`.
        target: Path and query as sent.
        connection: The client's id of the connection; requests on one connection have equal ids.
        source: Local `address:port`.
        started_ns: Just before connecting, or before the first byte on a reused connection.
        head_sent_ns, body_sent_ns: When the last byte of head and body was handed to the kernel; None if that never happened.
        body_bytes: Bytes of the request body handed to the kernel, without chunked framing.
        file_bytes, sha1: Size and digest of the package that the client meant to send; None without a package.
        response_ns: When the final response's head was complete.
        told, end, status: See `Told` and `End`; status is None without a response head.
        node: `Octopus-Node` of the response; None when the balancer answered itself, or removes the header.
        body: First 2048 characters of the response body.
        interim: 1xx statuses received before the final one.
        marks: Times of the client's own actions, such as `pause` and `continue`.
        error: What went wrong, in words, or None.
        sent_headers: The head as it was sent, the values of keys left out; only of requests that were refused.
    """

    id: str
    check: str
    variant: str = ""
    method: str
    url: str
    target: str
    http_version: Literal["1.0", "1.1", "2"]
    connection: str
    source: str
    started_ns: int
    head_sent_ns: int | None
    body_sent_ns: int | None
    body_bytes: int
    file_bytes: int | None = None
    sha1: str | None = None
    response_ns: int | None
    ended_ns: int
    told: Told
    end: End
    status: int | None
    headers: tuple[tuple[str, str], ...] = ()
    node: str | None = None
    body: str = ""
    interim: tuple[int, ...] = ()
    marks: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    sent_headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str | None:
        """Return the first value of a response header; case does not matter."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def duration_s(self) -> float:
        """Seconds from start to end."""
        return (self.ended_ns - self.started_ns) / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as a node saw it, merged from the phases in its journal.

    Attributes:
        boot, req, conn: Numbers of the node's start, the request and the connection; (node, boot, req) is unique.
        received: Body bytes that the node's parser handed over.
        complete: Whether the whole body arrived; such a request is a delivery.
        file_bytes, sha1: Size and digest of the uploaded file.
        end: `complete` when the node wrote its whole answer; `fin`, `rst` or `timeout` when the peer ended the request;
            `local` when a fault made the node cut it; None while it is open, or when the node died.
        faults: Ids of the faults that acted on it.
        refused: Why the node's web server refused it, such as `host-missing`; see `mocknode.mock.node.http.request_head.Refusal`.
    """

    node: str
    boot: int
    req: int
    conn: int
    peer: str
    attempt: str | None
    method: str
    target: str
    http_version: str
    headers: tuple[tuple[str, str], ...] = ()
    t_ns: int
    first_body_ns: int | None = None
    last_body_ns: int | None = None
    received: int = 0
    complete: bool = False
    file_bytes: int | None = None
    sha1: str | None = None
    status: int | None = None
    ended_ns: int | None = None
    end: str | None = None
    faults: tuple[str, ...] = ()
    tls: bool = False
    refused: str | None = None

    def header(self, name: str) -> str | None:
        """Return the first value of a request header; case does not matter."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A request on the ping path that is not ours: from a balancer, a monitor or a person.

    `answered_ns` and `status` are None while the node has not answered. `ended_ns` and `end` say how the exchange or its connection
    ended: `complete`, `fin` or `rst`. `refused` says why the node's web server refused it, such as `host-missing`.
    """

    node: str
    boot: int
    req: int
    conn: int
    peer: str
    method: str
    target: str
    http_version: str
    host: str | None
    user_agent: str | None
    forwarded: bool = False
    t_ns: int
    answered_ns: int | None
    status: int | None
    ended_ns: int | None = None
    end: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A connection at a node's listener."""

    node: str
    boot: int
    conn: int
    peer: str
    tls: bool
    opened_ns: int
    closed_ns: int | None = None
    how: str | None = None
    by: str | None = None
    bytes_in: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One polling connection of a simulated Tentacle, as the Tentacle saw it.

    Attributes:
        id: Unique; its subscription is `poll://<id>/`.
        node: The node that it meant to poll: the one with this address, or with this server name where names decide.
        address: That address, `host:port`.
        sni: Server name that it sent, None without one.
        source: Local `host:port`, empty without a connection.
        identified_ns: When the server had identified itself; the Tentacle polls from then on.
        polls: When messages arrived.
        ended_ns: When the connection ended; if it was still open, when its client closed it.
        by, how: `peer` or `self`, with `fin`, `rst` or `timeout`. A connection that was never established has `nobody`, with
            `refused` when nothing listened, or `silence` when nothing arrived within the limit.
        stage: How far it came: `new`, `tcp`, `tls`, `greeted`, `identified`.
        server, subject: Thumbprint and subject of the certificate that it received, None without one.
        client: Thumbprint of the certificate that it presented.
        hello: The ClientHello that it sent, in the journal's form; None where no check reads it.
        marks: Times of the Tentacle's own actions, such as `request`, `answered` and `half-closed`.
        error: What went wrong, in words, or None.
    """

    id: str
    check: str
    variant: str = ""
    node: str
    address: str
    sni: str | None = None
    source: str = ""
    started_ns: int
    identified_ns: int | None = None
    polls: tuple[int, ...] = ()
    ended_ns: int
    by: str
    how: str
    stage: str
    server: str | None = None
    subject: str | None = None
    client: str | None = None
    hello: Mapping[str, Any] | None = None
    marks: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None

    @property
    def cut(self) -> bool:
        """Whether somebody else ended the connection while the Tentacle polled."""
        return self.identified_ns is not None and self.by == "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class TentacleConnection:
    """A connection at a node's Tentacle port; `mocknode.mock.tentacle.records` defines the values."""

    node: str
    boot: int
    conn: int
    peer: str
    opened_ns: int
    opening: str | None = None
    first_bytes: str | None = None
    hello: Mapping[str, Any] | None = None
    identified_ns: int | None = None
    thumbprint: str | None = None
    trusted: bool | None = None
    subscription: str | None = None
    closed_ns: int | None = None
    by: str | None = None
    how: str | None = None
    cause: str | None = None
    log: str | None = None
    bytes_in: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """A node changed its state to `online`, `draining`, `starting` or `offline` (with `how`)."""

    node: str
    t_ns: int
    state: str
    how: str | None = None
    cause: str = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultEvent:
    """A fault was set, acted on a request, ended or was removed on a node."""

    node: str
    t_ns: int
    phase: str
    fault: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    attempt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A node's journal lost entries: the evidence of this node is incomplete from `t_ns` on."""

    node: str
    t_ns: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that a check did or noticed: `what` names it, `detail` holds its facts. Judges and timelines read it."""

    t_ns: int
    check: str
    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)


Event = (
    Attempt | Request | Probe | Connection | StateChange | FaultEvent | Dropped | Step | Session | TentacleConnection
)
_TYPES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        Attempt, Request, Probe, Connection, StateChange, FaultEvent, Dropped, Step, Session, TentacleConnection,
    )
}  # fmt: skip


@dataclass(slots=True)
class History:
    """Everything that happened in one lane of a run: one list for each kind of event, in the order of recording.

    Attributes:
        synced_ns: Everything that the nodes journalled before this time has been read. Later events may be known from the client's
            side only.
    """

    attempts: list[Attempt] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    states: list[StateChange] = field(default_factory=list)
    faults: list[FaultEvent] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    tentacles: list[TentacleConnection] = field(default_factory=list)
    synced_ns: int = 0

    def lists(self) -> tuple[list[Any], ...]:
        """Return the ten lists, in the order of their fields."""
        return (
            self.attempts, self.requests, self.probes, self.connections, self.states, self.faults, self.dropped, self.steps,
            self.sessions, self.tentacles,
        )  # fmt: skip

    def attempts_of(self, check: str, variant: str | None = None) -> list[Attempt]:
        """Return the attempts of a check, or of one of its variants."""
        return [a for a in self.attempts if a.check == check and variant in (None, a.variant)]

    def steps_of(self, check: str) -> list[Step]:
        """Return the steps of a check; `mocknode.judge.record.steps` reads those of one kind."""
        return [s for s in self.steps if s.check == check]

    def deliveries(self, attempt: str) -> list[Request]:
        """Return the requests of one attempt whose whole body reached a node."""
        return [r for r in self.requests if r.attempt == attempt and r.complete]

    def at_nodes(self, attempt: str) -> list[Request]:
        """Return the requests of one attempt at any node, complete or not."""
        return [r for r in self.requests if r.attempt == attempt]

    def arrivals(self, node: str, since_ns: int, until_ns: int | None = None) -> list[Request]:
        """Return the requests (never probes) that reached `node` in this time span."""
        return [
            r
            for r in self.requests
            if r.node == node and since_ns <= r.t_ns and (until_ns is None or r.t_ns < until_ns)
        ]


def sessions_of(history: History, check: str, variant: str | None = None) -> list[Session]:
    """Return the polling sessions of a check, or of one of its variants."""
    return [s for s in history.sessions if s.check == check and variant in (None, s.variant)]


def to_line(event: Event) -> str:
    """Return one event as a line of JSON without a line end."""
    # Not `asdict`, which copies everything: a check spent a tenth of its processor time on that.
    values = {entry.name: getattr(event, entry.name) for entry in dataclasses.fields(event)}
    return json_text.dumps({"type": type(event).__name__, **values}).decode()


def from_lines(lines: Iterable[str]) -> History:
    """Return the history that `to_line` wrote.

    Raises:
        ValueError: a line is not an event; the message gives its number.
    """
    history = History()
    by_type = dict(zip(_TYPES.values(), history.lists(), strict=True))
    for number, line in enumerate(lines, 1):
        try:
            document = json.loads(line)
            cls = _TYPES[document.pop("type")]
            for name in {"headers", "sent_headers"} & document.keys():
                document[name] = tuple((key, value) for key, value in document[name])
            for name in ("interim", "faults", "polls"):
                if name in document:
                    document[name] = tuple(document[name])
            by_type[cls].append(cls(**document))
        except (KeyError, TypeError, ValueError) as exc:
            raise ValueError(f"line {number} of the history is not an event: {line[:80]!r}") from exc
    return history
