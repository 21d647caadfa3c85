"""The drain sequence that DR-02, DR-04 and DR-05 read: drain all nodes but one, then the last, then bring one back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mocknode.judge.record.history import Attempt, History
from mocknode.judge.record.steps import StepFacts, first
from mocknode.judge.traffic import FrontDoor, Http1Connection, Http2Connection, RequestSpec
from mocknode.judge.traffic.connecting import NotConnectedError
from mocknode.judge.verdict.calibration import Calibration

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

# The recorded id; run directories hold it, so it keeps its first name.
ID: Final = "drain-walk"
# The last node is watched for at least this long; for longer where many nodes need more requests.
SURVIVOR_WATCH_S: Final = 2.0
# Pause between requests on a kept connection while a node is drained; the shortest default limit on idle connections is 5 s
# (Apache's KeepAliveTimeout).
KEPT_PAUSE_S: Final = 4.0
# Requests on each kept connection after the drain.
AFTER_REQUESTS: Final = 6
# Requests that show what a CI job and a browser get while all nodes are drained.
ALL_DRAINED_REQUESTS: Final = 6
ANSWER_S_MAX: Final = 5.0
ALL_DRAINED_UPLOAD_BYTES: Final = 64 * 1024
# From this probe interval on checks of health disturb two nodes at a time where they may.
SLOW_INTERVAL_S: Final = 10.0
# A return is watched for two reactions and this much longer: nginx avoids a node for 10 s after it refused.
RECOVERY_WATCH_S: Final = 12.0

KeptConnection = Http1Connection | Http2Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleNode(StepFacts):
    """The cluster has one node, so nothing is drained."""

    what = "single-node"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstDrained(StepFacts):
    """The first node was drained at `since_ns`; its last request came at `out_ns`, None when requests never stopped."""

    what = "first-drained"
    node: str
    since_ns: int
    out_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoHttp2(StepFacts):
    """The front door does not speak HTTP/2."""

    what = "no-http2"
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OneLeft(StepFacts):
    """Every node but this one is drained."""

    what = "one-left"
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OneLeftDone(StepFacts):
    """Traffic was watched from `since_ns` until now, with every node but this one drained."""

    what = "one-left-done"
    node: str
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOut(StepFacts):
    """Every node goes out now; `variant` says how: `418`, `503` or `refused`."""

    what = "all-out"
    variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OneReturns(StepFacts):
    """The node is healthy again, the others are still out."""

    what = "one-returns"
    variant: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOutDone(StepFacts):
    """Every node was out from `since_ns` on; this node returned at `back_ns` and traffic was watched until now."""

    what = "all-out-done"
    variant: str
    node: str
    since_ns: int
    back_ns: int


async def run(lab: "Lab") -> None:
    """Drain the nodes in turn; each step is recorded with its time."""
    calibration = await lab.calibrated
    bound_s = 2 * calibration.out_budget_s + 2.0
    return_s = max(bound_s, 2 * calibration.in_budget_s + 2.0) + RECOVERY_WATCH_S
    leaving = lab.serving[0]
    # If one client sees only one node (affinity by source), the others exist all the same, and take over when that one drains.
    rest = [node for node in (lab.serving if len(lab.serving) > 1 else lab.nodes) if node != leaving]
    if not rest:
        lab.step(ID, SingleNode())
        return
    async with lab.traffic(ID):
        kept = await _open_kept(lab, leaving)
        since_ns = await lab.state(leaving, "draining")
        async with _in_use(lab, kept):
            out_ns = await lab.wait_out(leaving, since_ns, bound_s)
        lab.step(ID, FirstDrained(node=leaving, since_ns=since_ns, out_ns=out_ns))
        await _use_kept(lab, kept)
        for node in rest[:-1]:
            since_ns = await lab.state(node, "draining")
            await lab.wait_out(node, since_ns, bound_s)
        await asyncio.sleep(calibration.interval_s or 0.0)
        watch_ns = lab.step(ID, OneLeft(node=rest[-1]))
        await asyncio.sleep(max(SURVIVOR_WATCH_S, lab.confirming_takes_s()))
        await lab.sync()
        lab.step(ID, OneLeftDone(node=rest[-1], since_ns=watch_ns))
    await _all_drained(lab, rest[-1], bound_s, return_s)
    await lab.restore(ID)


async def _open_kept(lab: "Lab", node: str) -> "list[tuple[str, KeptConnection]]":
    """Open an HTTP/1.1 connection and, if there is TLS, an HTTP/2 connection; `node` served the last request on both."""
    kept: list[tuple[str, KeptConnection]] = [("http1", await _aligned(lab, "http1", lab.front, node))]
    if lab.secure is not None:
        try:
            kept.append(("http2", await _aligned(lab, "http2", lab.secure, node)))
        except NotConnectedError as exc:
            lab.step(ID, NoHttp2(why=str(exc)))
    return kept


async def _aligned(lab: "Lab", name: str, front: FrontDoor, node: str) -> KeptConnection:
    """Open a connection whose last request `node` served. One that stays with another node, as on layer 4, is replaced."""
    previous = None
    connection = await _open(name, front)
    # A fair balancer misses a node this often only once in a million; a balancer that pins takes two requests for each try.
    for _ in range(2 * lab.requests_to_confirm_out):
        attempt = await connection.exchange(_get(f"{name}-before"))
        lab.recording.attempt(attempt)
        if attempt.node == node or attempt.end != "complete":
            break
        if attempt.node == previous:
            connection.close()
            connection = await _open(name, front)
        previous = attempt.node
    return connection


async def _open(name: str, front: FrontDoor) -> KeptConnection:
    connection = Http1Connection(front) if name == "http1" else Http2Connection(front)
    await connection.open()
    return connection


@contextlib.asynccontextmanager
async def _in_use(lab: "Lab", kept: "list[tuple[str, KeptConnection]]") -> AsyncIterator[None]:
    """Send a request on each kept connection now and then while the block runs.

    A balancer that probes every 30 s needs minutes to take a node out. An idle connection would run into a limit on idle time
    meanwhile, which says nothing about drains.
    """

    over = asyncio.Event()

    async def use(name: str, connection: KeptConnection) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), KEPT_PAUSE_S)
            # An exchange is never cut off, as the connection could carry no other one after it.
            if over.is_set() or connection.closed:
                return
            lab.recording.attempt(await connection.exchange(_get(f"{name}-meanwhile")))

    tasks = [asyncio.create_task(use(*pair), name=f"{ID}:{pair[0]}") for pair in kept]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _use_kept(lab: "Lab", kept: "list[tuple[str, KeptConnection]]") -> None:
    for name, connection in kept:
        for _ in range(AFTER_REQUESTS):
            attempt = await connection.exchange(_get(f"{name}-after"))
            lab.recording.attempt(attempt)
            if attempt.end != "complete":
                break
        connection.close()
    await lab.sync()


def _get(variant: str) -> RequestSpec:
    return RequestSpec(check="DR-02", variant=variant, method="GET", target="/api", timeout_s=ANSWER_S_MAX)


async def _all_drained(lab: "Lab", last: str, bound_s: float, return_s: float) -> None:
    """Drain the last node too, then bring one back. The full tier repeats this with 503 and with every node refusing."""
    await _all_out(lab, "418", last, bound_s, return_s)
    if lab.quick:
        return
    await lab.restore(ID)
    await _all_out(lab, "503", last, bound_s, return_s)
    await lab.restore(ID)
    await _all_out(lab, "refused", last, bound_s, return_s)


async def _all_out(lab: "Lab", name: str, last: str, bound_s: float, return_s: float) -> None:
    since_ns = lab.step(ID, AllOut(variant=name))
    faults = []
    for node in lab.nodes:
        if name == "503":
            faults += await lab.fault([node], "status", options={"code": 503}, on="ping")
        else:
            await lab.state(node, "draining" if name == "418" else "offline", None if name == "418" else "refuse")
    # This only waits for the balancer to react; the judges decide whether its reaction is right.
    if name == "refused":
        # The balancer's own errors begin at once, and say nothing about its probes.
        await asyncio.sleep(bound_s)
    else:
        async with lab.traffic(f"{ID}-{name}"):
            await lab.until(lambda history: _reaches_no_node(history, since_ns, lab.requests_to_confirm_out), bound_s)
    asked = [lab.get("DR-05", name, timeout_s=2 * ANSWER_S_MAX) for _ in range(ALL_DRAINED_REQUESTS)]
    await asyncio.gather(*asked, lab.upload("DR-05", name, ALL_DRAINED_UPLOAD_BYTES, timeout_s=2 * ANSWER_S_MAX))
    if faults:
        await lab.heal([(node, fault) for node, fault in faults if node == last])
    else:
        await lab.state(last, "online")
    back_ns = lab.step(ID, OneReturns(variant=name, node=last))
    async with lab.traffic(ID):
        # Enough requests to prove it: the balancer's workers have health states of their own and do not agree immediately.
        await lab.until(lambda history: _flows(history, back_ns, last, lab.requests_to_confirm_out), return_s)
    lab.step(ID, AllOutDone(variant=name, node=last, since_ns=since_ns, back_ns=back_ns))


def _reaches_no_node(history: History, since_ns: int, enough: int) -> bool:
    recent = traffic_since(history, since_ns)[-enough:]
    reached = {r.attempt for r in history.requests if r.t_ns >= since_ns}
    return len(recent) == enough and not any(a.id in reached for a in recent)


def _flows(history: History, back_ns: int, node: str, enough: int) -> bool:
    recent = traffic_since(history, back_ns)[-enough:]
    return len(recent) == enough and all(a.status == 200 for a in recent) and any(a.node == node for a in recent)


def disturbed_together(serving: Sequence[str], history: History, calibration: Calibration) -> tuple[str, ...]:
    """Return the nodes that a check of health may disturb at the same time.

    It is one, so that a threshold of healthy nodes cannot be mistaken for another fault. It is two where each return takes
    minutes and this balancer was seen to have no such threshold.
    """
    middle = len(serving) // 2
    slow = (calibration.interval_s or 0.0) >= SLOW_INTERVAL_S
    if slow and len(serving) > 2 and _one_left_served(history):
        return serving[middle], serving[middle - 1]
    return (serving[middle],)


def _one_left_served(history: History) -> bool:
    """Return whether it was seen that with all nodes but one drained everything went to that one."""
    done = first(history, ID, OneLeftDone)
    if done is None:
        return False
    came = [r.node for r in history.requests if r.attempt is not None and done.facts.since_ns <= r.t_ns < done.t_ns]
    return bool(came) and set(came) == {done.facts.node}


def traffic_since(history: History, since_ns: int) -> list[Attempt]:
    """Return the background requests that started at `since_ns` or later."""
    return [a for a in history.attempts if a.check == "traffic" and a.started_ns >= since_ns]
