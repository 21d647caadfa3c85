"""Finds out, before anything is judged, whether the front door leads to our nodes and which headers get through.

A few GETs go through the balancer, and the nodes' journals show which of them arrived. `judge` does no I/O: it takes attempts and
requests, and returns a `Preflight` or raises an error that says who answered. Where some requests reach a node and others a server
that is none, that is a finding for the checks, and not a wrong address.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, get_args

from mocknode.judge.record.history import Attempt, History, Request
from mocknode.judge.record.journal_merge import JournalMerger
from mocknode.judge.record.steps import ForeignServer, NoRotation
from mocknode.judge.traffic import FrontDoor, RequestSpec, new_attempt_id, request
from mocknode.judge.traffic.connecting import NotConnectedError, connect
from mocknode.judge.traffic.spec import USER_AGENT

# A fair random balancer over three nodes leaves one of them unseen with probability 3 * (2/3)^24 = 2e-4.
ATTEMPTS: Final = 24
# After this many attempts in a row without any answer there is no point in trying again.
SILENT_MAX: Final = 2
TIMEOUT_S: Final = 10.0
# A node writes its journal line after its answer, and the controller reads it a moment later.
JOURNAL_WAIT_S: Final = 3.0
GATEWAY_WAIT_S: Final = 0.3
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
GATEWAY: Final = frozenset({502, 503, 504})
# Not the parameter that nodes accept in place of our header (`mocknode-id`): this is to show whether the header arrives.
QUERY: Final = "mocknode-attempt="
BODY_SHOWN: Final = 200

Join = Literal["header", "query", "trace", "order"]
"""How a request at a node was matched with an attempt, best first."""
_JOINS: Final = get_args(Join)


class NotOurClusterError(Exception):
    """The balancer leads to a server that is none of these nodes; the message quotes its answer."""


class BalancerUnreachableError(Exception):
    """Nothing answers at the front door, or the balancer answers without reaching a node; the message says which."""


class NoNodeInRotationError(BalancerUnreachableError):
    """The balancer answers every request itself, as it has no node to send them to; `facts` is its answer."""

    def __init__(self, message: str, facts: NoRotation) -> None:
        super().__init__(message)
        self.facts = facts


class CannotJoinError(Exception):
    """Attempts and requests cannot be matched; the message says which header is needed."""


class _Page(Protocol):
    @property
    def records(self) -> list[dict[str, Any]]: ...
    @property
    def cursor(self) -> str: ...
    @property
    def more(self) -> bool: ...


class JournalSource(Protocol):
    """The part of a `ControlClient` that the preflight needs."""

    async def journal(
        self,
        cursor: str | None = None,
        *,
        kind: str | None = None,
        wait_for: int | None = None,
        timeout_s: float | None = None,
    ) -> _Page:
        """Return the records after `cursor`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What a few attempts showed.

    Attributes:
        attempts, reached: How many were sent, and how many a node saw.
        joined_by: How the attempt that was hardest to match was found.
        node_header: Whether `Octopus-Node` reaches the client.
        attempt_header, trace_header: Whether `X-Mocknode-Attempt` and `traceparent` reach the nodes.
        nodes: Names of the nodes that were reached, sorted.
        peers: Addresses from which the balancer connects to them, sorted.
        own_answers: Number of gateway errors that the balancer itself answered.
        foreign: What answered that is neither a node nor a balancer with a gateway error; None if nothing did.
        server: `Server` header of the answers, None without one.
    """

    attempts: int
    reached: int
    joined_by: Join
    node_header: bool
    attempt_header: bool
    trace_header: bool
    nodes: tuple[str, ...]
    peers: tuple[str, ...]
    own_answers: int = 0
    foreign: ForeignServer | None = None
    server: str | None = None

    def summary(self) -> str:
        """Return one line for people."""
        lost = [
            name
            for name, kept in (
                ("Octopus-Node", self.node_header),
                ("X-Mocknode-Attempt", self.attempt_header),
                ("traceparent", self.trace_header),
            )
            if not kept
        ]
        parts = [f"{self.reached} of {self.attempts} reached {', '.join(self.nodes)} from {', '.join(self.peers)}"]
        if lost:
            parts.append(f"the balancer removes {', '.join(lost)}, so attempts are joined by {self.joined_by}")
        if self.foreign:
            parts.append(f"{self.foreign.answered} were answered by a server that is none of these nodes")
        if self.own_answers:
            parts.append(f"the balancer itself answered {self.own_answers}")
        return "; ".join(parts)


async def refuse_unreachable(front: FrontDoor) -> None:
    """Connect and close again, without a request: a balancer that must stay idle forwards nothing.

    Raises:
        BalancerUnreachableError: nothing listens there, or TLS fails.
    """
    try:
        wire = await asyncio.wait_for(connect(front, "http/1.1"), TIMEOUT_S)
    except NotConnectedError as error:
        raise BalancerUnreachableError(f"nothing answers at {front.url}: {error}") from error
    except TimeoutError:
        raise BalancerUnreachableError(f"nothing answers at {front.url} within {TIMEOUT_S:g} s") from None
    wire.close("fin")


async def preflight(front: FrontDoor, control: JournalSource, record: Callable[[Attempt], None]) -> Preflight:
    """Send a few GETs of `/api` through the front door and find them in the nodes' journals.

    Args:
        record: Called with each attempt.

    Raises:
        NotOurClusterError: every answer came from a server that is none of these nodes.
        BalancerUnreachableError: nothing answers there, or the balancer reaches no node.
    """
    history = History()
    merger = JournalMerger(history)
    cursor = await _read(control, None, lambda _: None)
    attempts: list[Attempt] = []
    while len(attempts) < ATTEMPTS and not _silent(attempts):
        id_ = new_attempt_id()
        spec = RequestSpec(check="preflight", target=f"/api?{QUERY}{id_}", timeout_s=TIMEOUT_S, attempt=id_)
        attempts.append(await request(front, spec))
        record(attempts[-1])
    waiting_since = time.monotonic()
    while True:
        cursor = await _read(control, cursor, merger.feed)
        unknown = _unknown(attempts, _joined(attempts, history.requests))
        # Gateway errors most likely come from the balancer itself, and then no journal will ever show them.
        patience_s = JOURNAL_WAIT_S if any(map(_by_a_server, unknown)) else GATEWAY_WAIT_S
        left_s = waiting_since + patience_s - time.monotonic()
        if not unknown or left_s <= 0:
            return judge(front, attempts, history.requests)
        await control.journal(cursor, kind="request", wait_for=1, timeout_s=left_s)


def refuse_unjoinable(found: Preflight) -> None:
    """Refuse a balancer behind which requests cannot be told apart.

    Raises:
        CannotJoinError: a request reached its node with the id neither in the header nor in the query; nodes look nowhere else.
    """
    if _JOINS.index(found.joined_by) > _JOINS.index("query"):
        raise CannotJoinError(
            "the nodes cannot tell requests apart, because the balancer removes both X-Mocknode-Attempt and the query; let the header "
            "X-Mocknode-Attempt through"
        )


def redirects_to_https(attempt: Attempt) -> bool:
    """Return whether this is an answer of the balancer itself that redirects to HTTPS."""
    where = attempt.header("Location") or ""
    return attempt.node is None and attempt.status in REDIRECTS and where.lower().startswith("https://")


async def _read(control: JournalSource, cursor: str | None, feed: Callable[[dict[str, Any]], None]) -> str:
    while True:
        page = await control.journal(cursor, kind="request")
        for line in page.records:
            feed(line)
        cursor = page.cursor
        if not page.more:
            return cursor


def judge(front: FrontDoor, attempts: Sequence[Attempt], requests: Sequence[Request]) -> Preflight:
    """Conclude from the attempts and the requests at the nodes.

    Raises:
        NotOurClusterError: no request reached a node, and a server answered that is no balancer with a gateway error; or the front
            door is a node itself.
        BalancerUnreachableError: no answer at all, or only gateway errors.
    """
    joined = _joined(attempts, requests)
    unknown = _unknown(attempts, joined)
    foreign = list(filter(_by_a_server, unknown))
    if foreign and not joined:
        raise NotOurClusterError(_wrong_server(front, foreign[0]))
    if not joined:
        if not unknown:
            raise BalancerUnreachableError(_no_answer(front, attempts))
        last = unknown[-1]
        facts = NoRotation(sent=len(unknown), status=last.status or 0, server=last.header("Server"))
        raise NoNodeInRotationError(_reaches_no_node(front, unknown), facts)
    pairs = [(attempt, *joined[attempt.id]) for attempt in attempts if attempt.id in joined]
    # A layer-4 balancer may keep the client's address, but it would not send every connection to one node.
    if {r.node for _, r, _ in pairs} == {pairs[0][1].node} and all(a.source == r.peer for a, r, _ in pairs):
        raise NotOurClusterError(_front_is_a_node(front, pairs[0][1].node))
    return Preflight(
        attempts=len(attempts),
        reached=len(pairs),
        joined_by=max((how for _, _, how in pairs), key=_JOINS.index),
        node_header=all(a.node == r.node for a, r, _ in pairs if a.status is not None),
        attempt_header=all(r.attempt == a.id for a, r, _ in pairs),
        trace_header=all(_trace(r) == a.id for a, r, _ in pairs),
        nodes=tuple(sorted({r.node for _, r, _ in pairs})),
        peers=tuple(sorted({r.peer.rpartition(":")[0] for _, r, _ in pairs})),
        own_answers=len(unknown) - len(foreign),
        foreign=_foreign(foreign, len(attempts)),
        server=next((server for a in attempts if (server := a.header("Server"))), None),
    )


def _foreign(answers: Sequence[Attempt], sent: int) -> ForeignServer | None:
    if not answers:
        return None
    first = answers[0]
    return ForeignServer(
        answered=len(answers),
        sent=sent,
        status=first.status or 0,
        server=first.header("Server"),
        body=" ".join(first.body.split())[:BODY_SHOWN],
    )


def _joined(attempts: Sequence[Attempt], requests: Sequence[Request]) -> dict[str, tuple[Request, Join]]:
    """Return, by attempt id, the request at a node and how it was found."""
    seen: dict[str, list[tuple[Request, Join]]] = {a.id: [] for a in attempts}
    loose: list[Request] = []
    for item in sorted(requests, key=lambda r: r.t_ns):
        in_query = item.target.partition(QUERY)[2].partition("&")[0]
        names: dict[Join, str | None] = {"header": item.attempt, "query": in_query, "trace": _trace(item)}
        how = next((how for how, name in names.items() if name in seen), None)
        if how is None:
            loose.append(item)
        else:
            seen[names[how] or ""].append((item, how))
    found: dict[str, tuple[Request, Join]] = {}
    for attempt in attempts:
        if at := seen[attempt.id]:
            # If the balancer tried several nodes, the client's answer names the one that counts.
            found[attempt.id] = next((pair for pair in at if pair[0].node == attempt.node), at[-1])
        elif fits := [r for r in loose if _may_be(attempt, r)]:
            # Attempts were sent one after another, so the first remaining request that fits belongs to this one.
            loose.remove(fits[0])
            found[attempt.id] = (fits[0], "order")
    return found


def _may_be(attempt: Attempt, item: Request) -> bool:
    if attempt.status is None or item.attempt is not None or not item.target.partition("?")[0].endswith("/api"):
        return False
    if attempt.node is not None:
        return attempt.node == item.node
    return item.header("User-Agent") == USER_AGENT and attempt.status == item.status


def _unknown(attempts: Sequence[Attempt], joined: Mapping[str, object]) -> list[Attempt]:
    return [a for a in attempts if a.status is not None and a.id not in joined]


def _by_a_server(attempt: Attempt) -> bool:
    """Return whether a server behind the balancer answered: the answer names a node, or is no gateway error."""
    return attempt.node is not None or attempt.status not in GATEWAY


def _silent(attempts: Sequence[Attempt]) -> bool:
    return len(attempts) >= SILENT_MAX and all(a.status is None for a in attempts[-SILENT_MAX:])


def _trace(item: Request) -> str | None:
    parts = (item.header("traceparent") or "").split("-")
    return parts[1] if len(parts) == 4 else None


def _wrong_server(front: FrontDoor, attempt: Attempt) -> str:
    server = attempt.header("Server")
    text = " ".join(attempt.body.split())[:BODY_SHOWN]
    if attempt.node is not None:
        who = f"a server that calls itself {attempt.node}, but no node of this cluster saw the request; is this another cluster?"
    else:
        who = f"{server or 'a server without a Server header'}, which is none of these nodes"
    hint = ""
    if redirects_to_https(attempt):
        hint = "; it redirects to HTTPS: give --lb https://HOST:PORT"
    elif attempt.node is None and front.host_header is None:
        hint = "; if the balancer selects a site by name, give the name with --host"
    return f"{front.url} does not lead to these nodes: GET /api got {attempt.status} from {who}; the answer begins {text!r}{hint}"


def _front_is_a_node(front: FrontDoor, node: str) -> str:
    return (
        f"{front.url} is {node} itself: every connection arrived there unchanged, with no balancer in between; "
        "give --lb the balancer's own address"
    )


def _reaches_no_node(front: FrontDoor, unknown: Sequence[Attempt]) -> str:
    last = unknown[-1]
    text = " ".join(last.body.split())[:BODY_SHOWN]
    server = last.header("Server")
    return (
        f"the balancer answers, but reaches no node: {front.url} answered {last.status} to {len(unknown)} of {len(unknown)} "
        f"requests{f' (Server: {server})' if server else ''}; the answer begins {text!r}"
    )


def _no_answer(front: FrontDoor, attempts: Sequence[Attempt]) -> str:
    where = f"{front.url} ({front.address}:{front.port})" if front.connect_host else front.url
    last = attempts[-1]
    if last.head_sent_ns is None:
        return f"no balancer answers at {where}: {last.error}"
    return f"{where} accepts connections but does not answer: {last.error}"
